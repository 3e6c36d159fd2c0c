"""A worker that slept longer than its heartbeat wakes up: its late results change nothing, it makes no new call."""
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import Pipeline, Process, check, main, tool, wait_until  # noqa: E402

CLOCKS = {"worker.fence": "1500ms", "broker.worker_dead": "3s", "worker.call_timeout": "6s", "destination.start": 4,
          "retry.schedule": "300ms,300ms,300ms,300ms,300ms,300ms", "breaker.run": 1000}


def second_worker(p):
    log = open(p.state / "logs" / "worker-1.log", "w")
    return Process(tool("plumb-worker"), "--config", str(p.state / "plumb.conf"), "--set", "worker.slot=worker-1",
                   stdout=log, stderr=log)


def post(p, count):
    for n in range(count):
        status, _, answer = p.request("POST", "/api/v1/leads", p.lead(externalId=f"fence-{n}"))
        check(status == 201, f"POST answered {status}: {answer}")


def test():
    """SIGSTOP of a worker past its death, then SIGCONT"""
    with Pipeline(CLOCKS, receiver="/hang") as p:
        sleeper = p.pid("worker")
        post(p, 4)  # these go out and hang: bytes sent
        wait_until(lambda: len(p.sink.ledger()) >= 4, 20, "four calls are on the wire")
        os.kill(sleeper, signal.SIGSTOP)
        try:
            p.sql("DELETE FROM credential_links")
            p.connect("/ok")
            with second_worker(p):
                post(p, 20)
                wait_until(lambda: p.count("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == 20, 60,
                           "a second worker does the healthy ones")
                # the first four were given away as "bytes sent": ambiguous, tried again by the other under attempt 2
                wait_until(lambda: p.count("SELECT count(*) FROM attempts WHERE attempt = 1 AND outcome = 'ambiguous' "
                                           "AND counted") >= 4, 30, "the dead worker's calls were given away")
                before = {r for r in p.sql("SELECT id, attempt FROM deliveries WHERE state <> 'delivered'")}
                check(all(int(attempt) >= 1 for _, attempt in before), f"rows: {before}")
                calls = len([r for r in p.sink.ledger() if r.attempt == 1])
                os.kill(sleeper, signal.SIGCONT)
                # awake, its four calls end in its own time-out; it reports them late
                wait_until(lambda: p.count("SELECT coalesce(sum(repeats), 0) + count(*) FILTER (WHERE NOT counted) "
                                           "FROM attempts WHERE attempt = 1") >= 4, 40, "late results are on record")
                again = [r for r in p.sink.ledger() if r.attempt == 1]
                check(len(again) == calls, f"the sleeper made {len(again) - calls} new calls")
                fell = p.count("SELECT count(*) FROM deliveries d JOIN attempts a ON a.account_id = d.account_id AND "
                               "a.delivery_id = d.id WHERE a.attempt > d.attempt")
                check(fell == 0, "an attempt fell")
                check(p.count("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == 20, "a late result counted")
        finally:
            os.kill(sleeper, signal.SIGCONT)


main(test)

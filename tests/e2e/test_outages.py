"""PostgreSQL or the broker away under load; two pipelines side by side."""
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import Load, Pipeline, audit, check, main, wait_until  # noqa: E402


def postgres_away(p):
    """PostgreSQL stands still: no answer but 201 and 503, nothing lost."""
    with Load(p, seconds=12, rate=60, connections=16, prefix="pgaway") as load:
        moment = time.monotonic() + 3
        wait_until(lambda: time.monotonic() >= moment, 10, "load runs")
        old = p.kill("postgres", signal.SIGKILL)
        p.wait_restarted("postgres", old)
        summary = load.result()
    p.settle(60)
    check(set(summary["statuses"]) <= {"201", "200", "503", "409"}, f"answers: {summary['statuses']}")
    return load.ledger()


def broker_away(p):
    """The broker stands still past its death: 201 goes on, everything arrives after."""
    with Load(p, seconds=10, rate=60, connections=16, prefix="brokeraway") as load:
        broker = p.kill("broker", signal.SIGSTOP)
        try:
            summary = load.result()
        finally:
            os.kill(broker, signal.SIGCONT)
    check(set(summary["statuses"]) == {"201"}, f"answers: {summary['statuses']}")
    p.settle(60)
    return load.ledger()


def test():
    """outages of PostgreSQL and of the broker"""
    with Pipeline({"broker.epoch_dead": "3s", "worker.fence": "1500ms", "broker.worker_dead": "3s"}) as p, \
            Pipeline() as other:
        check(p.url != other.url, "two pipelines share a port")
        ledgers = [postgres_away(p), broker_away(p)]
        audit(p, ledgers)
        status, *_ = other.request("POST", "/api/v1/leads", other.lead())
        check(status == 201, "the second pipeline does not answer")
        other.settle(30)


main(test)

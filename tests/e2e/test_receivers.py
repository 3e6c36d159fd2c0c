"""Receivers of every bad kind: each ends in its class, the worker stays small, healthy ones are not slowed."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import SANITIZED, Load, Pipeline, check, main, wait_until  # noqa: E402

CLOCKS = {"worker.call_timeout": "2s", "retry.schedule": "300ms,300ms,30s,30s,30s", "breaker.run": 1000,
          "breaker.open": "500ms"}
ROUNDS = 3

# path of the sink, class of the first attempt, state of the delivery then
BEHAVIOURS = [
    ("/status/500", "retry", ("pending", "queued", "failed")),
    ("/status/429?after=1", "throttled", ("pending", "queued")),
    ("/status/410", "gone", ("held",)),
    ("/status/401", "credentials", ("pending", "queued", "held")),
    ("/status/404", "permanent", ("failed",)),
    ("/hang", "ambiguous", ("pending", "queued")),
    ("/big?mb=1024", "ok", ("delivered",)),
    ("/reset", "ambiguous", ("pending", "queued")),
    ("/close", "ambiguous", ("pending", "queued")),
    ("/redirect", "retry", ("pending", "queued", "failed")),
]


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def post(p, quiz, count):
    for n in range(count):
        status, _, answer = p.request("POST", "/api/v1/leads", p.lead(quizId=quiz, externalId=f"{quiz}-{n}"))
        check(status == 201, f"POST answered {status}: {answer}")


def classes(p):
    """Each behaviour on a quiz and credential of its own."""
    p.sql("DELETE FROM credential_links")
    made = []
    for path, outcome, states in BEHAVIOURS:
        quiz = p.quiz()
        made.append((path, outcome, states, p.connect(path, quiz=quiz), quiz))
    refused = p.quiz()
    made.append(("refused", "retry", ("pending", "queued", "failed"),
                 p.connect("", quiz=refused, url="http://127.0.0.1:1/"), refused))
    guarded = p.quiz()
    made.append(("guarded", "retry", ("pending", "queued", "failed", "held"),
                 p.connect("", quiz=guarded, url="http://169.254.169.254/latest"), guarded))
    for *_, quiz in made:
        post(p, quiz, 2)
    for path, outcome, states, credential, _ in made:
        first = wait_until(lambda: p.sql(
            "SELECT a.outcome, coalesce(a.status, 0), coalesce(a.detail, '') FROM attempts a JOIN deliveries d ON "
            f"d.account_id = a.account_id AND d.id = a.delivery_id WHERE d.credential_id = '{credential}' "
            "AND a.attempt = 1"), 30, f"{path}: an attempt is recorded")
        state = wait_until(lambda: [s for (s,) in p.sql(
            f"SELECT state FROM deliveries WHERE credential_id = '{credential}' AND attempt > 0")], 10, path)
        print(f"  {path:22} {first[0][0]:12} status {first[0][1]:>3}  {','.join(sorted(set(state)))}  {first[0][2]}")
        check(first[0][0] == outcome, f"{path}: class {first[0][0]}, want {outcome}")
        check(set(state) <= set(states), f"{path}: states {state}, want {states}")
    gone = next(credential for path, _, _, credential, _ in made if path == "/status/410")
    check(p.sql(f"SELECT suspended_at IS NOT NULL FROM credentials WHERE id = '{gone}'") == [("t",)], "410 must suspend")


def healthy_p99(p, quiz, prefix):
    """POST to the healthy destination until received, 99th percentile in ms, as the database and the sink saw it."""
    with Load(p, seconds=6, rate=100, connections=8, quiz=quiz, prefix=prefix) as load:
        load.result()
        leads = {a.lead: a for a in load.ledger() if a.status == 201}
    wait_until(lambda: p.count(f"SELECT count(*) FROM deliveries d JOIN leads l ON l.account_id = d.account_id AND "
                               f"l.id = d.lead_id WHERE l.quiz_id = '{quiz}' AND d.state <> 'delivered'") == 0, 60,
               "the healthy ones are delivered")
    received = {r.id: r.us for r in p.sink.ledger() if r.status == 200}
    waits = sorted((received[d] - float(us)) / 1000 for d, lead, us in p.sql(
        "SELECT d.id, d.lead_id, extract(epoch FROM d.created_at) * 1000000 FROM deliveries d") if lead in leads)
    check(len(waits) > 300, f"only {len(waits)} samples")
    return waits[int(len(waits) * 0.99) - 1]


def not_slowed(p):
    quiz = p.quiz()
    p.connect("/ok", quiz=quiz)
    bad = [p.quiz() for _ in range(3)]
    for path, behaved in zip(("/hang", "/big?mb=1024", "/status/500"), bad):
        p.connect(path, quiz=behaved)
    seen = []
    for attempt in range(ROUNDS):
        alone = healthy_p99(p, quiz, f"alone-{attempt}")
        for behaved in bad:
            post(p, behaved, 20)
        beside = healthy_p99(p, quiz, f"beside-{attempt}")
        seen.append((alone, beside))
        print(f"  healthy p99 alone {alone:.1f} ms, beside bad ones {beside:.1f} ms: {beside / alone:.2f}x")
        if beside <= 2 * alone:
            return
    check(False, f"bad destinations slow the healthy one: {seen}")


def test():
    """bad receivers are told apart and harm nobody else"""
    with Pipeline(CLOCKS) as p:
        worker = p.pid("worker")
        post(p, p.info["quiz"], 20)
        p.settle(30)
        before = rss_kib(worker)
        classes(p)
        not_slowed(p)
        grown = rss_kib(worker) - before
        allowed = 262144 if SANITIZED else 32768  # address sanitizer keeps freed memory back
        print(f"  worker grew by {grown} KiB")
        check(p.pid("worker") == worker, "the worker was restarted")
        check(grown <= allowed, f"the worker grew by {grown} KiB, {allowed} allowed")


main(test)

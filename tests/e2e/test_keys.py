"""Keys are changed while leads come in and daemons are killed; erased leads never open again."""
import os
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import Load, Pipeline, check, main, tool, wait_until  # noqa: E402

LEADS = 1500
RATE = 60
KILLS = 6
LINGER_S = 20


def plumb(p, *argv, want=0):
    done = subprocess.run([tool("plumb"), *argv, "--state", str(p.state)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=180)
    check(done.returncode == want, f"plumb {' '.join(argv)} ended with {done.returncode}, want {want}: {done.stderr}")
    return done.stdout


def kill_at_random(p, load, dice):
    """The tracker above all: it does the work."""
    for _ in range(KILLS):
        moment = time.monotonic() + dice.uniform(0.1, 2.5)
        wait_until(lambda: time.monotonic() >= moment, 5, "the moment to strike")
        victim = dice.choice(("tracker", "tracker", "ingest"))
        p.wait_restarted(victim, p.kill(victim, signal.SIGKILL))
    return load.result(180)


def names(p, leads):
    """The names that reads answer; what does not open is an error there."""
    for lead in leads:
        status, _, answer = p.request("GET", f"/api/v1/leads/{lead}")
        check(status == 200, f"lead {lead} answers {status}: {answer}")
        yield answer["data"]["attributes"]


def terms(p):
    return dict((lead, rest) for lead, *rest in p.sql("SELECT id, phone_term, email_term, terms::text FROM leads"))


def rotates(p, dice):
    with Load(p, count=LEADS, rate=RATE, prefix="keys") as load:
        wait_until(lambda: p.count("SELECT count(*) FROM leads") > 100, 30, "leads come in")
        before = terms(p)
        plumb(p, "keys", "rotate", "--account", p.info["account"])
        kill_at_random(p, load, dice)
    jobs = [json.loads(line) for line in plumb(p, "keys", "rotate", "--all", "--watch", "--json").splitlines()]
    check(jobs and jobs[-1]["finished"] and jobs[-1]["note"] == "done" and jobs[-1]["closed"] == 0, f"jobs: {jobs[-2:]}")
    check(p.sql("SELECT key_id FROM account_keys") == [(str(jobs[-1]["key"]),)], "older versions are still there")
    p.settle(60)
    after = terms(p)
    check(all(after[lead] == rest for lead, rest in before.items()), "terms have changed")
    leads = list(after)
    check(len(leads) >= LEADS, f"{len(leads)} of {LEADS} leads are there")
    check(all(a["name"] for a in names(p, leads)), "a lead has no name any more")
    listed = plumb(p, "keys", "ls", "--json")
    check(f'"newest":{jobs[-1]["key"]}' in listed, f"keys ls: {listed}")


def changes_master_key(p):
    plumb(p, "keys", "new")
    for name in ("ingest", "tracker"):
        p.wait_restarted(name, p.kill(name, signal.SIGTERM))
    out = plumb(p, "keys", "rotate", "--master", "--watch", "--json").splitlines()
    check(json.loads(out[-1])["note"] == "done", f"master: {out[-1]}")
    check(p.count("SELECT count(*) FROM (SELECT wrapped FROM account_keys UNION ALL SELECT wrapped FROM account_index_keys) k "
                  "WHERE substring(wrapped FROM 2 FOR 4) <> '\\x00000002'") == 0, "a key is under the older master key")
    status, _, answer = p.request("POST", "/api/v1/leads", p.lead(name="Behind it"))
    check(status == 201 and answer["data"]["attributes"]["name"] == "Behind it", f"a lead answers {status}")


def erases(p):
    """Its row stays, with nothing in it; so do the rows of its attempts, whose excerpts do not open."""
    lead, other = (row[0] for row in p.sql("SELECT l.id FROM leads l JOIN deliveries d ON d.account_id = l.account_id AND "
                                           "d.lead_id = l.id JOIN attempts a ON a.account_id = d.account_id AND "
                                           "a.delivery_id = d.id WHERE a.exchange IS NOT NULL LIMIT 2"))
    path = f"/api/v1/leads/{lead}?include=deliveries,deliveries.attempts"
    seen = [r["attributes"] for r in p.request("GET", path)[2]["included"] if r["type"] == "attempts"]
    check(any(a.get("exchange") or a.get("request") for a in seen), f"no excerpt to begin with: {seen}")
    plumb(p, "leads", "erase", lead, want=2)
    plumb(p, "leads", "erase", lead, "0190c9d2-0000-7000-8000-000000000000", "--yes", want=3)
    check(next(names(p, [lead]))["name"], "it was erased without a word")
    check(plumb(p, "leads", "erase", lead, "--yes").strip() == f"{lead} erased", "erase says something else")
    check("already" in plumb(p, "leads", "erase", lead, "--yes"), "a second time erases again")
    attributes = next(names(p, [lead]))
    gone = [key for key in ("name", "phone", "email", "contacts", "data", "ipAddress", "fingerprint", "referer")
            if attributes.get(key) is not None]
    check(not gone and attributes["erasedAt"], f"an erased lead answers {attributes}")
    status, _, answer = p.request("GET", path)
    check(status == 200, f"an erased lead's attempts answer {status}")
    kept = [r["attributes"] for r in answer["included"] if r["type"] == "attempts"]
    check(kept and not any(a.get("exchange") or a.get("request") for a in kept), f"an excerpt opens: {kept}")
    check(next(names(p, [other]))["name"], "another lead was erased too")
    check(p.count(f"SELECT count(*) FROM events WHERE kind = 'lead.erased' AND lead_id = '{lead}'") == 1, "no event")


def test():
    """keys change under load and kills, every lead opens, erased ones never do"""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"  seed {seed}", flush=True)
    with Pipeline({"keys.linger": f"{LINGER_S}s"}) as p:
        rotates(p, random.Random(seed))
        changes_master_key(p)
        erases(p)


main(test)

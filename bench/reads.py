"""make bench-reads: how fast lists, board and counters answer over a full account, while leads come in.

    bench/reads.py [--leads N] [--requests N] [--rate N] [--out FILE]

Fills an account of 20 projects by COPY (bench/leads.c), then asks over one kept-alive connection while `rate` leads a
second are posted.  The table shows p50 and p99 of each question and the goal it has; JSON goes to build/bench-reads.json."""

import argparse
import http.client
import json
import pathlib
import random
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e" / "lib"))
from plumb import BUILD, Load, Pipeline, check, tool  # noqa: E402

DAYS = 90
PAGE = 50
# question: (what, milliseconds that its p99 may take)
GOALS = {
    "list": ("a page of 50 by cursor, at any depth", 20),
    "project": ("the same of one project and status", 20),
    "search": ("a page found by a word of the name", 20),
    "phone": ("filter[phone]", 10),
    "board": ("the board, four lanes of 20", 50),
    "counts": ("filter-counts", 50),
    "counts-project": ("filter-counts of one project", 50),
}


class Reader:
    def __init__(self, p):
        self.p, self.connection = p, http.client.HTTPConnection(p.url.split("//")[1], timeout=30)

    def get(self, path, **query):
        """The document, and the milliseconds that it took."""
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        began = time.monotonic()
        self.connection.request("GET", target, headers={"Authorization": f"Bearer {self.p.token}"})
        answer = self.connection.getresponse()
        body = answer.read()
        took = (time.monotonic() - began) * 1000
        check(answer.status == 200, f"GET {target}: {answer.status} {body[:300]}")
        return json.loads(body), took

    def projects(self):
        return [row["id"] for row in self.get("/api/v1/projects", **{"page[size]": 50})[0]["data"]]


def moment():
    """A random time in which there are leads."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - random.uniform(0.01, DAYS - 1) * 86400))


def at_depth(r, **query):
    """Time of a page by cursor that begins somewhere."""
    first, _ = r.get("/api/v1/leads", **{"page[size]": PAGE, "filter[createdAt][lte]": moment(), **query})
    following = first["links"]["next"]
    return r.get(following)[1] if following else None


QUESTIONS = {
    "list": lambda r, projects: at_depth(r),
    "project": lambda r, projects: at_depth(r, **{"filter[projectId]": random.choice(projects),
                                                  "filter[status]": random.choice(("New", "Success", "Declined"))}),
    "search": lambda r, projects: r.get("/api/v1/leads", **{"filter[search]": "Вера", "page[size]": PAGE})[1],
    "phone": lambda r, projects: r.get("/api/v1/leads", **{"filter[phone]": f"+79{random.randrange(100000):09}"})[1],
    "board": lambda r, projects: r.get("/api/v1/leads/kanban", **{"page[size]": 20})[1],
    "counts": lambda r, projects: r.get("/api/v1/leads/filter-counts")[1],
    "counts-project": lambda r, projects: r.get("/api/v1/leads/filter-counts",
                                                **{"filter[projectId]": random.choice(projects)})[1],
}


def make_account(p, count):
    for n in range(1, 20):
        p.sql("INSERT INTO projects (account_id, id, user_id, name) "
              f"SELECT account_id, gen_random_uuid(), id, 'project {n}' FROM users LIMIT 1")
    p.sql("INSERT INTO quizzes (account_id, id, project_id, name) "
          "SELECT account_id, gen_random_uuid(), id, 'quiz' FROM projects")
    done = subprocess.run([BUILD / "bench" / "leads", p.info["database"], str(p.state / "keys"), p.info["account"], str(count),
                           str(DAYS)], stdout=subprocess.PIPE, text=True, check=True)
    print(f"{count} leads, {done.stdout.strip()} a second", flush=True)


def ask(r, projects, name, times):
    took = []
    while len(took) < times:
        ms = QUESTIONS[name](r, projects)
        if ms is not None:
            took.append(ms)
    took.sort()
    return took[len(took) // 2], took[int(len(took) * 0.99)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--leads", type=int, default=1000000)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--out", default=str(BUILD / "bench-reads.json"))
    options = parser.parse_args()
    table = {}
    with Pipeline({"log.level": 4}) as p:
        make_account(p, options.leads)
        r = Reader(p)
        projects = r.projects()
        with Load(p, connections=8, rate=options.rate, seconds=3600, prefix="reads") as load:
            for name, (what, goal) in GOALS.items():
                p50, p99 = ask(r, projects, name, options.requests)
                word = "reached" if p99 <= goal else "MISSED"
                table[name] = {"what": what, "p50_ms": p50, "p99_ms": p99, "goal_ms": goal, "result": word}
                print(f"{what:45} p50 {p50:7.2f} p99 {p99:7.2f} ms, at most {goal:3} {word}", flush=True)
            check(load.alive(), "leads came in all the time")
    pathlib.Path(options.out).write_text(json.dumps(table, indent=1))


main()

"""What every end-to-end test needs: the real daemons on private state, a receiver, a load, and the checker.

Nothing here sleeps blindly: wait_until polls a condition against a deadline.  Everything a test starts is in a Pipeline
or a Process, both context managers that also clean up when the test fails or is told to stop."""

import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BUILD = pathlib.Path(os.environ.get("PLUMB_BUILD", "build")).resolve()
SOURCE = pathlib.Path(os.environ.get("PLUMB_SOURCE", pathlib.Path(__file__).resolve().parents[3]))
SANITIZED = BUILD.name in ("dev", "tsan", "coverage", "valgrind")
INGEST_CACHE_S = 2.2  # ingest.cache and a little
LIVE = ("pending", "queued", "ambiguous")


class Failure(AssertionError):
    """A check that did not hold; its text says what was seen and what was wanted."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def check_logs(logs):
    """No sanitizer and no assertion has found anything in a daemon."""
    for log in logs:
        found = re.search(r"(ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:|"
                          r"Assertion .* failed|dangling '\w+' socket).*", log.read_text(errors="replace"))
        check(found is None, f"{log.name}: {found and found.group(0)}")


def stop_on_term(*_):
    raise SystemExit("told to stop")


signal.signal(signal.SIGTERM, stop_on_term)


def wait_until(condition, deadline_s, what):
    """The condition's first true value; Failure when the deadline passes."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"after {deadline_s:.0f} s still not: {what}")
        time.sleep(0.05)  # the interval of polling a condition


def tool(name):
    for folder in ("tests", "bin", "bench"):
        path = BUILD / folder / name
        if path.exists():
            return str(path)
    raise Failure(f"{name} is not built in {BUILD}")


class Process:
    """A helper program of the test, ended with the block."""

    def __init__(self, *argv, **popen):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **popen)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def alive(self):
        return self.process.poll() is None

    def wait(self, deadline_s):
        return self.process.wait(timeout=deadline_s)

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


Received = collections.namedtuple("Received", "us id attempt path status bytes")
Answered = collections.namedtuple("Answered", "key status lead us tries")


class Sink(Process):
    """The receiver tests/tools/sink/; the path of a URL says how it behaves."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ledger_file = self.folder / "sink.ledger"
        port_file = self.folder / "sink.port"
        super().__init__(tool("sink"), "--port", "0", "--port-file", str(port_file), "--ledger", str(self.ledger_file))
        wait_until(lambda: port_file.exists() and port_file.read_text().strip(), 10, "sink listens")
        self.port = int(port_file.read_text())

    def url(self, path="/ok"):
        return f"http://127.0.0.1:{self.port}{path}"

    def lines(self, since=0):
        """Whole lines after the first `since` bytes; the last one may be half written."""
        with open(self.ledger_file, "rb") as file:
            file.seek(since)
            text = file.read()
        return text[:text.rfind(b"\n") + 1].decode().splitlines()

    def size(self):
        return self.ledger_file.stat().st_size

    def latencies_ms(self, since=0):
        """From the load's stamp inside the body to the arrival here, of the lines after `since` bytes."""
        lines = [line.split() for line in self.lines(since)]
        return [(int(line[0]) - int(line[6])) / 1000 for line in lines if line[6] != "0"]

    def ledger(self):
        rows = []
        for line in self.lines():
            us, key, attempt, path, status, size = line.split()[:6]
            rows.append(Received(int(us), key, int(attempt) if attempt.isdigit() else 0, path, int(status), int(size)))
        return rows


class Load(Process):
    """The load generator against one pipeline; result() is its summary."""

    def __init__(self, pipeline, count=None, seconds=None, connections=16, rate=None, prefix="load", token=None,
                 quiz=None, project=None, stamp=False, idempotency=True):
        self.ledger_file = pipeline.folder / f"{prefix}.ledger"
        host = re.match(r"http://[^/]+", pipeline.url).group(0)
        argv = [tool("load"), "--url", host, "--token", token or pipeline.token, "--user", pipeline.info["user"],
                "--project", project or pipeline.info["project"], "--quiz", quiz or pipeline.info["quiz"],
                "--connections", str(connections), "--prefix", prefix, "--ledger", str(self.ledger_file), "--json"]
        argv += ["--count", str(count)] if count else ["--seconds", str(seconds)]
        argv += ["--rate", str(rate)] if rate else []
        argv += ["--idempotency"] if idempotency else []
        argv += ["--stamp"] if stamp else []
        super().__init__(*argv, stdout=subprocess.PIPE, text=True)

    def result(self, deadline_s=600):
        out, _ = self.process.communicate(timeout=deadline_s)
        check(self.process.returncode == 0, f"load ended with {self.process.returncode}")
        return json.loads(out)

    def ledger(self):
        return [Answered(k, int(s), l, int(u), int(t))
                for k, s, l, u, t in (line.split() for line in self.ledger_file.read_text().splitlines())]


class Pipeline:
    """`plumb up --detach` on a private state directory, taken down with the block."""

    def __init__(self, settings=None, receiver="/ok", own_channels=False):
        self.settings = {"limits.token": 0, "limits.account": 0, "egress.allow": "127.0.0.1/32", **(settings or {})}
        self.receiver = receiver
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="plumb-e2e-", dir="/tmp"))
        os.chmod(self.folder, 0o755)
        if own_channels:
            shutil.copytree(BUILD / "channels", self.folder / "channels")
            self.settings["channel_dir"] = self.folder / "channels"
        self.state = self.folder / "s"
        self.sink = None
        self.info = {}
        self.born = {}  # pids at the start
        self.killed = set()

    # -- life --

    def __enter__(self):
        try:
            argv = [tool("plumb"), "up", "--state", str(self.state), "--port", "0", "--detach", "--json"]
            for key, value in self.settings.items():
                argv += ["--set", f"{key}={value}"]
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=180)
            check(done.returncode == 0, f"plumb up ended with {done.returncode}")
            self.info = json.loads(done.stdout)
            self.url, self.token = self.info["url"], self.info["token"]
            self.born = dict(self.info["pids"])
            # Tests send one person's lead again and again, each time as a new one.
            self.sql("UPDATE quizzes SET settings = '{\"identical\": {\"windowSeconds\": 0}, "
                     "\"duplicates\": {\"policy\": \"allow\"}}'")
            if self.receiver:
                self.sink = Sink(self.folder)
                self.forget_demo()
                self.credential = self.connect(self.receiver)
            return self
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.check_lives()
            elif kind is not SystemExit:
                self.print_logs()
        except Failure:
            self.print_logs()
            raise
        finally:
            self.take_down(kind)

    def take_down(self, kind):
        if self.sink:
            self.sink.stop()
        down = subprocess.run([tool("plumb"), "down", "--state", str(self.state)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, timeout=120)
        if kind is None:
            check(down.returncode == 0, f"plumb down ended with {down.returncode}")
            check_logs(self.logs())
        if os.environ.get("PLUMB_KEEP"):
            print("kept", self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def forget_demo(self):
        """The first lead that `plumb up` sent went to its own receiver, which no ledger here knows."""
        self.settle(30)
        self.sql("DELETE FROM credential_links")
        self.forget()

    def logs(self):
        return sorted((self.state / "logs").glob("*.log"))

    def print_logs(self):
        for log in self.logs():
            lines = log.read_text(errors="replace").splitlines()[-25:]
            print(f"--- {log.name}", *lines, sep="\n", file=sys.stderr)

    def check_lives(self):
        """Who was not killed here still runs."""
        for name, pid in self.born.items():
            now = self.pid(name)
            check(name in self.killed or now == pid, f"{name} ended by itself: its pid is {now}, was {pid}")

    # -- looking --

    def status(self):
        done = subprocess.run([tool("plumb"), "status", "--state", str(self.state), "--json"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=60)
        return json.loads(done.stdout)

    def pid(self, name):
        return json.loads((self.state / "up.json").read_text())["pids"].get(name)

    def sql(self, text):
        """Rows of a query, each a tuple of texts."""
        done = subprocess.run(["psql", self.info["database"], "-XAtq", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-c", text],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=60)
        check(done.returncode == 0, f"psql: {done.stderr.strip()}")
        return [tuple(line.split("\x1f")) for line in done.stdout.splitlines()]

    def forget(self):
        """Empty the large tables.  The daemons lock them in another order: who loses the deadlock tries again."""
        for left in range(9, -1, -1):
            try:
                self.sql("TRUNCATE leads, deliveries, attempts, events, idempotency")
                return
            except Failure as failure:
                check(left > 0 and "deadlock" in str(failure), failure)

    def count(self, text):
        return int(self.sql(text)[0][0])

    def live(self):
        """Deliveries that are not settled; a very large number while the database is away."""
        try:
            return self.count(f"SELECT count(*) FROM deliveries WHERE state IN {LIVE}")
        except Failure:
            return 1 << 30

    def settle(self, deadline_s=60):
        started = time.monotonic()
        wait_until(lambda: self.live() == 0, deadline_s, f"all deliveries settled ({self.states()})")
        return time.monotonic() - started

    def states(self):
        try:
            return dict(self.sql("SELECT state || coalesce(':' || reason, ''), count(*) FROM deliveries GROUP BY 1"))
        except Failure as failure:
            return failure

    # -- doing --

    def connect(self, path, channel="webhooks", quiz=None, url=None, fields=None):
        """A credential that sends to the sink's `path`, linked to the demo project (or one quiz); its id."""
        argv = [tool("credential"), "--config", str(self.state / "plumb.conf"), "--account", self.info["account"],
                "--project", self.info["project"], "--channel", channel, "--fields",
                json.dumps(fields if fields is not None else {"url": url or self.sink.url(path)})]
        argv += ["--quiz", quiz] if quiz else []
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60)
        check(done.returncode == 0, f"credential ended with {done.returncode}")
        if not quiz or quiz == self.info["quiz"]:  # ingest may know this quiz, without the new link
            known_until = time.monotonic() + INGEST_CACHE_S
            wait_until(lambda: time.monotonic() > known_until, INGEST_CACHE_S + 5, "ingest looks again")
        return done.stdout.strip()

    def quiz(self):
        """A further quiz of the demo project; its id."""
        return self.sql("INSERT INTO quizzes (account_id, id, project_id, name, settings) SELECT account_id, "
                        f"gen_random_uuid(), project_id, 'test', settings FROM quizzes WHERE id = '{self.info['quiz']}' RETURNING id")[0][0]

    def kill(self, name, how=signal.SIGKILL):
        """Signal one daemon; returns its pid."""
        pid = self.pid(name)
        self.killed.add(name)
        os.kill(pid, how)
        return pid

    def wait_restarted(self, name, old, deadline_s=30):
        return wait_until(lambda: (lambda p: p if p and p != old else None)(self.pid(name)), deadline_s,
                          f"{name} runs again")

    def request(self, method, path, body=None, headers=None, token=True):
        """One HTTP request; returns (status, headers, parsed or raw body)."""
        base = re.match(r"http://[^/]+", self.url).group(0)
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        sent = {"Accept": "application/vnd.api+json"}
        if data is not None:
            sent["Content-Type"] = "application/vnd.api+json"
        if token:
            sent["Authorization"] = f"Bearer {self.token if token is True else token}"
        sent.update(headers or {})
        request = urllib.request.Request(base + path, data=data, headers=sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, parsed(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.headers, parsed(error.read())

    def lead(self, **attributes):
        """A JSON:API document of a lead for the demo quiz."""
        info = self.info
        return {"data": {"type": "leads", "attributes": {"userId": info["user"], "projectId": info["project"],
                                                         "quizId": info["quiz"], "name": "Анна", **attributes}}}


def parsed(raw):
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


def audit(pipeline, load_ledgers, repeats_allowed=0):
    """The checker: client, receiver and database against each other.  Returns the figures; Failure on any loss."""
    accepted = {a.lead for ledger in load_ledgers for a in ledger if a.status in (200, 201)}
    other = collections.Counter(a.status for ledger in load_ledgers for a in ledger if a.status not in (200, 201))
    rows = pipeline.sql("SELECT d.lead_id, d.id, d.state, d.attempt FROM deliveries d JOIN leads l ON "
                        "l.account_id = d.account_id AND l.id = d.lead_id")
    stored = {lead for (lead,) in pipeline.sql("SELECT id FROM leads")}
    by_lead = collections.Counter(lead for lead, *_ in rows)
    said_yes = collections.Counter(r.id for r in pipeline.sink.ledger() if r.status == 200)
    attempts = collections.defaultdict(list)
    for r in pipeline.sink.ledger():
        attempts[r.id].append(r.attempt)
    delivered = {delivery for _, delivery, state, _ in rows if state == "delivered"}
    figures = {
        "accepted": len(accepted), "other answers": dict(other), "stored": len(stored), "deliveries": len(rows),
        "delivered": len(delivered), "states": dict(collections.Counter(s for *_, s, _ in rows)),
        "received": sum(said_yes.values()), "repeated": sum(n - 1 for n in said_yes.values()),
        "lost": len([1 for lead in accepted if by_lead[lead] == 0 or lead not in stored]),
        "never received": len(delivered - set(said_yes)),
        "attempt fell": len([1 for seen in attempts.values() if seen != sorted(seen)]),
    }
    print("  " + "  ".join(f"{k}={v}" for k, v in figures.items()), flush=True)
    check(figures["lost"] == 0, f"{figures['lost']} accepted leads are not in the database")
    check(all(by_lead[lead] == 1 for lead in accepted), "an accepted lead has not exactly one delivery")
    check(len(delivered) == len(rows), f"not all delivered: {figures['states']}")
    check(figures["never received"] == 0, f"{figures['never received']} deliveries are recorded but were never received")
    check(figures["attempt fell"] == 0, "an attempt number fell")
    check(figures["repeated"] <= repeats_allowed, f"{figures['repeated']} repeats, {repeats_allowed} allowed")
    return figures


def main(test):
    """Run one test function; its docstring is its title."""
    started = time.monotonic()
    print(f"{pathlib.Path(sys.argv[0]).name}: {test.__doc__.splitlines()[0]}", flush=True)
    try:
        test()
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
    print(f"passed in {time.monotonic() - started:.1f} s")

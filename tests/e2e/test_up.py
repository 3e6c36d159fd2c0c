"""`plumb up` from the outside: options, a second start, deaths, the end, and nothing left behind."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import BUILD, SOURCE, check, check_logs, main, tool, wait_until  # noqa: E402

CHILDREN = {"postgres", "ingest", "broker", "worker", "tracker", "listen"}
IDS = {"account", "user", "project", "quiz", "credential"}


def plumb(*argv, program=None, timeout=180, prefix=(), env=None):
    """Run the command to its end; (status, stdout, stderr)."""
    done = subprocess.run([*prefix, program or tool("plumb"), *map(str, argv)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, env=env)
    return done.returncode, done.stdout, done.stderr


def up(state, *options, want=0, **how):
    """`plumb up --detach --json`: its object, or its stderr when another exit status is wanted."""
    status, out, err = plumb("up", "--state", state, "--detach", "--json", *options, **how)
    check(status == want, f"up {' '.join(map(str, options))} ended with {status}, want {want}:\n{err}")
    if want != 0:
        check(out == "", f"a failing up printed {out}")
        return err
    check("child_died" not in err, f"something died while it started:\n{err}")
    return json.loads(out)


def down(state, **how):
    status, out, err = plumb("down", "--state", state, **how)
    check(status == 0 and out == "", f"down ended with {status}: {out}{err}")
    return err


def pids(state):
    return json.loads((state / "up.json").read_text())["pids"]


def alive(pid):
    """Is it a process that still runs?  One that waits for its parent to look is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def processes_of(state):
    """Those whose command line names the state directory, or which work inside of it."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid() or not alive(entry.name):
            continue
        try:
            words = (entry / "cmdline").read_text(errors="replace").split("\0")
            cwd = os.readlink(entry / "cwd")
        except OSError:
            continue
        if any(str(state) in word for word in words) or cwd.startswith(str(state)):
            found.append((entry.name, words[:3]))
    return found


def check_nothing_left(state, info):
    """No process, no listening socket, in run/ nothing that another start would trip over, clean logs."""
    wait_until(lambda: not processes_of(state), 10, f"no process is left ({processes_of(state)})")
    listening = subprocess.run(["ss", "-Hlnx"], stdout=subprocess.PIPE, text=True, check=True).stdout
    check(str(state) not in listening, f"a socket is left: {listening}")
    sockets = [p for p in (state / "run").iterdir() if p.is_socket()]
    check(not sockets, f"run/ holds {sockets}")
    check_logs((state / "logs").glob("*.log"))
    for url in (info["url"], info.get("listen")):
        if url:
            port = int(re.search(r":(\d+)", url[5:]).group(1))
            with socket.socket() as s:
                check(s.connect_ex(("127.0.0.1", port)) != 0, f"somebody still listens on {port}")


def request(method, url, body=None, headers=None):
    asked = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def leads(info):
    rows = subprocess.run(["psql", info["database"], "-XAtqc", "SELECT id FROM leads ORDER BY id"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return rows.stdout.split()


def healthy(state, **how):
    status, out, _ = plumb("status", "--state", state, "--json", **how)
    seen = json.loads(out)
    check((status == 0) == seen["healthy"], f"exit status {status} of {seen}")
    return seen["healthy"]


# ---- one pipeline after the other ----

def says_what_is_there(state):
    """The object, the files, status, one up a directory."""
    info = up(state, "--port", 0)
    check(IDS < set(info) and set(info["pids"]) == CHILDREN | {"up"}, f"up told {info}")
    check(all(alive(pid) for pid in info["pids"].values()), f"not all run: {info['pids']}")
    check(json.loads((state / "up.json").read_text()) == info, "up.json differs from --json")
    check((state / "up.json").stat().st_mode & 0o077 == 0, "others may read the token")
    check(healthy(state), "status says it is not healthy")
    status, out, _ = plumb("status", "--state", state)
    check(status == 0 and all(re.search(rf"^{n} +{info['pids'][n]} +ready$", out, re.M) for n in CHILDREN), out)
    check(f"'{state}' is up already (pid {info['pids']['up']})" in up(state, want=7), "a second up is not refused")
    check(len(leads(info)) == 1, f"{len(leads(info))} leads after the first start")
    return info


def restarts_everything(state):
    """kill -9 of each child: another one is there at once, and work can flow again."""
    for name in sorted(CHILDREN):
        old = pids(state)[name]
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: pids(state)[name] not in (None, old), 10, f"{name} runs again")
        wait_until(lambda: healthy(state), 30, f"healthy after {name} was killed")
    print("  every child came back after kill -9")


def controls_channels(state):
    queue = "integration-webhooks"
    for verb, want in (("pause", "paused"), ("resume", "open")):
        status, out, err = plumb("channels", verb, queue, "--state", state, "--json")
        check(status == 0 and json.loads(out)["state"] == want, f"channels {verb}: {status} {out}{err}")
    status, out, err = plumb("channels", "ls", "--config", state / "plumb.conf")
    check(status == 0 and re.search(rf"^{queue} +open ", out, re.M), f"channels ls: {status} {out}{err}")
    for verb in ("pause", "resume", "drain"):
        for name in ("integration-webhoks", ""):
            status, out, err = plumb("channels", verb, name, "--state", state)
            check(status == 3 and f"'{name}'" in err and queue in err and "integration-null" in err and out == "",
                  f"channels {verb} '{name}': {status} {out}{err}")
    for verb in ("pause", "resume"):  # no job of it yet: only the table knows it
        status, out, err = plumb("channels", verb, "integration-null", "--state", state)
        check(status == 0, f"channels {verb} integration-null: {status} {err}")
    status, out, err = plumb("channels", "ls", "--state", state)
    check("webhoks" not in out and re.search(rf"^{queue} +open ", out, re.M), f"after refusals: {out}")
    status, out, err = plumb("channels", "pause", "--state", state)
    check(status == 2 and "wants QUEUE" in err and out == "", f"channels pause without a queue: {status} {err}")


def dies_with_its_supervisor(state, info):
    """kill -9 of the supervisor ends everything; the next up finds the data and the token again."""
    os.kill(pids(state)["up"], signal.SIGKILL)
    wait_until(lambda: not processes_of(state), 15, "everything ends with its supervisor")
    status, out, _ = plumb("status", "--state", state, "--json")
    check(status == 6 and json.loads(out)["running"] is False, f"status of nothing: {status} {out}")
    check("nothing runs" in down(state), "down does not say that nothing runs")
    check_nothing_left(state, info)
    log, aside = state / "logs" / "worker.log", state / "logs" / "worker.log.old"
    check(not aside.exists(), "a short log was put aside")
    with log.open("a") as grown:
        grown.write("a line of no account\n" * (17 << 20 >> 4))
    size = log.stat().st_size
    again = up(state, "--port", 0)
    check(aside.stat().st_size >= size and log.stat().st_size < 1 << 20,
          f"logs of {aside.stat().st_size} and {log.stat().st_size} bytes after one of {size}")
    check({k: again[k] for k in IDS | {"token"}} == {k: info[k] for k in IDS | {"token"}}, "the demo is another one")
    seen = leads(again)
    check(len(seen) == 2, f"{len(seen)} leads after the second start")
    for lead in seen:
        status, body = request("GET", f"{again['url']}/api/v1/leads/{lead}", headers={"Authorization": f"Bearer {info['token']}"})
        check(status == 200 and json.loads(body)["data"]["attributes"]["name"] == "Anna First", f"lead: {status} {body}")
    return again


def first_state(folder):
    state = folder / "s"
    info = says_what_is_there(state)
    controls_channels(state)
    restarts_everything(state)
    again = dies_with_its_supervisor(state, info)
    started = time.monotonic()
    check("stopped" in down(state), "down does not say so")
    print(f"  down took {time.monotonic() - started:.1f} s")
    check_nothing_left(state, again)
    check("nothing runs" in down(state), "a second down does not say that nothing runs")


def takes_options(folder):
    """Busy port, settings, no demo, another database."""
    first, second = folder / "o1", folder / "o2"
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        status, out, err = plumb("up", "--state", first, "--detach", "--json", "--no-demo", "--port", port,
                                 "--set", "limits.token=0", "--set", "retry.schedule=1s,2s")
        check(status == 0 and f"port {port} is busy, taking " in err, f"busy port: {status} {err}")
    info = json.loads(out)
    check(not info["url"].endswith(f":{port}") and "token" not in info and "listen" not in info["pids"], f"{info}")
    status, out, _ = plumb("config", "--state", first)
    check("\nlimits.token = 0\n" in out and "\nretry.schedule = 1s,2s\n" in out, "--set is not in plumb.conf")
    subprocess.run(["psql", info["database"], "-XAtqc", "CREATE DATABASE other"], check=True)
    other = info["database"].replace("dbname=plumb", "dbname=other")
    theirs = up(second, "--port", 0, "--database", other)
    check(theirs["database"] == other and "postgres" not in theirs["pids"] and not (second / "pg").exists(), f"{theirs}")
    check(len(leads(theirs)) == 1 and not leads(info), "the lead is in the wrong database")
    down(second)
    down(first)
    check_nothing_left(first, info)
    check_nothing_left(second, theirs)


def refuses_at_once(folder):
    """What cannot work is said before anything is touched."""
    state = folder / "none"
    for options, want, words in (
            (("--set", "nose=long"), 2, "unknown key 'nose'"),
            (("--set", "limits.token=many"), 2, "limits.token"),
            (("--set", "database=x"), 2, "--database"),
            (("--port", "http"), 2, "--port"),
            (("--nose",), 2, "unknown option '--nose'")):
        err = up(state, *options, want=want)
        check(words in err, f"{options}: {err}")
        check(not state.exists(), f"{options}: the state directory was made")
    deep = folder / ("x" * 100)
    check("too deep" in up(deep, want=2) and not deep.exists(), "a path too long for sockets is not refused")


def explains_failure(folder):
    """A daemon that does not stay up: its last words, exit status 1, nothing left."""
    state = folder / "bad"
    (state / "keys").mkdir(parents=True)
    (state / "keys" / "master-1.key").write_text("00" * 32)
    (state / "keys" / "master-1.key").chmod(0o644)
    err = up(state, "--port", 0, "--no-demo", want=1)
    check("does not stay up" in err and "has mode 0644" in err, f"the reason is missing: {err}")
    check_nothing_left(state, {"url": "http://127.0.0.1:1"})


def can_be_interrupted(folder):
    """Ctrl-C while it starts."""
    state = folder / "int"
    starting = subprocess.Popen([tool("plumb"), "up", "--state", str(state), "--port", "0", "--detach"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (state / "logs" / "postgres.log").exists(), 30, "it begins")
    starting.send_signal(signal.SIGINT)
    check(starting.wait(timeout=60) == 130, f"interrupted up ended with {starting.returncode}")
    check_nothing_left(state, {"url": "http://127.0.0.1:1"})


def shows_the_way(folder):
    """In the foreground: the timeline, a curl line that works, the logs, Ctrl-C."""
    state = folder / "f"
    with open(folder / "out", "w+") as out, open(folder / "err", "w+") as err:
        running = subprocess.Popen([tool("plumb"), "up", "--state", str(state), "--port", "0"], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err, start_new_session=True)
        try:
            wait_until(lambda: "Ctrl-C" in (folder / "err").read_text() or running.poll() is not None, 120, "it is up")
            check(running.poll() is None, f"up ended: {(folder / 'err').read_text()}")
            text = (folder / "out").read_text()
            way = re.findall(r"^  (\w+) +\d\d:\d\d:\d\d\.\d{3}  \+(-?[\d.]+) ms$", text, re.M)
            check([w for w, _ in way] == ["checked", "stored", "queued", "sent", "200", "recorded"], text)
            check(float(way[0][1]) == 0 <= float(way[-1][1]) < 15000, f"times {way}")
            lines = [line for line in text.splitlines() if line.startswith("curl ")]
            for line, want in zip(lines, ("Vera Lind", "Anna First")):
                done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, text=True, check=True)
                check(json.loads(done.stdout)["data"]["attributes"]["name"] == want, f"{line}\n{done.stdout}")
            wait_until(lambda: re.search(r"^listen   \| .*signature good  200 .*Vera Lind", (folder / "err").read_text(), re.M),
                       20, "the merged logs show the webhook")
            info = json.loads((state / "up.json").read_text())
        finally:
            os.killpg(running.pid, signal.SIGINT)
            status = running.wait(timeout=120)
    check(status == 0, f"after Ctrl-C up ended with {status}: {(folder / 'err').read_text()[-2000:]}")
    check_nothing_left(state, info)


def serves_anybody(folder):
    """Without root, from a copy of the tree, in a home directory."""
    if os.geteuid() != 0:
        return
    home = folder / "home"
    for name, source in (("bin", BUILD / "bin"), ("channels", BUILD / "channels"), ("sql", SOURCE / "sql")):
        shutil.copytree(source, home / "tree" / name)
    subprocess.run(["chown", "-R", "nobody", str(home)], check=True)
    how = {"program": str(home / "tree" / "bin" / "plumb"), "env": {**os.environ, "HOME": str(home)},
           "prefix": ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")}
    for key in ("XDG_STATE_HOME",):
        how["env"].pop(key, None)
    status, out, err = plumb("up", "--port", 0, "--detach", "--json", **how)
    check(status == 0, f"up as nobody ended with {status}: {err}")
    info, state = json.loads(out), home / ".local" / "state" / "plumb"
    check(info["state"] == str(state) and info["channelDir"] == str(home / "tree" / "channels"), f"{info}")
    owners = {os.stat(f"/proc/{pid}").st_uid for pid in info["pids"].values()}
    check(0 not in owners, f"something runs as root: {info['pids']}")
    status, out, err = plumb("down", **how)
    check(status == 0, f"down as nobody ended with {status}: {err}")
    check_nothing_left(state, info)


def listens(folder):
    """The receiver by itself: a good signature, a wrong one, none."""
    secret = base64.b64encode(bytes(range(32))).decode()
    port_file = folder / "port"
    with open(folder / "listen.out", "w") as out:
        listener = subprocess.Popen([tool("plumb"), "listen", "--port", "0", "--port-file", str(port_file), "--json",
                                     "--secret", f"whsec_{secret}"], stdout=out, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: port_file.exists() and port_file.read_text().endswith("\n"), 10, "it tells its port")
            url, body, now = f"http://127.0.0.1:{int(port_file.read_text())}/x", b'{"type":"lead.created","data":{}}', int(time.time())
            signed = hmac.new(bytes(range(32)), f"id_1.{now}.".encode() + body, hashlib.sha256).digest()
            headers = {"webhook-id": "id_1", "webhook-timestamp": str(now), "plumb-attempt": "2",
                       "webhook-signature": "v1," + base64.b64encode(signed).decode()}
            answers = [request("POST", url, data, sent)[0] for data, sent in
                       ((body, headers), (body + b" ", headers), (body, {}),
                        (body, {**headers, "webhook-timestamp": str(now - 400)}))]
            check(answers == [200, 401, 401, 401], f"answers {answers}")
        finally:
            listener.terminate()
            check(listener.wait(timeout=30) == 0, f"listen ended with {listener.returncode}")
    lines = [json.loads(line) for line in (folder / "listen.out").read_text().splitlines()]
    check([line["signature"] for line in lines] == ["good", "wrong", "missing", "wrong"], f"{lines}")
    check(lines[0]["attempt"] == "2" and lines[0]["body"]["type"] == "lead.created", f"{lines[0]}")
    check(not port_file.exists(), "the port file is left")


def test():
    """plumb up, its options, its end"""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="plumb-up-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        for part in (refuses_at_once, listens, first_state, takes_options, explains_failure, can_be_interrupted,
                     shows_the_way, serves_anybody):
            started = time.monotonic()
            part(folder)
            print(f"  {part.__name__:20} {time.monotonic() - started:5.1f} s", flush=True)
    finally:
        for lock in folder.rglob("up.lock"):
            plumb("down", "--state", lock.parent)
        if os.environ.get("PLUMB_KEEP"):
            print("kept", folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


main(test)

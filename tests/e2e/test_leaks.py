"""A thousand leads leave nothing personal in clear: not in the dump, logs, metrics, error answers, files."""
import concurrent.futures
import pathlib
import random
import socket
import string
import subprocess
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from canaries import Canaries  # noqa: E402
from plumb import Pipeline, check, main, wait_until  # noqa: E402

LEADS = 1000
CYRILLIC = "абвгдежзиклмнопрстуфхцчшэюя"


def word(dice, letters, length):
    return "".join(dice.choice(letters) for _ in range(length)).capitalize()


def person(dice, number):
    """Somebody whose every value is long enough to be no chance, and occurs nowhere else."""
    last = f"{5000000 + number * 37 % 4999999:07d}"
    return {"name": f"{word(dice, string.ascii_lowercase, 11)} {word(dice, CYRILLIC, 9)}",
            "phone": [f"+7900{last}", f"8 (900) {last[:3]}-{last[3:5]}-{last[5:]}", f"8900{last}", f"+7 900 {last}"][number % 4],
            "email": f"{word(dice, string.ascii_lowercase, 12)}@{word(dice, string.ascii_lowercase, 9).lower()}.example",
            "contacts": {"telegram": f"@{word(dice, string.ascii_lowercase, 12)}"}}


def remember(canaries, somebody):
    for name in somebody["name"].split():
        canaries.add("name", name)
    canaries.add_phone(somebody["phone"])
    canaries.add("email", somebody["email"].split("@")[0])
    canaries.add("contact", somebody["contacts"]["telegram"][1:])


def send_all(p, people, failing):
    quizzes = [p.info["quiz"], failing]

    def send(at):
        document = p.lead(**people[at])
        document["data"]["attributes"]["quizId"] = quizzes[at % 20 == 0]
        return p.request("POST", "/api/v1/leads", document, {"Idempotency-Key": f"leak-{at}"})[0]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(len(people))))
    check(set(answers) == {201}, f"answers: {set(answers)}")


def errors(p, dice, canaries):
    """Answers of requests that are refused while they carry such values; as (name, bytes).  Names of parameters and
    attributes are not among them: an error says which one is unknown."""
    one = person(dice, LEADS + 1)
    remember(canaries, one)
    name, phone, email = one["name"], one["phone"], one["email"]
    quoted = {key: urllib.parse.quote(value) for key, value in (("name", name), ("phone", phone), ("email", email))}
    cut = f'{{"data": {{"type": "leads", "attributes": {{"name": "{name}", "phone": "{phone}"'.encode()
    post = [("phone as mail", p.lead(**{**one, "email": phone})), ("mail as phone", p.lead(**{**one, "phone": email})),
            ("name as number", p.lead(**{**one, "name": [name]})), ("unknown quiz", p.lead(**{**one, "quizId": name})),
            ("unknown attribute", p.lead(**one, nose=email)), ("foreign id", {**p.lead(**one), "meta": one}),
            ("type", {"data": {"type": name, "attributes": one}}), ("cut short", cut),
            ("twice", cut + b', "phone": "' + phone.encode() + b'"}}}'),
            ("not UTF-8", cut.replace(b'"phone"', b'"\xff\xfe"') + b"}}}")]
    get = [f"/api/v1/leads?filter[phone]={quoted['phone']}", f"/api/v1/leads?filter[email]={quoted['email']}",
           f"/api/v1/leads?filter[search]={quoted['name']}", f"/api/v1/leads/{quoted['name']}", f"/{quoted['email']}"]
    seen = [(name_, p.request("POST", "/api/v1/leads", body)) for name_, body in post]
    seen += [("no token", p.request("POST", "/api/v1/leads", p.lead(**one), token=False)),
             ("content type", p.request("POST", "/api/v1/leads", cut, {"Content-Type": "text/plain"}))]
    seen += [(path.split("?")[0][:14], p.request("GET", path, token=token)) for path in get for token in (True, False)]
    return [(f"answer {status} to {name_}", str(answer).encode()) for name_, (status, _, answer) in seen if status >= 400]


def over_unix(path, target):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: s.recv(65536), b""))


def metrics(p):
    sockets = sorted((p.state / "run").glob("*.http"))
    check(len(sockets) >= 4, f"health sockets: {sockets}")
    return [(f"{path.name} {target}", over_unix(path, target)) for path in sockets
            for target in ("/metrics", "/readyz?verbose")]


def dump(p, *only):
    done = subprocess.run(["pg_dump", "--inserts", *only, p.info["database"]], stdout=subprocess.PIPE, check=True)
    return [("dump", done.stdout)]


def files(p):
    """Everything that the daemons wrote beside the tables: logs above all."""
    kept = [path for path in p.state.rglob("*") if path.is_file() and "pg/data" not in str(path)]
    logs = {path.name for path in kept if path.suffix == ".log"}
    check({"ingest.log", "worker.log", "tracker.log"} <= logs, f"logs: {logs}")
    return [(str(path.relative_to(p.state)), path.read_bytes()) for path in kept]


def found(canaries, texts):
    return sorted(set().union(*(canaries.find(name, data) for name, data in texts)))


def finds_what_leaks(p, canaries, somebody):
    """A column that holds one of them in clear, however spelled, is noticed: or else all of this proves nothing."""
    phone, email, name = somebody["phone"], somebody["email"], somebody["name"].split()[1]
    leaks = {"city": f"'{name}'", "region": f"'x' || upper('{email}')", "timezone": f"'{urllib.parse.quote(name)}'",
             "external_id": f"encode('abc{email}', 'base64')", "sealed": f"'{phone}'::bytea",
             "data": "'" + f'{{"a": "{name.encode("unicode_escape").decode()}"}}' + "'", "utm_term": f"'tel:{phone}'",
             "referer": f"'{phone[-10:]}'" if " " not in phone else f"'{phone}'"}
    for column, value in leaks.items():
        p.sql(f"CREATE TABLE leaked AS SELECT {value} AS {column}")
        check(found(canaries, dump(p, "--table=leaked")), f"a leak as {column} = {value} is not noticed")
        p.sql("DROP TABLE leaked")


def test():
    """nothing personal stands in clear anywhere after a thousand leads"""
    dice = random.Random(20)
    canaries = Canaries()
    people = [person(dice, number) for number in range(LEADS)]
    for somebody in people:
        remember(canaries, somebody)
    with Pipeline({"retry.schedule": "50ms,100ms", "log.level": 7}) as p:
        failing = p.quiz()
        p.connect("/status/500", quiz=failing)
        send_all(p, people, failing)
        check(p.count("SELECT count(*) FROM leads") == LEADS, "not all leads are there")
        wait_until(lambda: p.count("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == LEADS - LEADS // 20 and
                   p.count("SELECT count(*) FROM attempts WHERE outcome = 'retry'") > 2, 60, "deliveries went well and ill")
        check(p.count("SELECT count(*) FROM attempts WHERE exchange IS NOT NULL") > 0, "no excerpt was kept")
        refused = errors(p, dice, canaries)
        check(len(refused) >= 15, f"only {len(refused)} requests were refused")
        texts = dump(p) + files(p) + metrics(p) + refused
        print(f"  {len(texts)} texts, {sum(len(data) for _, data in texts) / 1e6:.1f} MB")
        leaks = found(canaries, texts)
        check(not leaks, f"{len(leaks)} values stand in clear: {leaks[:12]}")
        finds_what_leaks(p, canaries, people[0])


main(test)

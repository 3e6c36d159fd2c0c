"""One lead goes in, out and is recorded; nothing personal lies about in clear; the API's manners."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import Pipeline, check, main, wait_until  # noqa: E402

CANARIES = ("Zvezdochka Canary", "79005551234", "canary.person@mail.example", "canary_contact")


def read_with_deliveries(p, path):
    return p.request("GET", path + "?include=deliveries,deliveries.attempts")[2]


def travels(p):
    document = p.lead(name=CANARIES[0], phone="8 (900) 555-12-34", email=CANARIES[2] + " ",
                      contacts={"telegram": CANARIES[3]}, data={"answers": [{"question": "Budget", "answer": "15 000"}]})
    status, headers, answer = p.request("POST", "/api/v1/leads", document, {"Idempotency-Key": "first"})
    check(status == 201, f"POST answered {status}: {answer}")
    attributes = answer["data"]["attributes"]
    check(headers["Location"] == answer["data"]["links"]["self"], "Location is not links.self")
    check(attributes["phone"] == "+79005551234", f"phone became {attributes['phone']}")
    check(attributes["email"] == CANARIES[2], f"email became {attributes['email']}")
    p.settle(30)
    seen = read_with_deliveries(p, headers["Location"])
    kinds = {r["type"]: r["attributes"] for r in seen["included"]}
    check(kinds["deliveries"]["state"] == "delivered", f"delivery is {kinds['deliveries']}")
    check(kinds["attempts"]["outcome"] == "ok" and kinds["attempts"]["status"] == 200, f"attempt is {kinds['attempts']}")
    received = p.sink.ledger()
    check(len(received) == 1 and received[0].attempt == 1, f"the receiver got {received}")
    return document, headers["Location"], answer


def repeats(p, document, location, first):
    status, headers, answer = p.request("POST", "/api/v1/leads", document, {"Idempotency-Key": "first"})
    check((status, headers["Idempotency-Replayed"]) == (201, "true"), f"repeat answered {status}")
    check(answer == first and headers["Location"] == location, "the repeat's answer differs")
    other = p.lead(name="Other")
    status, _, answer = p.request("POST", "/api/v1/leads", other, {"Idempotency-Key": "first"})
    check((status, answer["errors"][0]["code"]) == (422, "idempotency_mismatch"), f"other body answered {status}")
    check(p.count("SELECT count(*) FROM leads") == 1, "a repeat made a second lead")


def refuses(p):
    ghost = "/api/v1/leads/0190c9d2-0000-7000-8000-000000000000"
    cases = [
        ("no token", p.request("GET", ghost, token=False), 401, "unauthenticated", "WWW-Authenticate"),
        ("wrong token", p.request("GET", ghost, token="abcdefghijkl.wrong"), 401, "unauthenticated", "WWW-Authenticate"),
        ("missing lead", p.request("GET", ghost), 404, "not_found", None),
        ("unknown path", p.request("GET", "/api/v1/nothing"), 404, "not_found", None),
        ("method", p.request("DELETE", "/api/v1/leads"), 405, "method_not_allowed", "Allow"),
        ("media type", p.request("POST", "/api/v1/leads", b"{}", {"Content-Type": "text/plain"}), 415,
         "unsupported_media_type", None),
        ("bad JSON", p.request("POST", "/api/v1/leads", b"{"), 400, "bad_json", None),
        ("NUL", p.request("POST", "/api/v1/leads", b'{"data":{"type":"leads","attributes":{"name":"\\u0000"}}}'), 400,
         "bad_json", None),
        ("type", p.request("POST", "/api/v1/leads", {"data": {"type": "cats"}}), 409, "type_conflict", None),
        ("attribute", p.request("POST", "/api/v1/leads", p.lead(email="nonsense")), 422, "invalid", None),
        ("unknown attribute", p.request("POST", "/api/v1/leads", p.lead(nose="long")), 422, "unknown_attribute", None),
    ]
    for name, (status, headers, answer), want, code, header in cases:
        check(status == want, f"{name}: {status}, want {want}: {answer}")
        check(answer["errors"][0]["code"] == code, f"{name}: {answer}, want {code}")
        check(header is None or headers[header], f"{name}: no {header}")
    _, _, answer = p.request("POST", "/api/v1/leads", p.lead(email="nonsense"))
    check(answer["errors"][0]["source"]["pointer"] == "/data/attributes/email", f"pointer: {answer}")


def hides(p):
    dump = subprocess.run(["pg_dump", "--inserts", p.info["database"]], stdout=subprocess.PIPE, check=True).stdout
    texts = {"dump": dump, **{log.name: log.read_bytes() for log in p.logs() if log.name != "listen.log"}}
    for name, text in texts.items():
        for canary in CANARIES:
            check(canary.encode() not in text, f"'{canary}' stands in clear in {name}")
    check(len(dump) > 10000, "the dump is empty")


def test():
    """a lead travels the whole pipeline"""
    with Pipeline() as p:
        refuses(p)
        check(p.count("SELECT count(*) FROM leads WHERE NOT is_test") <= 1, "a refused lead was stored")
        p.forget()
        document, location, answer = travels(p)
        repeats(p, document, location, answer)
        hides(p)
        wait_until(lambda: p.status(), 10, "status answers")


main(test)

"""Plugins dropped in, replaced and refused while leads flow."""
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import BUILD, SOURCE, Load, Pipeline, audit, check, main, wait_until  # noqa: E402

CHANNEL = """
#include <plumb/channel.h>
static const plumb_field_t fields[] = {{0}};
static plumb_step_t %(code)s_send(plumb_call_t *call) { return plumb_end(call, PLUMB_OUT_ok); }
PLUMB_EXPORT const plumb_channel_t %(symbol)s = {PLUMB_CHANNEL_HEAD%(head)s, .code = "%(code)s", .title = "%(code)s",
    .version = "1.0.0", .fields = fields, .send = %(code)s_send};
"""


def compile_channel(folder, code, symbol="plumb_channel", head=""):
    source = folder / f"{code}.c"
    source.write_text(CHANNEL % {"code": code, "symbol": symbol, "head": head})
    target = folder / f"{code}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-Wno-override-init", f"-I{SOURCE}/include", "-o",
                    str(target), str(source)], check=True)
    return target


def drop(file, folder, mode=0o755):
    """As an installer does: written beside, then renamed."""
    beside = folder / f".{file.name}.new"
    shutil.copyfile(file, beside)
    os.chmod(beside, mode)
    os.rename(beside, folder / file.name)
    return time.monotonic()


def worker_log(p):
    return (p.state / "logs" / "worker.log").read_text(errors="replace")


def usable(p, workshop, channels):
    """A new channel is there within 2 s: a lead for it is delivered."""
    quiz = p.quiz()
    p.connect("", channel="fresh", quiz=quiz, fields={})
    dropped = drop(compile_channel(workshop, "fresh"), channels)
    status, _, answer = p.request("POST", "/api/v1/leads", p.lead(quizId=quiz))
    check(status == 201, f"POST answered {status}: {answer}")
    wait_until(lambda: p.count("SELECT count(*) FROM deliveries WHERE channel = 'fresh' AND state = 'delivered'") == 1,
               20, "the new channel delivers")
    took = time.monotonic() - dropped
    print(f"  a new channel delivered {took:.2f} s after its file appeared")
    check(took <= 2.0, f"a new channel took {took:.2f} s")


def refused(p, workshop, channels):
    cases = [
        ("abi", lambda: drop(compile_channel(workshop, "oldabi", head=", .abi = 99"), channels), "oldabi", "99"),
        ("symbol", lambda: drop(compile_channel(workshop, "nosym", symbol="other_channel"), channels), "nosym",
         "plumb_channel"),
        ("writable", lambda: drop(compile_channel(workshop, "open"), channels, 0o777), "open", "writable"),
        ("garbage", lambda: drop(write(workshop / "noise.so", b"not a library"), channels), "noise", "noise.so"),
        ("bad replacement", lambda: drop(write(workshop / "webhooks.so", b"not a library"), channels), "webhooks",
         "webhooks.so"),
    ]
    for name, act, code, word in cases:
        seen = len(worker_log(p))
        act()
        line = wait_until(lambda: [text for text in worker_log(p)[seen:].splitlines()
                                   if "refused" in text and code in text and word in text], 10, f"{name}: a refusal")
        print(f"  {name:16} {line[0].split('event=')[-1][:150]}")


def write(path, data):
    path.write_bytes(data)
    return path


def test():
    """hot load and replace"""
    with Pipeline(own_channels=True) as p:
        pass_through(p)


def pass_through(p):
    workshop = p.folder / "workshop"
    workshop.mkdir()
    channels = pathlib.Path(p.info["channelDir"])
    check(not channels.is_relative_to(BUILD), f"{channels} is the build's own")
    worker = p.pid("worker")
    with Load(p, seconds=12, rate=100, connections=8, prefix="hot") as load:
        usable(p, workshop, channels)
        for _ in range(5):
            seen = worker_log(p).count("channel_loaded")
            drop(BUILD / "channels" / "webhooks.so", channels)
            wait_until(lambda: worker_log(p).count("channel_loaded") > seen, 10, "the replacement is loaded")
        refused(p, workshop, channels)
        load.result()
    p.settle(60)
    p.sql("DELETE FROM deliveries WHERE channel = 'fresh'")
    audit(p, [load.ledger()], repeats_allowed=0)
    check(p.pid("worker") == worker, "the worker was restarted")


main(test)

"""Kills under load, and what must be true afterwards."""
import os
import random
import signal
import time

from plumb import Load, Pipeline, audit, check, wait_until

SETTLE_S = 60


def in_flight(pipeline, worker_pid):
    """Calls the worker may have on the wire: the most a kill of it can repeat."""
    return int(pipeline.settings["destination.max"])


def storm(leads, victims, kills, rate, seed=None):
    """Kill each victim in turn, then at random, while `leads` leads go in; check the three ledgers.
    Repeats are allowed only for calls whose bytes were out when a worker was killed."""
    seed = seed or int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    plan = (list(victims) + [dice.choice(victims) for _ in range(kills)])[:max(kills, len(victims))]
    print(f"  seed {seed}: {leads} leads, kills: {' '.join(plan)}", flush=True)
    with Pipeline({"destination.max": 20, "retry.schedule": "200ms,500ms,1s,2s,5s,5s,5s,5s,5s"}) as p:
        load = Load(p, count=leads, rate=rate, connections=32, prefix=f"storm-{seed}")
        with load:
            allowed = strike(p, load, plan, dice, leads / rate)
            summary = load.result(deadline_s=leads / rate + 180)
            after = time.monotonic()
            p.settle(SETTLE_S)
            print(f"  answers {summary['statuses']}, settled {time.monotonic() - after:.1f} s after the last lead")
            check(set(summary["statuses"]) <= {"200", "201", "409", "429", "503", "0"}, f"answers: {summary['statuses']}")
        audit(p, [load.ledger()], repeats_allowed=allowed)


def strike(pipeline, load, plan, dice, seconds):
    """Carry out the kills, spread over the load; returns how many repeats they allow."""
    allowed = 0
    pause = seconds / (len(plan) + 1)
    for victim in plan:
        moment = time.monotonic() + pause * dice.uniform(0.5, 1.2)
        wait_until(lambda: time.monotonic() >= moment or not load.alive(), pause * 2 + 1, "the moment to strike")
        pid = pipeline.kill(victim, signal.SIGKILL)
        if victim == "worker":
            allowed += in_flight(pipeline, pid)
        pipeline.wait_restarted(victim, pid)
    return allowed

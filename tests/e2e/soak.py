"""The long storm of kills: python3 tests/e2e/soak.py [--leads N] [--kills N] [--seed N] [--rate N]."""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import main  # noqa: E402
from storm import storm  # noqa: E402


def test():
    """a long storm of kills"""
    parser = argparse.ArgumentParser()
    parser.add_argument("--leads", type=int, default=20000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--rate", type=int, default=250)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    half = dict(leads=options.leads, kills=options.kills, rate=options.rate, seed=options.seed)
    storm(victims=("ingest", "broker", "tracker", "postgres"), **half)
    storm(victims=("ingest", "broker", "worker", "tracker", "postgres"), **half)


main(test)

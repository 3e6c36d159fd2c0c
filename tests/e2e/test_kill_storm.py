"""Every daemon and PostgreSQL killed, in turn and at random, while leads go in: none lost, none doubled."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from plumb import main  # noqa: E402
from storm import storm  # noqa: E402


def test():
    """a quick storm of kills; the long one is tests/e2e/soak.py"""
    storm(leads=1500, victims=("ingest", "broker", "tracker", "postgres"), kills=6, rate=150)
    storm(leads=1000, victims=("worker", "broker", "tracker"), kills=5, rate=150)


main(test)

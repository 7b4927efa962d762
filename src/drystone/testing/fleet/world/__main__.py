"""Run schedules: `python -m drystone.testing.fleet.world --seeds 0:1000 [--mutant NAME] [--log]`."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from drystone.testing.fleet.world.history import HistoryError
from drystone.testing.fleet.world.schedule import Schedule

_PIECE = 1000
"""Seeds after which is said how far it is."""


def main() -> int:
    """Exit 1 when a seed fails; each that does is printed."""
    parser = argparse.ArgumentParser(prog="python -m drystone.testing.fleet.world")
    parser.add_argument("--seeds", default="0:100", metavar="A:B", help="A to B - 1")
    parser.add_argument("--mutant", action="append", default=[], help="break this rule")
    parser.add_argument("--log", action="store_true", help="print what went wrong in failing runs")
    parser.add_argument("--most", type=int, default=10, help="stop after so many failures")
    chosen = parser.parse_args()
    logging.disable()  # what each server logs is of no use in thousands of runs
    begin, _, end = chosen.seeds.partition(":")
    first, last = int(begin), int(end or int(begin) + 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a file or a pipe
    failures = 0
    operations = 0
    began = time.monotonic()
    for seed in range(first, last):
        schedule = Schedule(seed, frozenset(chosen.mutant))
        try:
            schedule.run()
        except HistoryError as error:
            failures += 1
            sys.stdout.write(f"seed {seed}: {error}\n")
            if chosen.log:
                sys.stdout.writelines(f"{each}\n" for each in schedule.log)
                entries = schedule.world.database.entries
                sys.stdout.writelines(f"{each.at:.3f} {each.term} {each.subject} {each.why}\n" for each in entries)
            if failures >= chosen.most:
                break
        operations += schedule.answered()
        if (seed + 1) % _PIECE == 0:
            sys.stdout.write(f"up to {seed + 1}: {failures} failed, {operations} operations answered\n")
    spent = time.monotonic() - began
    sys.stdout.write(f"seeds {first}:{last}: {failures} failed, {operations} operations answered, {spent:.1f} s\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

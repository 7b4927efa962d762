"""Run schedules: `python -m drystone.testing.fleet.world --seeds 0:1000 [--jobs 2] [--mutant NAME] [--log]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from drystone.testing.fleet.world.campaign import Failure, run_campaign


def main() -> int:
    """Exit 1 when a seed fails; each that does is printed, and at the end what all of them met."""
    parser = argparse.ArgumentParser(prog="python -m drystone.testing.fleet.world")
    parser.add_argument("--seeds", default="0:100", metavar="A:B", help="A to B - 1")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share them")
    parser.add_argument("--mutant", action="append", default=[], help="break this rule")
    parser.add_argument("--log", action="store_true", help="print what went wrong in failing runs")
    parser.add_argument("--most", type=int, default=10, help="stop after so many failures")
    chosen = parser.parse_args()
    begin, _, end = chosen.seeds.partition(":")
    first, last = int(begin), int(end or int(begin) + 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a file or a pipe
    failures: list[Failure] = []
    tally: Counter[str] = Counter()
    began = time.monotonic()
    done = first
    for found in run_campaign(first, last, frozenset(chosen.mutant), jobs=chosen.jobs):
        tally.update(found.tally)
        failures += found.failures
        done = found.end
        for failure in found.failures:
            sys.stdout.write(f"seed {failure.seed}: {failure.why}\n")
            if chosen.log:
                sys.stdout.writelines(f"{each}\n" for each in failure.log)
        if len(failures) >= chosen.most:
            break
        if done % 1000 == 0:
            sys.stdout.write(f"up to {done}: {len(failures)} failed; {tally['changes acknowledged']} changes\n")
    spent = time.monotonic() - began
    sys.stdout.writelines(f"{count:>13,}  {what}\n" for what, count in sorted(tally.items()))
    sys.stdout.write(f"seeds {first}:{done}: {len(failures)} failed, {spent:.1f} s\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

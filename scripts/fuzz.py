"""Fuzz every reader of metadata, and print what became of it:

    .venv/bin/python scripts/fuzz.py                         a million cases
    .venv/bin/python scripts/fuzz.py --cases 20000 --seed 7
    .venv/bin/python scripts/fuzz.py --only "thin XML" --cases 1000

Cases that failed are written to --keep, one file each. Ends with 1 when there are any.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
from pathlib import Path

from drystone.testing.fuzz.campaign import MEMORY, SECONDS, Tally, run_campaign

COLUMNS = "{:<38} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9} {:>8}"


def tell(tally: Tally) -> None:
    """One row of the table."""
    print(
        COLUMNS.format(
            tally.subject,
            tally.cases,
            tally.read,
            tally.refused,
            len(tally.failures),
            f"{tally.seconds / max(tally.cases, 1) * 1000:.2f} ms",
            f"{tally.slowest:.2f} s",
            f"{tally.memory >> 20} MiB",
        ),
        flush=True,
    )


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], metavar="SUBJECT")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), metavar="FOLDER")
    options = parser.parse_args()
    faulthandler.enable()
    print(COLUMNS.format("subject", "cases", "read", "refused", "failed", "a case", "slowest", "memory"))
    tallies = run_campaign(options.cases, seed=options.seed, names=options.only, tell=tell)
    failures = [failure for tally in tallies for failure in tally.failures]
    for failure in failures[:20]:
        print(f"{failure.subject}, seed {failure.seed}, case {failure.case}: {failure.reason[:300]}")
    for failure in failures:
        options.keep.mkdir(parents=True, exist_ok=True)
        name = f"{failure.subject.replace(' ', '-').replace(',', '')}-{failure.seed}-{failure.case}"
        (options.keep / name).write_bytes(failure.data)
    total = sum(tally.cases for tally in tallies)
    print(f"{total} cases, {len(failures)} failed; at most {SECONDS:.0f} s a case and {MEMORY >> 20} MiB more memory")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

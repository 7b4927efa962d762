"""The cluster's fault matrix on guests of the lab; see `drystone.testing.cluster.matrix`.

    scripts/cluster_matrix.py --seed 1 --count 20            that many cells of a seed's order
    scripts/cluster_matrix.py create/api/0 detach/dpv-link/2  these

A line a cell; after one that failed the logs of all servers, and new guests for those that follow. Ends with 1 when one
did. Cells one after the other: a machine of two processors is busy with one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from drystone.lab.lab import Lab
from drystone.testing.cluster.matrix import Cell, parse, plan, run

GUESTS = 5
"""Control, ihost, three dpvs."""
MEMORY, DISK = 512 << 20, 256 << 20


def main() -> int:
    """Run them; how many failed decides the exit code."""
    parser = argparse.ArgumentParser(description="The fault matrix of distributed volumes, on guests of the lab.")
    parser.add_argument("cells", nargs="*", metavar="OPERATION/FAULT/STEP", type=parse)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10, help="cells of the seed, when none are named")
    options = parser.parse_args()
    left: list[Cell] = options.cells or plan(options.seed, options.count)
    failed = done = 0
    while left:
        with tempfile.TemporaryDirectory(prefix="drystone-matrix-", dir="/var/tmp") as folder:
            scratch = Path(folder).resolve()
            with Lab(GUESTS, memory=MEMORY, disks=[DISK], folders=[scratch]) as lab:
                outcomes = run(scratch, lab.guests, left, lambda line: print(line, flush=True))
        done += len(outcomes)
        failed += sum(bool(each.wrong) for each in outcomes)
        left = left[len(outcomes) :]
    print(f"{done} cells, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

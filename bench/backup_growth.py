"""How the cost of an incremental backup grows with the volume: the same 100 MiB changed on volumes of 1 to 64 GiB.

    .venv/bin/python bench/backup_growth.py --sizes 1G,4G,16G,64G

Each volume is a sparse file with 64 MiB of random data a GiB. After a full backup, 100 pieces of a MiB all over it are
written anew and told to `drystone backup create --changes`, as a thin snapshot or an era device would tell them. Ours
should cost the same whatever the volume's size. restic, which is told nothing, reads the data of all of it; its runs
stop at --peer-most. Wall clock, processor and memory of the incremental alone; medians of --runs of them.
Printed: a table on stderr, the measurements as bench/run.py wants them on stdout: ours beside restic's at each size,
and ours beside ours on the smallest volume.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
from pathlib import Path

import numpy as np
from backup_peers import MIB, Cost, Drystone, Program, Restic

import pairs

GIB = 1 << 30
DATA = 64 * MIB
CHANGED = 100
UNITS = {"M": 20, "G": 30, "T": 40}


def make_volume(path: Path, size: int) -> None:
    """A sparse file: at the beginning of each GiB random data, the rest a hole."""
    rng = np.random.default_rng(size)
    with path.open("wb") as file:
        file.truncate(size)
        for begin in range(0, size, GIB):
            file.seek(begin)
            for _ in range(min(DATA, size - begin) // MIB):  # a program's least memory is what this process has
                file.write(rng.bytes(MIB))


def change(path: Path, size: int, rng: random.Random) -> list[tuple[int, int]]:
    """Write pieces of a MiB, a tenth of them where there was nothing; the ranges, ascending."""
    places: set[int] = set()
    while len(places) < min(CHANGED, size // MIB):
        begin = rng.randrange(-(-size // GIB)) * GIB
        at = begin + rng.randrange(DATA if rng.random() < 0.9 else GIB) // MIB * MIB
        if at + MIB <= size:
            places.add(at)
    with path.open("r+b") as file:
        for place in sorted(places):
            file.seek(place)
            file.write(rng.randbytes(MIB))
    return [(place, MIB) for place in sorted(places)]


def incrementals(program: Program, volume: Path, size: int, runs: int) -> list[Cost]:
    """A full backup, and the costs of the incremental ones after it."""
    rng = random.Random(size)
    program.prepare()
    program.create()
    costs = []
    for _ in range(runs):
        changed = change(volume, size, rng)
        told = program.create_told(changed)
        costs.append(program.create() if told is None else told)
    return costs


def measure(folder: Path, size: int, runs: int, *, peer: bool) -> dict[str, list[Cost]]:
    """The costs on a volume of a size (bytes), by program."""
    found: dict[str, list[Cost]] = {}
    for kind in (Drystone, Restic) if peer else (Drystone,):
        volume = folder / "volume"
        make_volume(volume, size)
        own = folder / kind.name
        found[kind.name] = incrementals(kind(own, volume), volume, size, runs)
        shutil.rmtree(own)
        wall, cpu, memory = (
            statistics.median(getattr(each, what) for each in found[kind.name]) for what in ("wall", "cpu", "memory")
        )
        line = f"{size / GIB:6.4g} GiB {kind.name:9} {wall:7.2f} s {cpu:7.2f} s cpu {memory / MIB:6.0f} MiB"
        print(line, file=sys.stderr, flush=True)
    return found


def measurements(table: dict[int, dict[str, list[Cost]]]) -> list[dict[str, object]]:
    """Ours beside restic's, and beside ours on the smallest volume."""
    found: list[dict[str, object]] = []
    smallest = min(table)
    for size, costs in table.items():
        peers = [("restic", costs["restic"])] if "restic" in costs else []
        if size != smallest:
            peers.append((f"ours at {smallest / GIB:.3g} GiB", table[smallest]["drystone"]))
        for peer, theirs in peers:
            for what in ("wall", "cpu", "memory"):
                scale = MIB if what == "memory" else 1
                both = [
                    (getattr(mine, what) / scale, getattr(its, what) / scale)
                    for mine, its in zip(costs["drystone"], theirs, strict=True)
                ]
                row = pairs.summarise(f"backup, 100 MiB of {size / GIB:.3g} GiB: {what}", peer, both)
                found.append(row | ({"unit": "MiB"} if what == "memory" else {}))
    return found


def main() -> int:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/drystone-bench-growth"))
    parser.add_argument("--sizes", default="1G,4G,16G,64G")
    parser.add_argument("--peer-most", default="16G", help="the largest volume that restic backs up too")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    sizes = [int(each[:-1]) << UNITS[each[-1]] for each in options.sizes.split(",")]
    most = int(options.peer_most[:-1]) << UNITS[options.peer_most[-1]]
    options.folder.mkdir(parents=True)
    try:
        table = {
            size: measure(options.folder, size, options.runs, peer=size <= most and shutil.which("restic") is not None)
            for size in sorted(sizes)
        }
    finally:
        shutil.rmtree(options.folder)
    print(json.dumps(measurements(table)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

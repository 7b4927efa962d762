"""A process that changes a disk of the fleet and says what it did, until somebody kills it.

    python -m drystone.testing.fleet.disk_writer ROOT SEED

Each of four threads has keys of its own. A line `begin KEY SEQ SIZE` is written before a change and `done KEY SEQ`
after it; a SIZE of -1 is a removal.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

from drystone.fleet.disk.changes import Change
from drystone.fleet.disk.disk import Disk
from drystone.fleet.objects import ObjectInfo
from drystone.testing.fleet.disk_world import EPOCH, FLEET, PLACEMENT, content

THREADS = 4
_SIZES = (0, 10, 5000, 70_000, 1_500_000)


def change_for_ever(disk: Disk, thread: int, seed: int) -> None:
    """Puts and removals of the keys of one thread."""
    chooser = random.Random(f"{seed}.{thread}")  # noqa: S311  # a test's choice
    while True:
        key = f"h/{thread}/{chooser.choice(['a', 'b', 'a/c', 'd/', 'e'])}"
        seq = disk.take_seq(PLACEMENT, EPOCH)
        size = -1 if chooser.random() < 0.3 else chooser.choice(_SIZES)
        _say(f"begin {key} {seq} {size}\n")
        if size < 0:
            disk.commit(disk.prepare(Change("remove", PLACEMENT, ObjectInfo(key, 0, 0.0, "", "", seq), 0)))
        else:
            body = disk.receive(size=size)
            body.write(content(key, seq, size))
            sums = body.finish()
            info = ObjectInfo(key, size, 1.0, sums.md5, sums.digest, seq)
            change = Change("put", PLACEMENT, info, seq)
            if chooser.random() < 0.5:
                disk.commit(disk.prepare(change, body))
            else:
                disk.apply(change, body)
                disk.release(PLACEMENT, seq)
        _say(f"done {key} {seq}\n")


def _say(line: str) -> None:
    os.write(1, line.encode())


def main() -> None:
    """Open the disk and begin."""
    root, seed = Path(sys.argv[1]), int(sys.argv[2])
    disk = Disk(root, "data_1", reserve=0)
    disk.open(FLEET)
    threads = [threading.Thread(target=change_for_ever, args=(disk, each, seed)) for each in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


if __name__ == "__main__":
    main()

"""What the power-cut test calls inside its guests. A module without pytest, which takes seconds to load there."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence

from blake3 import blake3

from drystone.cli.era import era
from drystone.cli.exits import run
from drystone.dvm.era import find_era_device
from drystone.dvm.metadata_reading import find_metadata, opened_metadata
from drystone.dvm.metadata_snapshot import ERA
from drystone.formats.era.eras import iter_changed
from drystone.formats.era.superblock import read_superblock
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

METADATA, ORIGIN = "/dev/lab/disk0", "/dev/lab/disk1"
BLOCK = 16384
CREATE = ["create", "db", "--metadata", METADATA, "--origin", ORIGIN, "--block-size", "16k"]


def start(*, fresh: bool) -> tuple[int, bool]:
    """Activate the era device; (current era, whether the metadata device had a current writeset: a crash)."""
    with open_device(METADATA) as device:
        crashed = not fresh and read_superblock(device).current_root != 0
    assert run(era, [*CREATE, *([] if fresh else ["--continue"])]) == 0
    with KernelDeviceMapper() as dm:
        return int(dm.status("db")[0].text.split()[2]), crashed


def fingerprints() -> list[str]:
    """Of each block of the era device."""
    with open_device("/dev/mapper/db") as device:
        return [blake3(device.pread(at, BLOCK)).hexdigest(8) for at in range(0, device.size, BLOCK)]


def read_changed(since: int) -> tuple[list[int], int]:
    """Blocks written since an era, and the era to ask for next time."""
    with KernelDeviceMapper() as dm, opened_metadata(dm, find_metadata(dm, "db", ERA), ERA, drain=True) as opened:
        superblock = read_superblock(opened.reader, location=opened.location)
        ranges = [row for batch in iter_changed(opened.reader, superblock, since) for row in batch.tolist()]
    return [block for begin, length in ranges for block in range(begin, begin + length)], superblock.current_era


def work(seed: int) -> None:
    """Write, flush, begin eras and read what changed until the power goes."""
    rng = random.Random(seed)
    with open_device("/dev/mapper/db", write=True) as device, KernelDeviceMapper() as dm:
        blocks = find_era_device(dm, "db").blocks
        begun = time.monotonic()
        while time.monotonic() < begun + 60:
            at = rng.randrange(blocks) * BLOCK + rng.randrange(0, BLOCK - 4096, 512)
            device.pwrite(at, os.urandom(4096))
            choice = rng.random()
            if choice < 0.3:
                device.flush()
            elif choice < 0.34:
                dm.message("db", "checkpoint")
            elif choice < 0.36:
                read_changed(1)


def missing(before: Sequence[str], after: Sequence[str], changed: Sequence[int]) -> list[int]:
    """Blocks that differ and are not among those that are said to have changed."""
    told = set(changed)
    return [
        block for block, (old, new) in enumerate(zip(before, after, strict=True)) if old != new and block not in told
    ]

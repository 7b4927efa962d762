"""A detached dlv put together out of the bytes of its legs, one leg of each mirror at a time, without a kernel.

That is what a later attachment could be given: every leg of a set alone holds all that was acknowledged. So for each
place the metadata must be sound, the file system clean, and every block not older than what was acknowledged.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.cluster.model.dlv import Dlv
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.check import check_metadata
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import read_superblock

FILE = "log"
"""The file with the numbered blocks, in the root of the file system."""
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_CLEAN = {0, 1}
"""Exit codes of e2fsck: nothing to do; done (a journal was replayed)."""


def join_legs(dlv: Dlv, read: Callable[[str], bytes], place: int, role: str) -> bytes:
    """Metadata or data of the pool, of the legs at `place`. :param read: the bytes of a leg. One stripe."""
    parts = []
    for group in sorted(dlv.groups, key=lambda each: each.number):
        if group.role == role:
            legs = [leg for leg in dlv.legs if leg.group == group.number]
            parts.append(read(next(leg.id for leg in legs if leg.place == place)))
    return b"".join(parts)


def find_unsound(metadata: bytes, place: Path) -> list[str]:
    """What is wrong with a pool's metadata: by our own check, and by thin_check where that is installed.

    :param place: where an image of it is made.
    """
    report = check_metadata(MemoryBlocks(metadata))
    found = [] if report.is_sound() else [f"metadata: {report.find_worst()}"]
    if shutil.which("thin_check", path=_PATH):
        place.write_bytes(metadata)
        checked = _run("thin_check", str(place))
        if checked.returncode:
            found.append(f"thin_check: {checked.stdout.strip()} {checked.stderr.strip()}")
        place.unlink()
    return found


def thin_volume(metadata: bytes, data: bytes, thin_id: int, size: int) -> bytes:
    """The bytes of a thin device; what it does not map is zero."""
    blocks = MemoryBlocks(metadata)
    superblock = read_superblock(blocks)
    width = superblock.data_block_bytes
    found = np.zeros(-(-size // width) * width, np.uint8)
    whole = np.frombuffer(data, np.uint8)
    for batch in iter_mappings(blocks, superblock, thin_id):
        for virtual, at in zip(batch.virtual.tolist(), batch.data.tolist(), strict=True):
            found[virtual * width : (virtual + 1) * width] = whole[at * width : (at + 1) * width]
    return found[:size].tobytes()


def read_file(volume: bytes, place: Path, *, clean: bool) -> tuple[NDArray[np.uint8], list[str]]:
    """The file in a volume's file system, and what e2fsck says of that.

    :param place: where an image of it is made. :param clean: it was unmounted; otherwise its journal is replayed first.
    """
    place.write_bytes(volume)
    found = []
    if not clean:
        replayed = _run("e2fsck", "-p", str(place))
        if replayed.returncode not in _CLEAN:
            found.append(f"e2fsck -p: {replayed.stdout.strip()} {replayed.stderr.strip()}")
    checked = _run("e2fsck", "-fn", str(place))
    if checked.returncode:
        found.append(f"e2fsck -fn: {checked.stdout.strip()} {checked.stderr.strip()}")
    out = place.with_suffix(".file")
    dumped = _run("debugfs", "-R", f"dump /{FILE} {out}", str(place))
    if not out.exists():
        return np.zeros(0, np.uint8), [*found, f"debugfs: {dumped.stderr.strip()}"]
    content = np.frombuffer(out.read_bytes(), np.uint8).copy()
    out.unlink()
    place.unlink()
    return content, found


def _run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, env={"PATH": _PATH})


def leg_names(dlv: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of a dlv's document: each leg, and the dpv that it is on."""
    return [(each["id"], each["dpv"]) for each in dlv["legs"]]

"""Make the golden images of kernel-made metadata: guests of the lab make them, power cuts included.

    .venv/bin/python tests/golden/kernel/make.py tests/golden/kernel [NAME...]

Writes NAME.img.xz (the metadata device, nobody using it), NAME.json (what is known to be true of it, from what was
written) and NAME.xml.xz (what Debian's thin_dump or era_dump 0.9 prints of it). Nothing is wrong in any of them.

    thin-many        141 thin devices: 20 families of snapshots of snapshots; holes, discards, shared subtrees
    thin-reserved    43 of them, a reserved metadata snapshot, then a deletion, a new snapshot, more writes
    thin-cut         31 of them, committed, then a power cut while snapshots are made, written to and deleted; the
                     truth is what all devices of the first part hold
    era-idle         seven eras, then removed: the last writeset is archived and not digested
    era-held         a metadata snapshot that is still held, and four more eras; more than one leaf of bits
    era-resized      the origin grew, then shrank below its first size
    era-cut          a power cut with a current writeset that nobody archived
    era-undigested   a power cut while the kernel digests writesets of 100 000 bits: several of them are in the tree,
                     one of them partly in the array, and there is a current one
"""

from __future__ import annotations

import base64
import contextlib
import json
import lzma
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drystone.base.errors import DrystoneError
from drystone.formats.era.superblock import read_superblock
from drystone.formats.era.writesets import read_writesets
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.lab.lab import Guest, Lab

SIZES = {"thin-many": 8 << 20, "era-undigested": 4 << 20}
"""Bytes of the metadata device, where it is not 2 MiB."""

Made = dict[str, Any]


def in_guest(function: str) -> str:
    """A function of guest_work.py, as a guest is asked for it."""
    return f"{Path(__file__).with_name('guest_work.py')}:{function}"


def simple(function: str, *args: object) -> Callable[[Guest], Made]:
    """One call in the guest."""

    def make(guest: Guest) -> Made:
        with guest.python() as python:
            made: Made = python.call(in_guest(function), *args)
            return made

    return make


def cut_thin(guest: Guest) -> Made:
    with guest.python() as python:
        made: Made = python.call(in_guest("make_pool_for_cut"))

        def work() -> None:
            with contextlib.suppress(DrystoneError):
                python.call(in_guest("work_on_pool"))

        working = threading.Thread(target=work)
        working.start()
        time.sleep(1.5)
        guest.kill()
        working.join()
    return {**made, "image": read_image(guest)}


def cut_era(many: bool) -> Callable[[Guest], Made]:
    def make(guest: Guest) -> Made:
        for _ in range(20):
            with guest.python() as python:
                made: Made = python.call(in_guest("make_era_for_cut"), many)
                guest.kill()
            made["image"] = read_image(guest)
            reader = MemoryBlocks(unpack(made))
            superblock = read_superblock(reader)
            archived = [each for each in read_writesets(reader, superblock) if each.era != superblock.current_era]
            if superblock.current_root and (len(archived) > 1 or not many):
                return made
        raise SystemExit("the kernel was faster each time")

    return make


def read_image(guest: Guest) -> str:
    """The metadata device after a power cut."""
    guest.boot()
    with guest.python() as python:
        found: str = python.call(in_guest("image"))
    return found


def unpack(made: Made) -> bytes:
    return lzma.decompress(base64.b64decode(made["image"]))


IMAGES: dict[str, Callable[[Guest], Made]] = {
    "thin-many": simple("make_many", False),
    "thin-reserved": simple("make_many", True),
    "thin-cut": cut_thin,
    "era-idle": simple("make_idle"),
    "era-held": simple("make_held"),
    "era-resized": simple("make_resized"),
    "era-cut": cut_era(False),
    "era-undigested": cut_era(True),
}


def dump(name: str, data: bytes) -> bytes:
    """What Debian's tool prints."""
    tool = f"{name.partition('-')[0]}_dump"
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return subprocess.run([tool, file.name], check=True, capture_output=True).stdout


def main() -> None:
    folder = Path(sys.argv[1])
    for name in sys.argv[2:] or IMAGES:
        modules = ["dm-thin-pool", "dm-zero", "dm-era"]
        with Lab(disks=[SIZES.get(name, 2 << 20)], memory=384 << 20, modules=modules) as lab:
            made = IMAGES[name](lab.guests[0])
        data = unpack(made)
        (folder / f"{name}.img.xz").write_bytes(lzma.compress(data, preset=9))
        (folder / f"{name}.json").write_text(json.dumps(made["truth"], separators=(",", ":")) + "\n")
        (folder / f"{name}.xml.xz").write_bytes(lzma.compress(dump(name, data), preset=9))


if __name__ == "__main__":
    main()

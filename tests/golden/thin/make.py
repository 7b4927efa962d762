"""Make the golden images of dm-thin metadata: a real kernel writes them, Debian's thin_dump and thin_delta read them.

    drystone lab run --disk 4M --module dm-thin-pool --module dm-zero --results tests/golden/thin -- \\
        .venv/bin/python tests/golden/thin/make.py tests/golden/thin

Writes NAME.img.xz (the metadata device after the pool was removed) and NAME.json (what the tools read out of it):

    snapshots   device 1 with holes and out-of-order writes, 2 a snapshot of 1 and 3 of 2, all written to afterwards,
                a discarded range, 4 empty, 5 on its own with blocks far apart; leaves shared by 1, 2 and 3
    held        the same, then a reserved metadata snapshot, then more writes, device 5 deleted, device 6 made;
                the pool is removed with the snapshot still reserved

Nothing is wrong in either. The data device is the zero target: only the mappings matter here.
"""

from __future__ import annotations

import json
import lzma
import mmap
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Any

METADATA = "/dev/lab/disk0"
METADATA_BYTES = 4 << 20
SECTORS_A_BLOCK = 128
DATA_BLOCKS = 1 << 20
THIN_BLOCKS = 1 << 16
PAIRS = [("1", "2"), ("2", "1"), ("1", "3"), ("2", "3"), ("1", "4"), ("4", "1"), ("3", "3")]
"""Devices that thin_delta compares: with shared leaves, with nothing in common, and one with itself."""


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def create_thin(dev_id: int) -> None:
    table = f"0 {THIN_BLOCKS * SECTORS_A_BLOCK} thin /dev/mapper/pool {dev_id}"
    run("dmsetup", "create", f"thin{dev_id}", "--table", table)


def tell(message: str) -> None:
    run("dmsetup", "message", "pool", "0", message)


def snapshot(origin: int, dev_id: int) -> None:
    run("dmsetup", "suspend", f"thin{origin}")
    tell(f"create_snap {dev_id} {origin}")
    run("dmsetup", "resume", f"thin{origin}")
    create_thin(dev_id)


def write(dev_id: int, blocks: Iterable[int]) -> None:
    """One direct write of 4 KiB into each of these blocks, in this order."""
    page = mmap.mmap(-1, 4096)
    page.write(b"x" * 4096)
    handle = os.open(f"/dev/mapper/thin{dev_id}", os.O_WRONLY | os.O_DIRECT)
    try:
        for block in blocks:
            os.pwrite(handle, page, block * SECTORS_A_BLOCK * 512)
    finally:
        os.close(handle)


def discard(dev_id: int, begin: int, length: int) -> None:
    size = SECTORS_A_BLOCK * 512
    run("blkdiscard", "-o", str(begin * size), "-l", str(length * size), f"/dev/mapper/thin{dev_id}")


def start_pool() -> None:
    with Path(METADATA).open("r+b") as device:
        device.write(bytes(METADATA_BYTES))
    run("dmsetup", "create", "data", "--table", f"0 {DATA_BLOCKS * SECTORS_A_BLOCK} zero")
    table = f"0 {DATA_BLOCKS * SECTORS_A_BLOCK} thin-pool {METADATA} /dev/mapper/data {SECTORS_A_BLOCK} 0"
    run("dmsetup", "create", "pool", "--table", f"{table} 2 skip_block_zeroing no_discard_passdown")


def stop_pool() -> None:
    names = [line.split()[0] for line in run("dmsetup", "ls").splitlines()]
    for name in [*(name for name in names if name.startswith("thin")), "pool", "data"]:
        remove(name)


def remove(name: str) -> None:
    """udev or a probe may have the device open for a moment."""
    for _ in range(50):
        if subprocess.run(["dmsetup", "remove", name], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise SystemExit(f"{name} stays in use")


def fill() -> None:
    """Five devices; every number here is arbitrary, the shapes are what matters."""
    for dev_id in (1, 4, 5):
        tell(f"create_thin {dev_id}")
        create_thin(dev_id)
    write(1, range(1200))
    write(1, range(4000, 3400, -3))
    snapshot(1, 2)
    write(2, [5, 6, 7, 900, 3001])
    write(2, range(10000, 10040))
    snapshot(2, 3)
    discard(3, 100, 60)
    write(3, [110, 111, 50000])
    write(1, [6, 1199, 1200, 1201])
    write(5, [0, 1, 300, 60000, 65535, 17])
    tell("set_transaction_id 0 7")


def read_xml(text: str) -> ET.Element:
    return ET.fromstring(text)


def numbers(element: ET.Element, *names: str) -> list[int]:
    return [int(element.attrib[name]) for name in names]


def dump(image: str, *flags: str) -> dict[str, Any]:
    """What thin_dump reads: the superblock's attributes, and for each device its own and its ranges."""
    root = read_xml(run("thin_dump", *flags, image))
    devices = {}
    for device in root.iter("device"):
        ranges = []
        for each in device:
            if each.tag == "single_mapping":
                origin, data, when = numbers(each, "origin_block", "data_block", "time")
                ranges.append([origin, data, 1, when])
            else:
                ranges.append(numbers(each, "origin_begin", "data_begin", "length", "time"))
        devices[device.attrib["dev_id"]] = {**device.attrib, "mappings": ranges}
    return {"superblock": dict(root.attrib), "devices": devices}


def compare(image: str, *flags: str) -> dict[str, list[list[Any]]]:
    """What thin_delta says of some pairs, without what is the same: kind, begin, length."""
    found = {}
    for left, right in PAIRS:
        text = run("thin_delta", *flags, "--thin1", left, "--thin2", right, image)
        parts = next(read_xml(text).iter("diff"))
        found[f"{left} {right}"] = [
            [part.tag, *numbers(part, "begin", "length")] for part in parts if part.tag != "same"
        ]
    return found


def keep(name: str, folder: Path, *, held: bool) -> None:
    expected = {}
    for which, flags in (("live", []), ("held", ["-m"])) if held else (("live", []),):
        # The tools read with O_DIRECT, which the guest's tmpfs refuses: they get the device.
        expected[which] = dump(METADATA, *flags)
        expected[which]["deltas"] = compare(METADATA, *flags)
    data = Path(METADATA).read_bytes()[:METADATA_BYTES]
    (folder / f"{name}.img.xz").write_bytes(lzma.compress(data, preset=4))
    (folder / f"{name}.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


def main() -> None:
    folder = Path(sys.argv[1])
    start_pool()
    fill()
    stop_pool()
    keep("snapshots", folder, held=False)
    start_pool()
    fill()
    tell("reserve_metadata_snap")
    write(2, [8, 9, 30000])
    write(1, range(2000, 2100))
    remove("thin5")
    tell("delete 5")
    tell("create_thin 6")
    create_thin(6)
    write(6, range(10))
    stop_pool()
    keep("held", folder, held=True)


if __name__ == "__main__":
    main()

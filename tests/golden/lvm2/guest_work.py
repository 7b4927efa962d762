"""What a guest does for make.py: groups by LVM2 on loop devices. A device comes back as its image, compressed."""

from __future__ import annotations

import base64
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drystone.dvm.state import observe, with_uuid
from drystone.kernel import loop
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.testing.lvm2 import Lvm2, configure

Made = dict[str, Any]

FIELDS = {
    "vgs": (
        "vg_name", "vg_uuid", "vg_seqno", "vg_extent_size", "vg_extent_count", "vg_free_count", "pv_count", "lv_count",
    ),
    "pvs": ("pv_uuid", "pv_name", "pe_start", "pv_pe_count", "pv_pe_alloc_count", "pv_mda_count"),
    "lvs": ("lv_name", "lv_uuid", "lv_size", "seg_count", "lv_tags", "lv_layout"),
}  # fmt: skip


@contextmanager
def on_disks(count: int, size: int, *, driver: bool = True) -> Iterator[tuple[Lvm2, list[str]]]:
    """LVM2, and loop devices of `size` bytes."""
    folder = Path(tempfile.mkdtemp())
    paths = []
    for number in range(count):
        file = folder / f"disk{number}"
        file.touch()
        os.truncate(file, size)
        paths.append(loop.attach(str(file)).path)
    try:
        yield configure(folder, paths, driver=driver), paths
    finally:
        for path in paths:
            loop.detach(path)


def collect(lvm: Lvm2, paths: list[str]) -> Made:
    """The images, and LVM2's own reports."""
    truth = {command: lvm.report(command, fields, *["-a"] * (command == "lvs")) for command, fields in FIELDS.items()}
    return {"images": [read_image(path) for path in paths], "truth": {**truth, "paths": paths}}


def read_image(path: str) -> str:
    with open_device(path) as device:
        return base64.b64encode(zlib.compress(device.pread(0, device.size))).decode()


def make_kinds() -> Made:
    """A group with volumes of all kinds, all active; the truth holds what device-mapper says of them."""
    with on_disks(4, 16 << 20) as (lvm, paths):
        lvm.run("vgcreate", "-s", "256k", "--addtag", "golden", "gold-vg", *paths)
        lvm.create("gold-vg", "home", "-l", "6", "--addtag", "a", "--addtag", "b")
        lvm.create("gold-vg", "two", "-l", "8", "-i", "2", "-I", "64k")
        lvm.create("gold-vg", "three", "-l", "6", "-i", "3", "-I", "16k")
        lvm.run("lvextend", "-y", "-l", "+3", "gold-vg/home")
        lvm.create("gold-vg", "copied", "-l", "4", "--type", "raid1", "-m", "1", "--nosync")
        lvm.create("gold-vg", "thrice", "-l", "4", "--type", "raid1", "-m", "2")
        lvm.create("gold-vg", "old-mirror", "-l", "4", "--type", "mirror", "-m", "1")
        lvm.create("gold-vg", "core-mirror", "-l", "4", "--type", "mirror", "--mirrorlog", "core", "-m", "1")
        lvm.create("gold-vg", "frozen", "-l", "2", "-pr", "-Zn", "-Wn")
        lvm.create("gold-vg", "origin", "-l", "4")
        lvm.run("lvcreate", "-y", "-s", "-l", "3", "-n", "snap", "gold-vg/origin")
        lvm.run("lvcreate", "-y", "-l", "12", "-V", "8m", "--thinpool", "pool", "-n", "thin", "gold-vg")
        lvm.create("gold-vg", "five", "-l", "6", "--type", "raid5", "-i", "2")
        with KernelDeviceMapper() as dm:
            state = observe(dm, with_uuid("LVM-"))
        made = collect(lvm, paths)
        tables = {
            device.name: {
                "uuid": device.uuid,
                "read_only": device.read_only,
                "table": [[line.start, line.length, line.target, line.params] for line in device.table],
            }
            for device in state.devices
        }
        made["truth"]["tables"] = tables
        made["truth"]["numbers"] = {str(loop_number(path)): index for index, path in enumerate(paths)}
        lvm.run("vgchange", "-an", "gold-vg")
        return made


def loop_number(path: str) -> str:
    found = Path(path).stat().st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def make_wrapped() -> Made:
    """Two areas on one device, a small one without text that counts on another, none on a third; the text wraps."""
    with on_disks(3, 8 << 20, driver=False) as (lvm, paths):
        lvm.run("pvcreate", "--pvmetadatacopies", "2", "--metadatasize", "32k", "--dataalignment", "64k", paths[0])
        lvm.run("pvcreate", "--metadataignore", "y", "--metadatasize", "32k", paths[1])
        lvm.run("pvcreate", "--pvmetadatacopies", "0", paths[2])
        lvm.run("vgcreate", "-s", "128k", "ring", *paths)
        for number in range(60):
            lvm.create("ring", f"lv{number:02d}", "-l", "1")
            if wraps(paths[0]):
                break
        else:
            raise AssertionError("no text has wrapped")
        return collect(lvm, paths)


def wraps(path: str) -> bool:
    """Whether the committed text goes on at the ring's beginning."""
    from drystone.dvm.lvm2.survey import survey
    from drystone.kernel.ranges import open_ranges

    with open_ranges(path) as device:
        area = survey([device])[0].areas[0]
    assert area.committed is not None
    return area.committed.location.offset + area.committed.location.size > area.range.size


def make_orphan() -> Made:
    """A device that is prepared and belongs to no group; its label is in the fourth sector."""
    with on_disks(1, 4 << 20, driver=False) as (lvm, paths):
        lvm.run("pvcreate", "--labelsector", "3", *paths)
        return collect(lvm, paths)

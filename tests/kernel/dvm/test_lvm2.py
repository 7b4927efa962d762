"""LVM2 and we make the same devices of the same metadata, on a real kernel, and each goes on with the other's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.lvm2.assembly import Assembled, assemble, with_devices
from drystone.dvm.lvm2.rescue import rescue
from drystone.dvm.lvm2.survey import survey
from drystone.dvm.lvm2.tables import build_tables
from drystone.dvm.program import Program
from drystone.dvm.state import State, observe, resolve_paths, with_uuid
from drystone.kernel import loop
from drystone.kernel.blockdev import device_number, open_device
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import sync_nodes
from drystone.kernel.pages import open_pages
from drystone.kernel.ranges import RangeDevice, open_ranges
from drystone.testing.lvm2 import Lvm2, configure

MODULES = ["dm-mirror", "dm-log", "dm-raid", "raid1"]
pytestmark = pytest.mark.lab(memory="512M", modules=MODULES)

VOLUMES: dict[str, tuple[str, ...]] = {
    "home": ("-l", "5"),
    "two": ("-l", "8", "-i", "2", "-I", "64k"),
    "copied": ("-l", "4", "--type", "raid1", "-m", "1", "--nosync"),
    "old-mirror": ("-l", "4", "--type", "mirror", "-m", "1", "--nosync"),
    "core": ("-l", "4", "--type", "mirror", "--mirrorlog", "core", "-m", "1", "--nosync"),
}


class Ground:
    """A group of all kinds, active, with a pattern on each volume."""

    def __init__(self, folder: Path, dm: KernelDeviceMapper) -> None:
        self.dm = dm
        self.paths: list[str] = []
        for number in range(4):
            file = folder / f"disk{number}"
            file.touch()
            os.truncate(file, 16 << 20)
            self.paths.append(loop.attach(str(file)).path)
        self.lvm: Lvm2 = configure(folder, self.paths, driver=True)
        self.lvm.run("vgcreate", "-s", "256k", "v-g", *self.paths)
        for name, words in VOLUMES.items():
            self.lvm.create("v-g", name, *words)
        self.lvm.run("lvextend", "-l", "+2", "v-g/home")
        for name in VOLUMES:
            with open_device(self.node(name), write=True) as device:
                device.pwrite(0, self.pattern(name, device.size))
                device.flush()

    def node(self, name: str) -> str:
        sync_nodes((entry.name, entry.number) for entry in self.dm.list_devices())
        return f"/dev/mapper/v--g-{name.replace('-', '--')}"

    def pattern(self, name: str, size: int) -> bytes:
        return (name.encode() * (size // len(name) + 1))[:size]

    def holds(self, name: str) -> bool:
        with open_device(self.node(name)) as device:
            return device.pread(0, device.size) == self.pattern(name, device.size)

    def assembled(self, paths: Sequence[str] | None = None) -> Assembled:
        opened = [open_ranges(path) for path in paths or self.paths]
        try:
            (found,) = assemble(survey(opened))
            return found
        finally:
            close(opened)

    def now(self) -> State:
        return observe(self.dm, with_uuid("LVM-"))

    def compile(self, desired: State) -> Program:
        return activate(self.now(), resolve_paths(desired, device_number))

    def go_to(self, desired: State) -> None:
        execute(self.compile(desired), self.dm).require_done()

    def close(self) -> None:
        self.go_to(State())
        shutil.rmtree("/dev/v-g", ignore_errors=True)  # LVM2's links to what is gone now
        for path in self.paths:
            loop.detach(path)


def close(devices: Sequence[RangeDevice]) -> None:
    for device in devices:
        device.close()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with KernelDeviceMapper() as dm:
        found = Ground(tmp_path, dm)
        try:
            yield found
        finally:
            found.close()


def test_what_lvm2_has_made_is_what_we_would_make(ground: Ground) -> None:
    built = build_tables(ground.assembled())
    assert built.left_out == {}
    assert len(built.state.devices) == len(ground.now().devices) == 14
    assert ground.compile(built.state).is_empty


def test_what_we_make_is_what_lvm2_takes_for_its_own(ground: Ground) -> None:
    desired = build_tables(ground.assembled()).state
    ground.lvm.run("vgchange", "-an", "v-g")
    assert ground.now() == State()
    ground.go_to(desired)
    assert all(ground.holds(name) for name in VOLUMES)
    rows = ground.lvm.report("lvs", ["lv_name", "lv_active", "lv_health_status"])
    assert {row["lv_name"]: row["lv_active"] for row in rows} == dict.fromkeys(VOLUMES, "active")
    assert {row["lv_health_status"] for row in rows} == {""}
    ground.lvm.run("lvextend", "-l", "+1", "v-g/home")
    assert ground.compile(build_tables(ground.assembled()).state).is_empty
    ground.lvm.run("vgchange", "-an", "v-g")
    assert ground.now() == State()


def test_a_missing_device_costs_an_image_and_no_more(ground: Ground) -> None:
    ground.lvm.run("vgchange", "-an", "v-g")
    built = build_tables(ground.assembled(ground.paths[1:]))
    assert set(built.left_out) == {"home", "two", "old-mirror", "core"}
    assert set(built.notes) == {"copied"}
    ground.go_to(built.state)
    assert ground.holds("copied")


def test_volumes_of_a_text_that_lvm2_does_not_find(ground: Ground) -> None:
    """The label and the header of every disk are lost; a human says which disk is which."""
    ground.lvm.run("vgchange", "-an", "v-g")
    whole = ground.assembled()
    for path in ground.paths:
        with open_pages(path, write=True) as device:
            device.write(0, bytes(4096))
            page = device.read(1, 1)
            device.write(1, bytes(512) + page[512:])
            device.flush()
    assert ground.lvm.run("vgs", "v-g", check=False).returncode != 0
    opened = [open_ranges(path) for path in ground.paths]
    try:
        surveyed = survey(opened)
        newest = rescue(opened, surveyed).texts[0]
    finally:
        close(opened)
    assert newest.proof == "copies"
    assert newest.data == whole.data
    found = with_devices(newest.group, newest.data, surveyed, whole.found)
    ground.go_to(build_tables(found).state)
    assert all(ground.holds(name) for name in VOLUMES)

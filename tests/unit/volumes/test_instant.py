"""What an instant restore refuses, and when it says that something is missing, as far as no kernel is needed."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from drystone.backup.convoy.store import ConvoyStore
from drystone.backup.pipeline import silent
from drystone.base.errors import DamagedError, UsageError
from drystone.dvm import clone
from drystone.dvm.dmexec import execute
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.clone import Clone
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.store.folder import FolderStore
from drystone.testing.convoy_store import BLOCK, ConvoyWriter
from drystone.volumes.instant import Request, Session, _await, restore_instantly
from drystone.volumes.standstill import LOOKS, Standstill


def run(program: Program) -> Result:
    raise AssertionError(program)


def restore(request: Request) -> None:
    folder = request.folder.parent / "store"
    writer = ConvoyWriter(folder, named=True)
    writer.write_volume("vol1", BLOCK)
    writer.write_backup("vol1", "b1", bytes(BLOCK))
    with ConvoyStore(FolderStore(folder)).image("vol1", "b1") as image:
        restore_instantly(
            SimulatedDeviceMapper(), image, request, run, usable=print, progress=silent, failed=print, stuck=print,
            over=threading.Event(),
        )  # fmt: skip


def test_a_file_is_no_device_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(BLOCK))
    with pytest.raises(UsageError, match="no block device"):
        restore(Request("fresh", "url", str(tmp_path / "file"), folder=tmp_path / "state"))
    assert not (tmp_path / "state").exists()


class Looks(threading.Event):
    """Nobody ends it for so many looks; in each the kernel has met damage."""

    def __init__(self, count: int, standstill: Standstill) -> None:
        super().__init__()
        self.left = count
        self.standstill = standstill

    def wait(self, timeout: float | None = None) -> bool:
        self.standstill.note(DamagedError("wrong"))
        self.left -= 1
        return self.left < 0


def test_what_cannot_be_had_is_told_once_when_regions_were_tried_one_by_one() -> None:
    dm = SimulatedDeviceMapper()
    disks = [DeviceNumber(7, at) for at in range(3)]
    for each in disks:
        dm.add_disk(each, 1 << 16)
    dm.create("new", clone.UUID_PREFIX + "new")
    metadata, destination, source = map(str, disks)
    table = Clone(metadata, destination, source, 2048, no_hydration=True).to_params()
    dm.load("new", [TableLine(0, 1 << 16, Clone.kind, table)])
    dm.resume("new")
    session = Session(name="new", url="u", device="d", disk="x", size=32 << 20, region=1 << 20)
    ran: list[Program] = []
    told: list[int] = []

    def carry_out(program: Program) -> Result:
        assert not told
        ran.append(program)
        return execute(program, dm, memory=nullcontext)

    for looks, programs, times in ((LOOKS - 1, 0, 0), (LOOKS, 1, 0), (20 * LOOKS, 1, 1)):
        ran.clear()
        told.clear()
        standstill = Standstill()
        over = Looks(looks, standstill)
        assert not _await(dm, session, carry_out, standstill, silent, told.append, over)
        assert (len(ran), told) == (programs, [32 << 20] * times)
    assert "hydration_batch_size 1" in dm.status("new")[0].text

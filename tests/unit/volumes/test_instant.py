"""What an instant restore refuses, as far as no kernel is needed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from drystone.backup.convoy.store import ConvoyStore
from drystone.backup.pipeline import silent
from drystone.base.errors import UsageError
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.store.folder import FolderStore
from drystone.testing.convoy_store import BLOCK, ConvoyWriter
from drystone.volumes.instant import Request, restore_instantly


def run(program: Program) -> Result:
    raise AssertionError(program)


def restore(request: Request) -> None:
    folder = request.folder.parent / "store"
    writer = ConvoyWriter(folder, named=True)
    writer.write_volume("vol1", BLOCK)
    writer.write_backup("vol1", "b1", bytes(BLOCK))
    with ConvoyStore(FolderStore(folder)).image("vol1", "b1") as image:
        restore_instantly(
            SimulatedDeviceMapper(), image, request, run, usable=print, progress=silent, failed=print,
            over=threading.Event(),
        )  # fmt: skip


def test_a_file_is_no_device_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(BLOCK))
    with pytest.raises(UsageError, match="no block device"):
        restore(Request("fresh", "url", str(tmp_path / "file"), folder=tmp_path / "state"))
    assert not (tmp_path / "state").exists()

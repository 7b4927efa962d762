"""Which metadata a word means."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import BusyError, NotFoundError, UsageError
from drystone.dvm.metadata_reading import Place, find_metadata, opened_metadata
from drystone.dvm.metadata_snapshot import ERA, POOL
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper


@pytest.fixture
def dm() -> SimulatedDeviceMapper:
    mapper = SimulatedDeviceMapper()
    mapper.create("zeros")
    mapper.load("zeros", [TableLine(0, 8, "zero")])
    mapper.resume("zeros")
    return mapper


def test_files(dm: SimulatedDeviceMapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(bytes(4096))
    assert find_metadata(dm, "file", ERA) == Place("file")
    assert find_metadata(dm, "/no/such/path", ERA) == Place("/no/such/path")
    with pytest.raises(UsageError, match="a name or a path is wanted"):
        find_metadata(dm, "", ERA)
    with pytest.raises(NotFoundError, match="no era device nothing, and no file"):
        find_metadata(dm, "nothing", ERA)


def test_devices_of_another_kind(dm: SimulatedDeviceMapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in (ERA, POOL):
        with pytest.raises(UsageError, match=f"zeros is no {kind.noun}"):
            find_metadata(dm, "zeros", kind)
    (tmp_path / "zeros").write_bytes(bytes(4096))
    assert find_metadata(dm, "zeros", ERA) == Place("zeros")


def test_metadata_in_use_is_not_read(dm: SimulatedDeviceMapper, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(4096))
    place = Place(str(path))
    with opened_metadata(dm, place, ERA) as opened:
        assert opened.location == 0
    with open_device(str(path), write=True, exclusive=True):
        with pytest.raises(BusyError, match="is in use"), opened_metadata(dm, place, ERA):
            pass
        with opened_metadata(dm, place, ERA, held=7) as opened:
            assert opened.location == 7

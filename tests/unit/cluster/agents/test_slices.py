"""The slices of a disk: what the disk itself remembers, and what is refused."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from drystone.base.errors import BusyError, DrystoneError, ExhaustedError, MismatchError, RefusedError, UsageError
from drystone.cluster.agents.slices import Piece, Slices, slice_lines
from drystone.dvm.state import Line
from drystone.kernel.dm.number import DeviceNumber

EXTENT = 4 << 20
ALL = tuple(f"leg-{number}" for number in range(1, 5))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(16 * EXTENT)
    Slices(str(path)).format(uuid4())
    return path


def test_the_disk_remembers(disk: Path) -> None:
    made = Slices(str(disk)).have("dlv-1", {"leg-1": 2 * EXTENT, "leg-2": EXTENT}, ALL)
    Slices(str(disk)).mark_ready(["leg-1"])
    found = Slices(str(disk)).read()
    assert [(each.leg, each.dlv, each.pieces, each.is_ready) for each in found.slices] == [
        ("leg-1", "dlv-1", (Piece(4, 2),), True),
        ("leg-2", "dlv-1", (Piece(6, 1),), False),
    ]
    assert made["leg-2"].extents == 1


def test_having_it_again_changes_nothing(disk: Path) -> None:
    slices = Slices(str(disk))
    slices.have("dlv-1", {"leg-1": EXTENT}, ALL)
    before = disk.read_bytes()
    slices.have("dlv-1", {"leg-1": EXTENT}, ALL)
    slices.mark_ready(["leg-9"])
    slices.remove("dlv-1", ["leg-9"])
    assert disk.read_bytes() == before


def test_what_was_given_back_is_used_again_in_pieces(disk: Path) -> None:
    slices = Slices(str(disk))
    slices.have("dlv-1", {"leg-1": 4 * EXTENT, "leg-2": 4 * EXTENT, "leg-3": 4 * EXTENT}, ALL)
    slices.remove("dlv-1", ["leg-1", "leg-3"])
    found = slices.have("dlv-2", {"leg-4": 6 * EXTENT}, ALL)["leg-4"]
    assert found.pieces == (Piece(4, 4), Piece(12, 2))
    assert slice_lines(found, DeviceNumber(8, 0)) == (
        Line(0, 32768, "linear", "8:0 32768"),
        Line(32768, 16384, "linear", "8:0 98304"),
    )


def test_without_room_none_is_made(disk: Path) -> None:
    slices = Slices(str(disk))
    with pytest.raises(ExhaustedError):
        slices.have("dlv-1", {"leg-1": 8 * EXTENT, "leg-2": 5 * EXTENT}, ALL)
    assert slices.read().slices == ()


def test_a_leg_is_one_dlvs_and_of_one_size(disk: Path) -> None:
    slices = Slices(str(disk))
    slices.have("dlv-1", {"leg-1": EXTENT}, ALL)
    for dlv, size in (("dlv-2", EXTENT), ("dlv-1", 2 * EXTENT)):
        with pytest.raises(MismatchError):
            slices.have(dlv, {"leg-1": size}, ALL)
    slices.remove("dlv-2", ["leg-1"])
    assert slices.read().find("leg-1") is not None


@pytest.mark.parametrize(("leg", "size"), [("../x", EXTENT), ("leg-1", 0), ("leg-1", -EXTENT)])
def test_what_cannot_be_is_refused(disk: Path, leg: str, size: int) -> None:
    with pytest.raises(UsageError):
        Slices(str(disk)).have("dlv-1", {leg: size}, [leg])


def test_a_disk_with_something_on_it_is_not_formatted(disk: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        Slices(str(disk)).format(uuid4())
    other = tmp_path / "other"
    with other.open("wb") as file:
        file.truncate(16 * EXTENT)
        file.seek(0)
        file.write(b"LUKS\xba\xbe\x00\x01")
    with pytest.raises(BusyError):
        Slices(str(other)).format(uuid4())
    small = tmp_path / "small"
    small.write_bytes(bytes(EXTENT))
    with pytest.raises(UsageError):
        Slices(str(small)).format(uuid4())


def test_a_disk_without_a_table_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(16 * EXTENT)
    with pytest.raises(DrystoneError):
        Slices(str(path)).have("dlv-1", {"leg-1": EXTENT}, ALL)

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, MismatchError, NotFoundError, UnavailableError, UsageError
from drystone.fleet.disk.health import Trouble
from drystone.fleet.disk.reader import Reader
from drystone.fleet.disk.sums import PIECE
from drystone.testing.fleet.disk_world import PLACEMENT, DiskWorld, content

SIZE = 2 * PIECE + 1000


@pytest.fixture
def path(world: DiskWorld) -> Path:
    world.put("h/a", SIZE)
    return world.disk.path_of(PLACEMENT, "h/a")


@pytest.mark.parametrize(
    ("begin", "end"),
    [(0, SIZE), (0, 1), (PIECE - 1, PIECE + 1), (PIECE, 2 * PIECE), (SIZE - 1, SIZE), (5, 5), (5, 1 << 40)],
)
def test_ranges(world: DiskWorld, path: Path, begin: int, end: int) -> None:
    data = content("h/a", 0, SIZE)
    with world.disk.open_version(PLACEMENT, "h/a") as reader:
        assert b"".join(bytes(view) for view in reader.read(begin, end)) == data[begin:end]


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        old = file.read(1)
        file.seek(offset)
        file.write(bytes((old[0] ^ 1,)))


def test_a_flipped_bit_is_never_handed_out(world: DiskWorld, path: Path) -> None:
    flip(path, PIECE + 77)
    with world.disk.open_version(PLACEMENT, "h/a") as reader:
        views = reader.read(0, SIZE)
        got = bytes(next(views))
        with pytest.raises(DamagedError) as caught:
            next(views)
        assert bytes(reader.read_piece(2)) == content("h/a", 0, SIZE)[2 * PIECE :]
    assert caught.value.facts == {"key": "h/a", "version_id": "null", "piece": 1, "offset": PIECE}
    assert got == content("h/a", 0, SIZE)[:PIECE]


@pytest.mark.parametrize("size", [0, PIECE, SIZE - 1])
def test_a_file_that_is_cut_is_damaged(world: DiskWorld, path: Path, size: int) -> None:
    os.truncate(path, size)
    with world.disk.open_version(PLACEMENT, "h/a") as reader, pytest.raises(DamagedError):
        list(reader.read(0, SIZE))


def test_a_piece_is_mended(world: DiskWorld, path: Path) -> None:
    right = content("h/a", 0, SIZE)
    flip(path, 5)
    entry = world.disk.find(PLACEMENT, "h/a")
    assert entry is not None
    with pytest.raises(MismatchError, match="are not those"):
        world.disk.repair(PLACEMENT, entry, 0, b"x" * PIECE)
    assert world.disk.repair(PLACEMENT, entry, 0, right[:PIECE])
    with world.disk.open_version(PLACEMENT, "h/a") as reader:
        assert b"".join(bytes(view) for view in reader.read(0, SIZE)) == right
    world.put("h/a", 10)
    assert not world.disk.repair(PLACEMENT, entry, 0, right[:PIECE])


@pytest.mark.parametrize("how", ["removed", "folder", "link"])
def test_a_file_that_is_gone_is_told_and_put_back(world: DiskWorld, path: Path, how: str, tmp_path: Path) -> None:
    path.unlink()
    if how == "link":
        path.symlink_to(tmp_path)
    elif how == "folder":
        path.parent.rmdir()
    with pytest.raises(DamagedError, match="is gone") as caught:
        world.disk.open_version(PLACEMENT, "h/a")
    assert caught.value.facts["piece"] == -1
    entry = world.disk.find(PLACEMENT, "h/a")
    assert entry is not None
    assert not world.disk.repair(PLACEMENT, entry, 0, content("h/a", 0, SIZE)[:PIECE])
    with pytest.raises(MismatchError):
        world.disk.restore(PLACEMENT, entry, world.body(b"other"))
    assert world.disk.restore(PLACEMENT, entry, world.body(content("h/a", 0, SIZE)))
    with world.disk.open_version(PLACEMENT, "h/a") as reader:
        assert sum(len(view) for view in reader.read(0, SIZE)) == SIZE


def test_which_version_is_asked_for(world: DiskWorld) -> None:
    world.put("h/a", 10)
    seq = world.state["h/a", "null"].seq
    world.disk.open_version(PLACEMENT, "h/a", seq=seq).close()
    with pytest.raises(MismatchError, match="by now"):
        world.disk.open_version(PLACEMENT, "h/a", seq=seq - 1)
    with pytest.raises(NotFoundError):
        world.disk.open_version(PLACEMENT, "h/a", "v1")
    with world.disk.open_version(PLACEMENT, "h/a") as reader, pytest.raises(UsageError):
        reader.read_piece(1)


def test_an_empty_object(world: DiskWorld) -> None:
    world.put("h/e", 0)
    with world.disk.open_version(PLACEMENT, "h/e") as reader:
        assert list(reader.read(0, 10)) == []
        assert reader.pieces == 0


def test_bad_sectors_are_damaged_pieces_until_there_are_many(world: DiskWorld) -> None:
    world.put("h/a", 5)
    with world.disk.open_version(PLACEMENT, "h/a") as good:
        row = good.row
    trouble = Trouble("data_1", world.disk.root)
    with Reader(row, os.open("/proc/self/mem", os.O_RDONLY), trouble) as reader:  # its first page reads as EIO
        for _ in range(7):
            with pytest.raises(DamagedError, match="piece 0"):
                reader.read_piece(0)
        assert trouble.reason == ""
        with pytest.raises(UnavailableError, match="is bad"):
            reader.read_piece(0)
    assert trouble.reason

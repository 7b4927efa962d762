"""Parts that become one body, step by step."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, NotFoundError, UnavailableError
from drystone.fleet.disk import assembling, places
from drystone.fleet.disk.sums import PIECE
from drystone.fleet.objects import PutOptions, UploadInfo
from drystone.testing.fleet.bodies import digest_of
from drystone.testing.fleet.disk_world import PLACEMENT, DiskWorld, UnsyncedFiles, content, make_disk, quick_folder


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "STEP", 2 * PIECE)


def begin(world: DiskWorld, *sizes: int) -> bytes:
    """An upload with parts of these sizes; their bytes."""
    world.disk.begin_upload(PLACEMENT, UploadInfo("h/x", "u1", 5.0, PutOptions()))
    data = b""
    for number, size in enumerate(sizes, start=1):
        part = content("part", number, size)
        world.put_part("u1", number, part)
        data += part
    return data


@pytest.mark.parametrize(
    ("sizes", "steps"),
    [
        ((PIECE, 7), 0),
        ((PIECE, PIECE, PIECE, PIECE), 1),
        ((5 * PIECE + 1,), 2),
        ((PIECE, 2 * PIECE, 1), 2),
        ((PIECE + 1, PIECE, 3 * PIECE), 3 + 2),  # all is read again, too
    ],
)
def test_it_takes_as_many_steps_as_there_are_bytes(world: DiskWorld, sizes: tuple[int, ...], steps: int) -> None:
    data = begin(world, *sizes)
    assembly = world.disk.assemble(PLACEMENT, "u1", range(1, len(sizes) + 1))
    for _ in range(steps):
        assert assembly.step()
    assert not assembly.step()
    body = assembly.body
    assert (world.disk.root / body.place).read_bytes() == data
    assert (body.finish().size, body.finish().digest) == (len(data), digest_of(data))
    body.abandon()


class CountedFiles(UnsyncedFiles):
    """Notes how much was in a file when it was made durable."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.synced: list[int] = []

    def sync(self, handle: int) -> None:
        self.synced.append(Path(f"/proc/self/fd/{handle}").stat().st_size)
        super().sync(handle)


def test_what_a_step_copied_is_durable_before_the_next() -> None:
    """So that the sync at the end, with the change, is short."""
    with quick_folder() as folder:
        files = CountedFiles(folder / "d")
        world = DiskWorld(make_disk(folder / "d", files))
        begin(world, PIECE, PIECE, PIECE, PIECE, 5)
        files.synced.clear()
        world.disk.assemble(PLACEMENT, "u1", range(1, 6)).finish().abandon()
        assert files.synced == [2 * PIECE, 4 * PIECE]
        world.disk.close()


@pytest.mark.parametrize(("count", "synced"), [(1, []), (2, [2]), (3, [2]), (4, [2, 4])])
def test_so_is_what_the_last_step_copied_where_it_is_much(
    count: int, synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two MiB a step, of which one may be left to the change."""
    monkeypatch.setattr(assembling, "LEFT", PIECE)
    with quick_folder() as folder:
        files = CountedFiles(folder / "d")
        world = DiskWorld(make_disk(folder / "d", files))
        begin(world, *[PIECE] * count)
        files.synced.clear()
        world.disk.assemble(PLACEMENT, "u1", range(1, count + 1)).finish().abandon()
        assert files.synced == [each * PIECE for each in synced]
        world.disk.close()


def test_one_that_was_given_up_leaves_nothing_and_goes_on_no_more(world: DiskWorld) -> None:
    begin(world, 2 * PIECE, 2 * PIECE)
    assembly = world.disk.assemble(PLACEMENT, "u1", (1, 2))
    assert assembly.step()
    for _ in range(2):
        assembly.give_up()
    with pytest.raises(UnavailableError, match="no more"):
        assembly.step()
    assert list((world.disk.root / places.TEMP).iterdir()) == []


def test_one_that_fails_leaves_nothing(world: DiskWorld) -> None:
    begin(world, PIECE + 1, PIECE)
    with pytest.raises(NotFoundError, match="no part 3"):
        world.disk.assemble(PLACEMENT, "u1", (1, 3)).finish()
    for path in (world.disk.root / places.PARTS).iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DamagedError):
        world.disk.assemble(PLACEMENT, "u1", (1, 2)).finish()
    assert list((world.disk.root / places.TEMP).iterdir()) == []

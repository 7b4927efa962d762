from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, InternalError, MismatchError, NotFoundError
from drystone.fleet.disk.changes import PartRecord
from drystone.fleet.disk.sums import PIECE
from drystone.fleet.objects import PutOptions, UploadInfo
from drystone.testing.fleet.disk_world import FLEET, PLACEMENT, DiskWorld, check_whole, content, read_state

UPLOAD = UploadInfo("h/big", "u1", 5.0, PutOptions(headers={"content-type": "x/y"}, tags={"a": "b"}))


def put_parts(world: DiskWorld, sizes: list[int]) -> bytes:
    world.disk.begin_upload(PLACEMENT, UPLOAD)
    data = b""
    for number, size in enumerate(sizes, start=1):
        part = content("part", number, size)
        world.put_part("u1", number, part)
        data += part
    return data


@pytest.mark.parametrize(
    "sizes", [[5], [PIECE, 5], [2 * PIECE, PIECE, 77], [PIECE + 1, 2 * PIECE, 5], [3, 4, 5], [0], [PIECE], [5, PIECE]]
)
def test_parts_become_one_object(world: DiskWorld, sizes: list[int]) -> None:
    data = put_parts(world, sizes)
    body = world.disk.assemble(PLACEMENT, "u1", range(1, len(sizes) + 1)).finish()
    sums = body.finish()
    straight = world.body(data)
    assert (sums.size, sums.pieces) == (len(data), straight.finish().pieces)
    straight.abandon()
    change = world.put_change("h/big", "null", data, body)
    world.disk.commit(world.disk.prepare(change, body))
    world.disk.drop_upload(PLACEMENT, "u1")
    with world.disk.open_version(PLACEMENT, "h/big") as reader:
        assert b"".join(bytes(view) for view in reader.read(0, len(data))) == data
    check_whole(world.disk, read_state(world.disk))
    assert list((world.disk.root / ".drystone/parts").iterdir()) == []


def test_what_is_under_way_is_there_after_a_restart(world: DiskWorld) -> None:
    data = put_parts(world, [30, 20])
    other = UploadInfo("h/another", "u0", 9.0, PutOptions())
    world.disk.begin_upload(PLACEMENT, other)
    world.disk.close()
    world.disk.open(FLEET)
    assert world.disk.uploads(PLACEMENT) == (other, UPLOAD)
    assert world.disk.uploads(PLACEMENT, "h/b") == (UPLOAD,)
    upload, parts = world.disk.parts(PLACEMENT, "u1")
    assert upload == UPLOAD
    assert [(each.number, each.size, each.checksums) for each in parts] == [
        (1, 30, {"crc32c": "x"}),
        (2, 20, {"crc32c": "x"}),
    ]
    body = world.disk.assemble(PLACEMENT, "u1", [1, 2]).finish()
    assert (world.disk.root / body.place).read_bytes() == data
    body.abandon()


def test_a_part_is_replaced_and_parts_may_be_left_out(world: DiskWorld) -> None:
    put_parts(world, [30, 20, 10])
    world.put_part("u1", 2, b"new")
    body = world.disk.assemble(PLACEMENT, "u1", [2, 3]).finish()
    assert (world.disk.root / body.place).read_bytes() == b"new" + content("part", 3, 10)
    body.abandon()
    world.disk.close()
    assert len(list((world.disk.root / ".drystone/parts").iterdir())) == 3


def test_a_dropped_upload_is_gone(world: DiskWorld) -> None:
    put_parts(world, [30, 20])
    for _ in range(2):
        world.disk.drop_upload(PLACEMENT, "u1")
    assert list((world.disk.root / ".drystone/parts").iterdir()) == []
    with pytest.raises(NotFoundError, match="no upload u1"):
        world.put_part("u1", 1, b"late")
    with pytest.raises(NotFoundError, match="no upload u1"):
        world.disk.parts(PLACEMENT, "u1")
    with pytest.raises(NotFoundError, match="no upload u1"):
        world.disk.assemble(PLACEMENT, "u1", [1]).finish()
    assert list((world.disk.root / ".drystone/temp").iterdir()) == []


def test_a_part_that_is_not_there(world: DiskWorld) -> None:
    put_parts(world, [30])
    with pytest.raises(NotFoundError, match="no part 2"):
        world.disk.assemble(PLACEMENT, "u1", [1, 2]).finish()


def test_a_part_that_changed_on_its_way_is_not_kept(world: DiskWorld) -> None:
    put_parts(world, [30])
    right = world.body(b"abc")
    digest = right.finish().digest
    right.abandon()
    for size, came in ((3, b"abd"), (4, b"abc")):
        body = world.body(came)
        with pytest.raises(MismatchError, match="3 bytes with digest"):
            world.disk.put_part(PLACEMENT, "u1", PartRecord(2, size, "m", 8.0, {}, digest), body)
        body.abandon()
    assert [each.number for each in world.disk.parts(PLACEMENT, "u1")[1]] == [1]


def test_a_damaged_part_is_found_when_it_is_read_again(world: DiskWorld) -> None:
    put_parts(world, [30, 20])
    paths: list[Path] = sorted((world.disk.root / ".drystone/parts").iterdir(), key=lambda each: each.stat().st_size)
    paths[1].write_bytes(b"x" * 30)
    with pytest.raises(DamagedError, match="not what was put"):
        world.disk.assemble(PLACEMENT, "u1", [1, 2]).finish()
    os.truncate(paths[0], 5)
    with pytest.raises(DamagedError, match="has 5 bytes"):
        world.disk.assemble(PLACEMENT, "u1", [2]).finish()
    paths[0].unlink()
    with pytest.raises(DamagedError, match="is gone"):
        world.disk.assemble(PLACEMENT, "u1", [2]).finish()
    assert world.disk.report().health == "good"


def test_nothing_is_added_to_a_finished_body(world: DiskWorld) -> None:
    body = world.body(b"abc")
    body.finish()
    with pytest.raises(InternalError):
        body.write(b"d")
    body.abandon()

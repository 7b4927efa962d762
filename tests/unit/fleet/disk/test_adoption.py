from __future__ import annotations

import hashlib

import pytest

from drystone.base.errors import DamagedError
from drystone.fleet.disk import adoption
from drystone.testing.fleet.disk_world import FLEET, PLACEMENT, DiskWorld, check_whole, placement, read_state


def lose_index(world: DiskWorld) -> None:
    world.disk.close()
    (world.disk.root / ".drystone/index.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(DamagedError, match="damaged index"):
        world.disk.open(FLEET)
    before = world.disk.identity
    after = adoption.start_over(world.disk.root)
    assert after.fleet == before.fleet
    assert after.disk_id != before.disk_id
    world.disk.open(FLEET)
    assert world.disk.identity == after
    assert world.disk.held() == ()
    world.disk.hold(placement(world.disk.identity.disk_id), "primary")


def test_a_peers_rows_are_taken_over_for_files_that_are_right(world: DiskWorld) -> None:
    for key in ("h/a", "h/b/c", "h/changed", "h/gone", "h/folder", "h/odd/"):
        world.put(key, 33)
    state = read_state(world.disk)
    peer = {}
    for key in ("h/a", "h/b/c", "h/changed", "h/gone", "h/folder", "h/odd/"):
        entry = world.disk.find(PLACEMENT, key)
        assert entry is not None
        with world.disk.open_version(PLACEMENT, key) as reader:
            peer[key] = (entry, reader.sums())
    lose_index(world)
    (world.disk.root / "primary/h/changed").write_bytes(b"x" * 33)
    (world.disk.root / "primary/h/gone").unlink()
    (world.disk.root / "primary/h/folder").unlink()
    (world.disk.root / "primary/h/folder").mkdir()
    taken = {key for key, (entry, sums) in peer.items() if world.disk.adopt(PLACEMENT, entry, sums)}
    assert taken == {"h/a", "h/b/c"}
    assert read_state(world.disk) == {place: each for place, each in state.items() if place[0] in taken}
    assert not world.disk.adopt(PLACEMENT, *peer["h/a"])
    (world.disk.root / "primary/h/changed").unlink()
    for path in (world.disk.root / ".drystone/odd").iterdir():
        path.unlink()
    check_whole(world.disk, read_state(world.disk))


def test_files_alone_become_objects(world: DiskWorld) -> None:
    world.put("h/a", 33)
    world.put("h/b/c", 44)
    data = world.state["h/a", "null"].data
    assert data is not None
    modified = (world.disk.root / "primary/h/a").stat().st_mtime
    lose_index(world)
    assert sorted(world.disk.adopt_files(PLACEMENT)) == ["h/a", "h/b/c"]
    assert list(world.disk.adopt_files(PLACEMENT)) == []
    entry = world.disk.find(PLACEMENT, "h/a")
    assert entry is not None
    assert (entry.info.etag, entry.info.modified, entry.info.seq) == (hashlib.md5(data).hexdigest(), modified, 0)
    state = read_state(world.disk)
    check_whole(world.disk, state)
    world.put("h/a", 5)
    assert read_state(world.disk)["h/a", "null"].data == world.state["h/a", "null"].data

from __future__ import annotations

from drystone.fleet.disk.scrub import ScrubFinding, ScrubPlace
from drystone.fleet.disk.sums import PIECE
from drystone.testing.fleet.disk_world import PLACEMENT, DiskWorld, placement


def test_damage_is_found_in_every_version(world: DiskWorld) -> None:
    world.put("h/a", 2 * PIECE + 5, "v1")
    world.put("h/a", 10, "v2")
    world.mark("h/a", "m")
    world.put("h/b", 10)
    world.put("h/c/", 10)
    world.put("h/d", 0)
    assert not [each for each in world.disk.scrub() if isinstance(each, ScrubFinding)]
    (big,) = [path for path in (world.disk.root / ".drystone/versions").iterdir() if path.stat().st_size > 10]
    with big.open("r+b") as file:
        file.seek(2 * PIECE)
        file.write(b"xxx")
    (world.disk.root / "primary/h/b").unlink()
    (odd,) = (world.disk.root / ".drystone/odd").iterdir()
    odd.write_bytes(b"0123456789")
    found = {
        (each.kind, each.key, each.version_id, each.piece)
        for each in world.disk.scrub()
        if isinstance(each, ScrubFinding)
    }
    assert found == {("damaged", "h/a", "v1", 2), ("missing", "h/b", "null", -1), ("damaged", "h/c/", "null", 0)}


def test_it_goes_on_where_it_was(world: DiskWorld) -> None:
    world.disk.hold(placement(world.disk.identity.disk_id, host="g", placement_id="p0"), "secondary")
    for number in range(600):
        world.put(f"h/{number:03}", 1, leads=False)
    steps = [each for each in world.disk.scrub() if isinstance(each, ScrubPlace)]
    assert [each.key for each in steps] == ["h/255", "h/511", "h/599"]
    assert sum(each.size for each in steps) == 600
    rest = [each for each in world.disk.scrub(steps[0]) if isinstance(each, ScrubPlace)]
    assert rest == steps[1:]
    assert list(world.disk.scrub(steps[-1])) == []
    assert list(world.disk.scrub(stop=lambda: True)) == []


def test_files_that_nobody_knows_are_found(world: DiskWorld) -> None:
    world.disk.hold(placement(world.disk.identity.disk_id, placement_id="p2"), "primary")
    world.put("h/a", 5)
    world.put("h/b/", 5)
    assert list(world.disk.strays()) == []
    root = world.disk.root
    (root / "primary/h/x").mkdir()
    (root / "primary/h/x/y").write_text("?")
    (root / ".drystone/odd/lost").write_text("?")
    assert sorted(world.disk.strays()) == [".drystone/odd/lost", "primary/h/x/y"]
    assert PLACEMENT in world.disk.placements()

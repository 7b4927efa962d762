from __future__ import annotations

import pytest

from drystone.testing.fleet.disk_world import EPOCH, FLEET, PLACEMENT, DiskWorld, placement, read_state


def fill(world: DiskWorld) -> None:
    world.disk.hold(placement(world.disk.identity.disk_id, host="g", placement_id="p2"), "secondary")
    for number in range(300):
        world.put(f"h/{number % 7}/{number}", 10, leads=False)
    world.put("h/v", 10, "v1")
    world.put("h/v", 10, "v2")
    world.mark("h/w", "m")
    world.put("h/odd/", 4)
    world.give_up("h/x", dirty=True)
    world.upload("h/up", (5, 5))


def files_left(world: DiskWorld) -> list[str]:
    found = [path for path in world.disk.root.rglob("*") if path.is_file() and "index.db" not in path.name]
    return [path.name for path in found if path.name not in {"disk.json", "lock"}]


def test_a_leftover_is_deleted_with_all_it_had(world: DiskWorld) -> None:
    fill(world)
    assert world.disk.leave(PLACEMENT)
    assert world.disk.leave(PLACEMENT)
    assert files_left(world) == []
    assert not (world.disk.root / "primary/h").exists()
    assert list(world.disk.placements()) == ["p2"]
    world.disk.close()
    world.disk.open(FLEET)
    assert list(world.disk.placements()) == ["p2"]
    world.disk.hold(placement(world.disk.identity.disk_id), "primary")
    assert read_state(world.disk) == {}
    (_, held) = world.disk.held()
    assert (held.objects, held.size, held.newest) == (0, 0, 0.0)


@pytest.mark.parametrize("asked", [50, 303])
def test_it_goes_on_after_a_stop_and_a_restart(world: DiskWorld, asked: int) -> None:
    fill(world)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > asked

    assert not world.disk.leave(PLACEMENT, stop=stop)
    assert PLACEMENT in world.disk.placements()
    (held, _) = sorted(world.disk.held(), key=lambda each: each.placement.id)
    left = read_state(world.disk)
    assert (held.objects, held.size) == (
        len({key for key, _ in left if world.disk.find(PLACEMENT, key, None)} - {"h/w"}),
        sum(len(each.data or b"") for each in left.values()),
    )
    world.disk.close()
    world.disk.open(FLEET)
    assert world.disk.leave(PLACEMENT)
    assert files_left(world) == []


def test_somebody_elses_file_stays(world: DiskWorld) -> None:
    fill(world)
    (world.disk.root / "primary/h/mine").write_text("mine")
    assert world.disk.leave(PLACEMENT)
    assert files_left(world) == ["mine"]


def test_what_others_have_stays(world: DiskWorld) -> None:
    fill(world)
    assert world.disk.leave("p2")
    assert list(world.disk.placements()) == [PLACEMENT]
    assert len(read_state(world.disk)) > 300


def test_a_placement_that_comes_back_begins_anew(world: DiskWorld) -> None:
    first = world.disk.take_seq(PLACEMENT, EPOCH)
    world.disk.release(PLACEMENT, first)
    assert world.disk.leave(PLACEMENT)
    world.disk.hold(placement(world.disk.identity.disk_id, placement_id="p3"), "primary")
    assert world.disk.take_seq("p3", EPOCH) == first, "another one counts for itself"
    world.disk.close()
    world.disk.open(FLEET)
    assert world.disk.take_seq("p3", EPOCH) > first

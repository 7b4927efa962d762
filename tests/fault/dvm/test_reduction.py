"""The hunt's reduction leaves nothing out: all states of the disks, one by one, have the same outcomes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from drystone.base.errors import DrystoneError
from drystone.dvm.replication import replicate
from drystone.testing.crash_states import (
    PAGE,
    SECTOR,
    Adversary,
    Choices,
    Crash,
    World,
    copy_world,
    count_states,
    open_world,
    power_off,
    try_all,
)
from drystone.testing.region_scenarios import make_world, three_versions, update


def outcome(world: World, choices: Choices) -> tuple[str, bytes]:
    """What is read after a recovery, and every slot after it; or the error."""
    devices = open_world(world, Adversary(choices))
    try:
        told = replicate.recover(devices)
        return told.agreement, replicate.read(devices).data
    except DrystoneError as error:
        return type(error).__name__, b""


def all_states(world: World) -> Iterator[World]:
    """Every single state that a crash may have left, with nothing open."""
    places = [(number, place) for number, disk in enumerate(world) for place in sorted(disk.unsure)]
    for chosen in itertools.product(*(world[number].unsure[place] for number, place in places)):
        state = copy_world(world)
        for (number, (page, sector)), content in zip(places, chosen, strict=True):
            disk = state[number]
            del disk.unsure[page, sector]
            whole = bytearray(disk.sure.get(page, bytes(PAGE)))
            whole[sector * SECTOR : (sector + 1) * SECTOR] = content
            disk.sure[page] = bytes(whole)
        yield state


@pytest.mark.parametrize("sizes", [(20,), (18, 20)])
@pytest.mark.parametrize("dropped", ["", "prepare > write_pages", "commit > _write_slots > write_slot"])
def test_each_state_by_itself_has_the_outcomes_that_were_hunted(sizes: tuple[int, ...], dropped: str) -> None:
    start = make_world(sizes, three_versions)
    left: list[World] = []

    def run(choices: Choices) -> None:
        world = copy_world(start)
        try:
            update(open_world(world, Adversary(choices, crashes=True, dropped=dropped)), b"x")
        except Crash:
            left.append(power_off(world))

    try_all(run)
    assert len(left) > 3
    seen = 0
    for world in left:
        assert count_states(world) <= 1 << 9
        hunted: set[tuple[str, bytes]] = set()
        try_all(lambda choices, world=world, hunted=hunted: hunted.add(outcome(copy_world(world), choices)))  # type: ignore[misc]
        assert {outcome(state, Choices()) for state in all_states(world)} == hunted
        seen += count_states(world)
    assert seen > len(left)

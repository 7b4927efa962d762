"""Monitors that are killed at each of their steps: whoever comes next goes on, to the same end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .world import World

PERIOD = 11
"""Steps between two kills."""


def live(world: World) -> None:
    """A whole life, to its end."""
    world.make()
    world.attach()
    assert [*world.ihost.nodes] == ["drystone-dlv-db"]
    assert {leg.in_sync for leg in world.dlv().legs} == {True}
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    assert (world.dlv().status, world.dlv().clean) == ("detached", True)
    assert world.admitted() == set()
    world.client.ask("DELETE", "/dlvs/db")
    world.go()
    assert world.client.ask("GET", "/dlvs/db")[0] == 404
    assert world.slices() == {"d1": set(), "d2": set()}
    assert world.ihost.tables() == {}


@pytest.mark.parametrize("first", range(1, PERIOD + 1))
def test_a_life_in_which_monitors_are_killed_again_and_again(make_world: Callable[..., World], first: int) -> None:
    """Each step of a life is the one of a kill in one of these."""
    world = make_world()
    world.steps.kill_from(first, PERIOD)
    live(world)
    assert world.steps.kills > 3

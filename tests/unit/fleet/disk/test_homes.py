"""Placements that a disk has."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import msgspec
import pytest

from drystone.base.errors import MismatchError
from drystone.fleet.disk.homes import Homes
from drystone.fleet.disk.index import Index
from drystone.fleet.documents import Member
from drystone.testing.fleet.disk_world import placement

HoldUp = Callable[[], AbstractContextManager[Callable[[int], None]]]


def test_many_that_are_learned_at_once_share_a_commit(index: Index, commits: list[int], hold_up: HoldUp) -> None:
    homes = Homes(index)
    learned = [placement("d", placement_id=f"p{number}") for number in range(8)]
    with ThreadPoolExecutor(9) as threads:
        with hold_up() as wait_for:
            holds = [threads.submit(homes.hold, each, "primary") for each in learned]
            wait_for(len(holds))
        for each in holds:
            each.result()
    assert len(commits) == 2
    again = Homes(index)
    again.load()
    assert {each.placement.id: each.placement for each in again.all().values()} == {each.id: each for each in learned}


def test_an_earlier_epoch_that_comes_while_a_later_one_is_written_is_refused(index: Index, hold_up: HoldUp) -> None:
    homes = Homes(index)

    def hold(epoch: int) -> None:
        homes.hold(placement("d", epoch=epoch), "primary")

    with ThreadPoolExecutor(2) as threads, hold_up() as wait_for:
        later = threads.submit(hold, 6)
        wait_for(1)
        earlier = threads.submit(hold, 5)
        with pytest.raises(TimeoutError):
            earlier.result(0.2)
    later.result()
    with pytest.raises(MismatchError, match="in epoch 6"):
        earlier.result()
    again = Homes(index)
    again.load()
    assert again.find("p1").placement.epoch == homes.find("p1").placement.epoch == 6


def test_whom_a_leader_counted_in_stays_so_in_the_epoch(index: Index) -> None:
    """The map of that epoch, which does not know it yet, may come after."""
    own = placement("d", epoch=6)
    told = msgspec.structs.replace(own, members=(*own.members, Member("s2", "data_1", "e", "secondary", "copying")))
    counted = msgspec.structs.replace(told, members=(*own.members, Member("s2", "data_1", "e", "secondary", "in_sync")))
    homes = Homes(index)
    for each in (told, counted, told):
        homes.hold(each, "primary")
    again = Homes(index)
    again.load()
    assert again.find("p1").placement == counted
    later = msgspec.structs.replace(told, epoch=7)
    homes.hold(later, "primary")
    assert homes.find("p1").placement == later

"""The changes that a leader is making, and the floor below which all have ended."""

from __future__ import annotations

import asyncio

import pytest

from drystone.base.errors import TimedOutError
from drystone.fleet.disk.changes import Change
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.under_way import UnderWay


def change(seq: int, key: str = "k") -> Change:
    return Change("put", "p", ObjectInfo(key, 0, 0.0, "", "", seq), seq)


def test_the_floor_is_the_lowest_number_under_way() -> None:
    async def run() -> None:
        changes = UnderWay()
        with changes.noting("p", 1) as first:
            assert await changes.number(first, change(10)) == 10
            with changes.noting("p", 1) as second:
                assert await changes.number(second, change(12)) == 10
        with changes.noting("p", 1) as third:
            assert await changes.number(third, change(13)) == 13

    asyncio.run(run())


def test_one_that_has_no_number_yet_holds_the_floor_down() -> None:
    async def run() -> None:
        changes = UnderWay()
        with changes.noting("p", 1) as early, changes.noting("p", 1) as late:
            assert await changes.number(late, change(12)) <= 11
            assert await changes.number(early, change(11)) == 11

    asyncio.run(run())


def test_after_a_change_was_given_up_the_next_of_its_key_goes_above_it() -> None:
    async def run() -> None:
        changes = UnderWay()
        with changes.noting("p", 1) as slow:
            await changes.number(slow, change(5, "other"))
            with changes.noting("p", 1) as lost:
                await changes.number(lost, change(6))
                changes.give_up(change(6))
            with changes.noting("p", 1) as unconcerned:
                assert await changes.number(unconcerned, change(7, "third")) == 5
            with changes.noting("p", 1) as following:
                waiting = asyncio.create_task(changes.number(following, change(8)))
                for _ in range(5):
                    await asyncio.sleep(0)
                assert not waiting.done()
                changes._changes["p"].discard(slow)
                changes._tell()
                assert await waiting == 8
                changes.settle(change(8))
        assert changes._given_up == {}

    asyncio.run(run())


def test_changes_of_older_epochs_are_waited_for() -> None:
    async def run() -> None:
        changes = UnderWay()
        with changes.noting("p", 1):
            with pytest.raises(TimedOutError):
                await changes.wait_for_older("p", 2, 0.01)
            await changes.wait_for_older("p", 1, 0.01)
            await changes.wait_for_older("other", 2, 0.01)
        await changes.wait_for_older("p", 2, 120)

    asyncio.run(run())

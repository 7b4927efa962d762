"""Locks by key: in the order of asking, and gone when nobody wants them."""

from __future__ import annotations

import asyncio

from drystone.fleet.storage.key_locks import KeyLocks


def test_one_at_a_time_in_the_order_of_asking() -> None:
    locks, seen = KeyLocks(), []

    async def work(key: str, name: str) -> None:
        async with locks.hold(key):
            seen.append(f"{name} begins")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(f"{name} ends")

    async def run() -> None:
        await asyncio.gather(work("k", "a"), work("k", "b"), work("k", "c"))

    asyncio.run(run())
    assert seen == [f"{name} {step}" for name in "abc" for step in ("begins", "ends")]
    assert len(locks) == 0


def test_other_keys_do_not_wait() -> None:
    locks = KeyLocks()

    async def run() -> None:
        async with locks.hold("a"), locks.hold("b"):
            assert len(locks) == 2

    asyncio.run(run())


def test_who_gives_up_waiting_leaves_no_lock_behind() -> None:
    locks = KeyLocks()

    async def wait() -> None:
        async with locks.hold("k"):
            raise AssertionError("it was held")

    async def run() -> None:
        async with locks.hold("k"):
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        assert len(locks) == 0

    asyncio.run(run())

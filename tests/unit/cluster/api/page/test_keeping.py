"""What many ask for is made seldom."""

from __future__ import annotations

import asyncio

import pytest

from drystone.cluster.api.page.keeping import Kept


class Made:
    """Makes 1, 2, 3 and so on."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.count = 0
        self.seconds = seconds

    async def __call__(self) -> int:
        await asyncio.sleep(self.seconds)
        self.count += 1
        if self.count == 2:
            raise OSError("the second one cannot be made")
        return self.count


def test_one_is_made_for_all_who_ask_at_a_time() -> None:
    async def ask() -> list[int]:
        kept = Kept(Made(0.01), kept=60.0)
        return list(await asyncio.gather(*(kept.get() for _ in range(5))))

    assert asyncio.run(ask()) == [1] * 5


def test_what_took_long_is_kept_longer() -> None:
    async def ask() -> tuple[int, int]:
        kept = Kept(Made(0.05), kept=0.001)
        first = await kept.get()
        await asyncio.sleep(0.05)
        return first, await kept.get()

    assert asyncio.run(ask()) == (1, 1)


def test_what_cannot_be_made_is_told_and_tried_anew() -> None:
    async def ask() -> int:
        kept = Kept(Made(), kept=60.0)
        await kept.get()
        kept.forget()
        with pytest.raises(OSError, match="the second one"):
            await kept.get()
        return await kept.get()

    assert asyncio.run(ask()) == 3


def test_nothing_is_kept_for_no_time() -> None:
    async def ask() -> tuple[int, int]:
        made = Made()
        made.count = 5
        kept = Kept(made, kept=0)
        return await kept.get(), await kept.get()

    assert asyncio.run(ask()) == (6, 7)


def test_what_is_forgotten_while_it_is_made_is_not_given_again() -> None:
    """It was read before the change that it is forgotten for."""

    async def ask() -> tuple[int, int]:
        made = Made(0.01)
        made.count = 5
        kept = Kept(made, kept=60.0)
        making = asyncio.create_task(kept.get())
        await asyncio.sleep(0)
        kept.forget()
        return await making, await kept.get()

    assert asyncio.run(ask()) == (6, 7)

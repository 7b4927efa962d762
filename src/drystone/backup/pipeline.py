"""Work done by threads ahead of the one who wants the results, in order and within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) by the thread that asked for the work."""


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def ordered(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result, None, None]:
    """`work(item)` of every item, in the items' order, with at most `ahead` of them started and not yet yielded.

    Items are taken in the caller's thread. When the caller stops early, or a `work` raises, what has not begun is
    cancelled and what has is waited for: after this generator is closed, nothing of it runs.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()
        wait(waiting)

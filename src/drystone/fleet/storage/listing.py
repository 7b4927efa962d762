"""A listing of a whole namespace out of those of its placements."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Iterator, Sequence

from drystone.fleet.documents import Placement
from drystone.fleet.objects import ObjectInfo, Page

_AT_A_TIME = 8
"""Placements asked at the same time."""
_PAST_SLASH = chr(ord("/") + 1)

Ask = Callable[[Placement], Awaitable[Page]]
Item = tuple[str, ObjectInfo | None]
"""A key with its object, or a common prefix with None."""


def relevant(placements: Sequence[Placement], prefix: str, after: str) -> list[Placement]:
    """Those that can have keys with `prefix` above `after`, in the order of their keys; the host "" first."""
    found: list[Placement] = []
    for each in placements:
        begin = f"{each.host}/"
        if not each.host:
            if "/" not in prefix:
                found.append(each)
        elif (prefix.startswith(begin) or begin.startswith(prefix)) and each.host + _PAST_SLASH > after:
            found.append(each)
    return sorted(found, key=lambda each: (each.host != "", f"{each.host}/"))


async def merge(placements: Sequence[Placement], ask: Ask, limit: int, *, versions: bool) -> Page:
    """A page of all.

    :param placements: as `relevant` gives them. :param ask: gives the page of one, of up to `limit` objects and
        prefixes.
    """
    from asyncio import gather

    loose = [await ask(each) for each in placements if not each.host]
    hosts = [each for each in placements if each.host]
    rows: list[Item] = []
    more = any(page.after for page in loose)
    for begin in range(0, len(hosts), _AT_A_TIME):
        if len(rows) >= limit:
            more = True
            break
        for page in await gather(*(ask(each) for each in hosts[begin : begin + _AT_A_TIME])):
            rows += items(page)
            more = more or bool(page.after)
    merged = without_repeats(heapq.merge(rows, *(items(page) for page in loose), key=lambda item: item[0]))
    taken: list[Item] = []
    for item in merged:
        if len(taken) == limit:
            more = True
            break
        taken.append(item)
    return Page(
        tuple(info for _, info in taken if info is not None),
        tuple(name for name, info in taken if info is None),
        mark(taken[-1], versions=versions) if more and taken else "",
    )


def items(page: Page) -> list[Item]:
    """Objects and prefixes in one order."""
    objects: list[Item] = [(each.key, each) for each in page.objects]
    prefixes: list[Item] = [(each, None) for each in page.prefixes]
    return list(heapq.merge(objects, prefixes, key=lambda item: item[0]))


def without_repeats(rows: Iterator[Item]) -> Iterator[Item]:
    """A prefix that several placements share comes once."""
    last: str | None = None
    for name, info in rows:
        if info is None:
            if name == last:
                continue
            last = name
        yield name, info


def mark(item: Item, *, versions: bool) -> str:
    """What to pass as `after` to go on behind an item."""
    name, info = item
    return name if info is None or not versions else f"{name}\0{info.version_id}"

"""Which packs a scrub of a few percent looks at: by the day, without a memory of what was looked at before.

Each pack has a place on a circle, from its id. A scrub looks at an arc of the circle, a percent of it a percent; where
the arc begins moves on by the golden ratio each day. Its multiples lie evenly on the circle whether one counts every
day, every 7th or every 30th, so the arcs of runs at any steady pace cover all of it, and no pack waits for long: with
5 percent every pack is met within some 45 runs. Two runs on one day look at the same packs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import UTC, datetime

from drystone.base.errors import UsageError

_GOLDEN = 0.6180339887498949
_DAY = 86400


def place_of(pack: bytes) -> float:
    """Where a pack is on the circle: 0 up to 1."""
    return zlib.crc32(pack) / (1 << 32)


def choose_packs(packs: Iterable[bytes], percent: float, now: datetime) -> list[bytes]:
    """The packs, ascending, that a scrub of so many percent looks at now.

    :raises UsageError: a percentage that is not above 0, or is above 100.
    """
    if not 0 < percent <= 100:
        raise UsageError(f"a scrub of {percent:g} percent", hint="more than 0, and up to 100")
    if percent == 100:
        return sorted(packs)
    begin = int(now.astimezone(UTC).timestamp() // _DAY) * _GOLDEN % 1
    return sorted(pack for pack in packs if (place_of(pack) - begin) % 1 < percent / 100)

"""Values as people read them. Pure."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from drystone.base.sizes import format_size

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def spell_seconds(seconds: float | None) -> str:
    """`3 min`, `2 d 5 h`: two units at most, the second one only up to days and hours; "not known" for None."""
    if seconds is None:
        return "not known"
    whole = max(0, round(seconds))
    for (unit, size), (smaller, smaller_size) in itertools.pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest and unit in "dh" else f"{whole // size} {unit}"
    return f"{whole} s"


def spell_size(size: int | None) -> str:
    """`1.5 GiB`; "not known" for None. :param size: bytes."""
    return "not known" if size is None else format_size(size)


def spell_moment(seconds: float) -> str:
    """`2026-02-28 23:59:58`, in UTC. :param seconds: since 1970; 0 is never."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds else "never"


def spell_count(number: int, one: str, many: str = "") -> str:
    """`1 host`, `2 hosts`, `1,000 hosts`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"

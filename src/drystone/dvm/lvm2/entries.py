"""What the documents of `dvm lvm2` share. Sizes are bytes, extents are counted, times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an object of these documents is."""


def format_time(seconds: int) -> str | None:
    """A moment in UTC as ISO 8601; None for 0 and for what no calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None
    except (OverflowError, ValueError, OSError):
        return None

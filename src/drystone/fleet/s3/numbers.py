"""Whole numbers as requests spell them."""

from __future__ import annotations

_MAX_DIGITS = 19


def parse_number(text: str) -> int | None:
    """The number that `text` is: ASCII digits, 19 at most. None when it is something else."""
    return int(text) if len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit() else None

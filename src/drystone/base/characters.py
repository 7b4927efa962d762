"""Which characters a text is made of, by plain string methods: for tools that start faster than `re` is imported."""

from __future__ import annotations

DIGITS = "0123456789"
LOWER = "abcdefghijklmnopqrstuvwxyz"
LETTERS = LOWER + LOWER.upper()
WORD = LETTERS + DIGITS
"""ASCII, all of them: no other alphabet's letters or digits."""


def is_made_of(text: str, characters: str, most: int = 0) -> bool:
    """Whether `text` has one character at least, up to `most` (0: any number), and all are among `characters`."""
    return bool(text) and not text.strip(characters) and (not most or len(text) <= most)

"""Damage as a value: which bytes of an image cannot be had, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drystone.base.errors import DamagedError

NAMED = 100
"""Damages that an error names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A range of an image that cannot be read: offset and length in bytes, and what is wrong."""

    offset: int
    length: int
    message: str


Damages = list[Damage]


def raise_damages(damages: Sequence[Damage], *, hint: str, **facts: object) -> None:
    """Nothing when there are none.

    :raises DamagedError: the message is the first one's; the fact `damages` lists the messages of up to 100, `ranges`
        their offsets and lengths.
    """
    if not damages:
        return
    first = damages[0].message
    raise DamagedError(
        first if len(damages) == 1 else f"{first}, and {len(damages) - 1} more places",
        hint=hint,
        damages=[each.message for each in damages[:NAMED]],
        ranges=[[each.offset, each.length] for each in damages[:NAMED]],
        **facts,
    )

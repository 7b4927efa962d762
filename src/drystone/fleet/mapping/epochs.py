"""Epochs, of which a placement has 2**23: how many a rebuilding leaves out, and where they end. Pure.

A placement that has used nearly all of its own is changed no more, rather than come to numbers that are below those
that its servers know. What it holds is read and written as before, by the members that it has.
"""

from __future__ import annotations

from drystone.base.errors import ExhaustedError
from drystone.fleet.documents import Placement
from drystone.fleet.mapping.audit import name_placement
from drystone.fleet.replica import LAST_EPOCH

_LEAP = 1000
"""Epochs that are left out at least: what the lost database decided and nobody learned was in one of them, if anywhere.
"""
_LEAPS, _APART = 61, 64
"""Leaps of different lengths, so many epochs from each other: two rebuildings that begin at the same epoch come to
different ones. Short ones, as epochs have 23 bits."""
_FARTHER = 20_000
"""Epochs: more than a database that was lost can be ahead, with a rebuilding of its own."""

SPENT = LAST_EPOCH - (_FARTHER + _LEAP + _APART * _LEAPS)
"""From here on a placement is changed no more. The longest leap, from below, does not come to the end."""
SHORT = SPENT - SPENT // 4
"""From here on people are told: for so long as some hundred rebuildings take."""


def measure_leap(term: int) -> int:
    """How many epochs a rebuilding in this term leaves out. Terms differ by a random number each time."""
    return _LEAP + _APART * (term % _LEAPS)


def measure_overruling(term: int) -> int:
    """How many are left out where a disk that is missing may know more."""
    return _FARTHER + measure_leap(term)


def is_spent(placement: Placement) -> bool:
    """Whether it cannot be changed any more."""
    return placement.epoch >= SPENT


def is_short(placement: Placement) -> bool:
    """Whether it comes near its last epoch, or cannot be changed any more."""
    return placement.epoch >= SHORT


def spell_short(placement: Placement) -> str:
    """What to tell people of one that does."""
    end = "it is changed no more" if is_spent(placement) else f"from {SPENT} on it is changed no more"
    return f"{name_placement(placement)}: epoch {placement.epoch} of {LAST_EPOCH}; {end}"


def check_epoch(placement: Placement) -> None:
    """:raises ExhaustedError: it cannot be changed any more."""
    if is_spent(placement):
        raise ExhaustedError(
            f"{name_placement(placement)} is in epoch {placement.epoch} of {LAST_EPOCH}: it is changed no more",
            hint="copy what it holds to another host, then forget it",
        )

"""What a dpv agent keeps of a dlv, and what it may do about a wish, as functions of values.

That a leg may be made is of one epoch, and ends when the leg is there: from then on it may hold what was acknowledged.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from drystone.base.errors import BusyError
from drystone.cluster.agents.notes import check_epoch
from drystone.cluster.model.calls import LegsWish


class LegsNote(Struct, frozen=True, forbid_unknown_fields=True):
    """What was told last of a dlv.

    :ivar wish: in which a leg that was made since may not be made any more.
    :ivar legs: all that may be here: of this wish, and of those before. :ivar boot: in which a call said so last.
    """

    wish: LegsWish
    legs: tuple[str, ...]
    boot: str = ""


def take(noted: LegsNote | None, wish: LegsWish, fresh: Collection[str], boot: str) -> LegsNote:
    """What is noted when a wish comes. :param fresh: legs that were seen to be nobody's.

    :raises MismatchError: it is older than what is noted, or another one of the same epoch.
    :raises BusyError: a leg that it names is not noted any more.
    """
    before = noted.wish if noted else None
    if before is not None and wish.epoch == before.epoch and spend(before) == spend(wish):
        wish = _narrow(wish, before)
    else:
        check_epoch(before, wish)
    known = {*fresh, *(noted.legs if noted else ())}
    if not known.issuperset(each.leg for each in wish.exports):
        raise BusyError(f"legs of dlv {wish.dlv} were given up meanwhile", hint="try again")
    return LegsNote(wish, tuple(sorted(known)), boot)


def spend(wish: LegsWish) -> LegsWish:
    """The wish once all its legs are there: none of them may be made."""
    return replace(wish, exports=tuple(replace(each, make=False) for each in wish.exports))


def _narrow(wish: LegsWish, noted: LegsWish) -> LegsWish:
    """The noted wish, said again: a leg may be made when both say so. The record knows a leg to be made before the
    epoch changes, and a late copy of the call that had it made knows nothing of that.
    """
    pairs = zip(wish.exports, noted.exports, strict=True)
    return replace(wish, exports=tuple(replace(each, make=each.make and before.make) for each, before in pairs))

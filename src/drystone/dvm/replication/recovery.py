"""How regions that are out of step come together: a pure function of what they hold.

The rules are in docs/reference/region-format.md, "When regions agree". A transaction's hash names its whole past, so
whether one region is behind another is a question of hashes; numbers are never compared between regions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

import msgspec

from drystone.base.errors import MismatchError
from drystone.formats.region.layout import ROLLED_BACK_KEPT
from drystone.formats.region.slots import Slot
from drystone.formats.region.transactions import Change


class Step(Enum):
    """What is done to one region."""

    KEEP = "nothing"
    MEND = "its current slot is written once more, over the damaged other one"
    BACK = "what it is prepared for is given up"
    FORWARD = "what it is prepared for is committed"
    COPY = "it is behind: it gets the versions it lacks"


class Standing(msgspec.Struct, frozen=True):
    """Where one region stands.

    :ivar line: its versions, newest first; the first one is the committed one.
    :ivar is_whole: both its slots are right.
    """

    name: str
    slot: Slot
    line: tuple[Change, ...]
    is_whole: bool = True


class Decision(msgspec.Struct, frozen=True):
    """:ivar head: hash of the transaction at which all regions will be. :ivar steps: one a region, in order."""

    head: bytes
    steps: tuple[Step, ...]


def decide(standings: Sequence[Standing], asked: frozenset[str] = frozenset({"fork", "rolled-back"})) -> Decision:
    """What brings these regions together.

    :param asked: the checks that are made; all of them but in tests.
    :raises MismatchError: they are on two sides of a fork, or nothing shows that they are not.
    """
    parents = {change.hash: change.parent for each in standings for change in each.line}
    head = _find_head(standings, parents, asked)
    if "rolled-back" in asked:
        for each in standings:
            _refuse_rolled_back(each, head, parents)
    return Decision(head, tuple(_choose(each, head) for each in standings))


def _find_head(standings: Sequence[Standing], parents: Mapping[bytes, bytes], asked: frozenset[str]) -> bytes:
    """The committed transaction that all others lead to."""
    committed = {each.slot.committed.hash: each for each in standings}
    for hash_ in committed:
        if committed.keys() <= set(_walk_back(hash_, parents)):
            return hash_
    if "fork" not in asked:
        return max(committed, key=lambda hash_: committed[hash_].slot.committed.sequence)
    told = ", ".join(
        f"{each.name} is at {each.slot.committed.sequence} ({hash_.hex()[:8]})" for hash_, each in committed.items()
    )
    raise MismatchError(
        f"the regions are not of one line of transactions: {told}",
        hint="a device came back from elsewhere, or is too old: leave it out, then format it from the others",
    )


def _refuse_rolled_back(standing: Standing, head: bytes, parents: Mapping[bytes, bytes]) -> None:
    """:raises MismatchError: the region rolled back what leads from it to the head."""
    slot = standing.slot
    own = slot.committed.hash
    after = next((hash_ for hash_ in _walk_back(head, parents) if parents.get(hash_) == own), None)
    if after is None or (slot.next is not None and slot.next.hash == after):
        return
    if after in slot.rolled_back or slot.rolled_back_count > ROLLED_BACK_KEPT:
        raise MismatchError(
            f"{standing.name} rolled back transaction {slot.committed.sequence + 1}, which another one has committed",
            hint="the two have gone different ways: leave one side out, then format it from the other",
        )


def _choose(standing: Standing, head: bytes) -> Step:
    slot = standing.slot
    if slot.committed.hash == head:
        if slot.next is not None:
            return Step.BACK
        return Step.KEEP if standing.is_whole else Step.MEND
    if slot.next is not None and slot.next.hash == head:
        return Step.FORWARD
    return Step.COPY


def _walk_back(hash_: bytes, parents: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """A transaction and its known ancestors. No circle can be: a hash is made of its parent's."""
    while hash_ in parents:
        yield hash_
        hash_ = parents[hash_]

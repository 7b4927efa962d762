"""Which packs are worth rewriting: a pure function of how much of each is used.

Two reasons. Unused bytes: packs are rewritten, those with the largest unused share first, until no more than a given
part of what is stored is unused; so a little waste everywhere is left alone, and it is bounded. Many small packs: those
of about one size are merged when there are `MANY` of them, into ones at least that many times as large; so a record is
copied a few times in its life, however many small backups are made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from drystone.backup.format.pack import HEADER, INDEX, TRAILER, Kind
from drystone.base.errors import UsageError

MANY = 16
_SMALL = 4
"""A pack is small below this part of a full one."""


@dataclass(frozen=True, slots=True)
class PackUse:
    """A pack: its size, and the records in it that backups need; all in bytes."""

    pack: bytes
    kind: Kind
    size: int
    records: int
    used: int

    @property
    def needed(self) -> int:
        """The size of a pack with the used records alone."""
        return HEADER + TRAILER + self.used + self.records * INDEX.itemsize

    @property
    def unused(self) -> int:
        """What would be freed."""
        return max(0, self.size - self.needed)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a collection goes.

    :ivar max_unused: the part of what is stored, 0 to 1, that may be unused; 1: packs are never rewritten for that.
    :ivar max_rewrite: bytes of records to copy in one run; None for no limit.
    :ivar merge: whether small packs are merged.
    """

    max_unused: float = 0.1
    max_rewrite: int | None = None
    merge: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.max_unused <= 1:
            raise UsageError(f"max-unused is {self.max_unused:.3g}", hint="a part from 0 to 1, or percents up to 100")
        if self.max_rewrite is not None and self.max_rewrite < 0:
            raise UsageError("max-rewrite is below 0")


def choose(packs: Iterable[PackUse], limits: Limits, full: int) -> list[PackUse]:
    """The packs to rewrite, in an order in which they may be left off.

    :param packs: those of which something is used. :param full: bytes of a full pack.
    """
    packs = sorted(packs, key=lambda each: (-each.unused / max(1, each.size), each.pack))
    budget = limits.max_rewrite
    chosen: dict[bytes, PackUse] = {}

    def take(pack: PackUse) -> bool:
        nonlocal budget
        if budget is not None:
            if pack.used > budget:
                return False
            budget -= pack.used
        chosen[pack.pack] = pack
        return True

    stored = sum(each.size for each in packs)
    unused = sum(each.unused for each in packs)
    for each in packs:
        if unused <= limits.max_unused * stored or not each.unused:
            break
        if take(each):
            unused -= each.unused
            stored -= each.unused
    if limits.merge:
        for group in _many_small(packs, chosen.keys(), full):
            taken = [each for each in group if take(each)]
            if len(taken) == 1:  # the budget ended: one alone would be copied for nothing
                del chosen[taken[0].pack]
    return list(chosen.values())


def _many_small(packs: list[PackUse], chosen: Iterable[bytes], full: int) -> list[list[PackUse]]:
    """Groups of small packs of one kind and about one size, each of MANY or more."""
    groups: dict[tuple[Kind, int], list[PackUse]] = defaultdict(list)
    left_out = set(chosen)
    for each in packs:
        if each.size < full // _SMALL and each.pack not in left_out:
            groups[each.kind, (each.size.bit_length() - 1) // 4].append(each)
    return [sorted(each, key=lambda pack: pack.pack) for _, each in sorted(groups.items()) if len(each) >= MANY]

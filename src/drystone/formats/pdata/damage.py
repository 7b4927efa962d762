"""What a reader of stored blocks says is wrong with one: as a value, and as the error that ends a strict reader."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from drystone.base.errors import DamagedError


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong, and what is lost by it.

    Keys are those of the tree: virtual blocks in a mapping tree, device ids, eras. For an array or a bitset they are
    its own indices; for a space map the blocks that it counts.
    """

    block: int
    """Metadata block (4096 bytes) that is wrong, or that holds the wrong pointer."""
    tree: str
    """Whose block it is: `mapping tree`."""
    what: str
    """What was looked at: `checksum`."""
    expected: int | str
    found: int | str
    low: int = 0
    high: int = -1
    """Keys low to high, both included, cannot be read by this; none when high is below low."""
    owner: int | None = None
    """Which of several trees of one kind: a device id, an era."""
    hides_room: bool = False
    """Only a sum of a space map, by which free blocks stay unused and none is promised in vain; see bitmaps."""

    @property
    def loses(self) -> bool:
        """Whether keys are lost."""
        return self.low <= self.high

    def describe(self) -> str:
        """One line: `block 17: mapping tree: checksum is 1, expected 2`, in the words of the strict readers."""
        whose = self.tree if self.owner is None else f"{self.tree} {self.owner}"
        return f"block {self.block}: {whose}: {self.what} is {self.found}, expected {self.expected}"

    def to_error(self) -> DamagedError:
        """The error that says the same; integers stay integers in its facts."""
        return DamagedError(
            self.describe(),
            block=self.block,
            what=f"{self.tree}: {self.what}",
            expected=self.expected,
            found=self.found,
            owner=self.owner,
        )


class LostKeys:
    """The keys that some damages lose, in order. Asking for a range takes time by what is lost in it, not by all."""

    def __init__(self, damages: Iterable[Damage]) -> None:
        self._lows: list[int] = []
        self._ends: list[int] = []
        for low, high in sorted((damage.low, damage.high) for damage in damages if damage.loses):
            if self._ends and low <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], high + 1)
            else:
                self._lows.append(low)
                self._ends.append(high + 1)

    def list_gaps(self, begin: int, end: int) -> list[tuple[int, int]]:
        """What of the keys begin to end (excluded) is not lost: ascending ranges, their ends excluded."""
        gaps: list[tuple[int, int]] = []
        for place in range(bisect_right(self._ends, begin), len(self._lows)):
            if self._lows[place] >= end:
                break
            if self._lows[place] > begin:
                gaps.append((begin, self._lows[place]))
            begin = self._ends[place]
        if begin < end:
            gaps.append((begin, end))
        return gaps


def describe_damage(block: int, what: str, *, expected: object, found: object) -> DamagedError:
    """The error for metadata block number `block` (4096-byte blocks): what was looked at, due and there.

    The facts hold block, what, expected and found; integers stay integers.
    """
    return DamagedError(
        f"block {block}: {what} is {found}, expected {expected}",
        block=block,
        what=what,
        expected=expected,
        found=found,
    )

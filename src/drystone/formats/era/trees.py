"""What a check of era metadata asks of whatever reads the trees. See check.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from drystone.formats.era.superblock import Superblock
from drystone.formats.era.writesets import Writeset
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.spacemap import SpaceMapRoot


@dataclass(frozen=True, slots=True)
class LateEra:
    """A data block whose era in the array is above the current one. :ivar others: how many more there are nearby."""

    block: int
    era: int
    others: int


class Trees(Protocol):
    """The trees of one device while they are checked. References to metadata blocks are counted on the way.

    All that is wrong is added to the lists, or ends the reading with an exception of the reader's own.
    """

    @property
    def reader(self) -> BlockReader:
        """Where blocks come from."""

    @property
    def limit(self) -> int:
        """Metadata blocks there are."""

    @property
    def damages(self) -> Sequence[Damage]:
        """What is wrong, in the order found."""

    @property
    def remarks(self) -> Sequence[Damage]:
        """What is odd and loses no data."""

    @property
    def notes(self) -> Sequence[Damage]:
        """Sums of the space map that hide room, see Damage.hides_room."""

    def report(self, damage: Damage) -> None:
        """Add to `damages`."""

    def count_block(self, number: int, name: str) -> object:
        """Count a reference to a block that is in no tree; `name` is for messages."""

    def iter_writesets(self, root: int) -> Iterator[list[Writeset]]:
        """The archived writesets in the tree at `root`, ascending, many at a time. Their bitsets are not looked at."""

    def count_writesets(self, writesets: Sequence[Writeset]) -> None:
        """Check the bitsets of writesets."""

    def iter_late_eras(self, superblock: Superblock) -> Iterator[LateEra]:
        """Check the era array; of what is read of it at once, the first block that was written in an era to come."""

    def check_space_map(self, root: SpaceMapRoot) -> None:
        """Hold the counts in the space map against the references counted so far."""

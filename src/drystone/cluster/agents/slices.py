"""The slices of a dpv's disk: which leg has which extents.

The disk tells it itself: its first 16 MiB hold the table, as a replicated region (docs/reference/region-format.md) of
versions, each with its checksum, changed by prepare and commit. So nothing is lost with the agent's folder, and a disk
that was put into another server still knows its legs. Extents are of 4 MiB and count from the disk's beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from drystone.base.documents import decode, encode
from drystone.base.errors import BusyError, DamagedError, ExhaustedError, MismatchError, UsageError
from drystone.base.names import check_name
from drystone.base.sizes import SECTOR
from drystone.cluster.agents.turns import Turns
from drystone.cluster.model.extents import EXTENT, to_extents, whole_extents
from drystone.dvm.replication.changing import commit, prepare, recover
from drystone.dvm.replication.formatting import format_regions
from drystone.dvm.replication.reading import read
from drystone.dvm.replication.regions import Region, RegionDevice, open_regions
from drystone.dvm.state import Line
from drystone.kernel.blockdev import open_device, size_of
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.dm.targets import Linear
from drystone.kernel.pages import locked_paths
from drystone.kernel.wipefs import list_marks

_RESERVED = 4
"""Extents at the beginning, for the table."""
_PAGES = _RESERVED * EXTENT // 4096
_KEPT = 2
"""Versions of the table: the committed one and the one before."""
_SECTORS_AN_EXTENT = EXTENT // SECTOR


class Piece(Struct, frozen=True, forbid_unknown_fields=True):
    """A run of extents."""

    start: int
    extents: int


class Slice(Struct, frozen=True, forbid_unknown_fields=True):
    """What a leg has of the disk.

    :ivar is_ready: whether its beginning was wiped, where that was asked for: from then on it may be in use.
    """

    leg: str
    dlv: str
    pieces: tuple[Piece, ...]
    is_ready: bool = False

    @property
    def extents(self) -> int:
        """How many."""
        return sum(piece.extents for piece in self.pieces)


class SliceTable(Struct, frozen=True, forbid_unknown_fields=True):
    """All slices of a disk, by leg."""

    slices: tuple[Slice, ...] = ()
    schema: Literal["drystone.cluster.slices"] = "drystone.cluster.slices"
    version: Literal[1] = 1

    def find(self, leg: str) -> Slice | None:
        """A leg's."""
        return next((each for each in self.slices if each.leg == leg), None)


class Slices:
    """The slices of one disk. Every change is durable when it returns. The constructor has no effects.

    Every call but `format` may raise BusyError: one before it waits for the disk, for long.

    :param disk: path of a block device, or a plain file.
    """

    def __init__(self, disk: str) -> None:
        self.disk = disk
        self._turns = Turns("the disk")
        self._last: SliceTable | None = None

    def format(self, group: UUID) -> None:
        """Have an empty table on a disk that holds nothing.

        :raises BusyError: it is in use, or something is on it. :raises RefusedError: it has a table.
        :raises UsageError: it is too small.
        """
        if size_of(self.disk) < (_RESERVED + 1) * EXTENT:
            raise UsageError(f"{self.disk} is smaller than {(_RESERVED + 1) * EXTENT} bytes")
        if marks := list_marks(self.disk):
            raise BusyError(
                f"{self.disk} holds {marks[0].kind}", hint=f"if nobody needs that: wipefs --all {self.disk}"
            )
        open_device(self.disk, write=True, exclusive=True).close()
        with self._opened() as regions:
            format_regions(regions, group=group, keep=_KEPT)
            self._write(regions, SliceTable())

    def read(self) -> SliceTable:
        """The table. :raises DrystoneError: the disk has none, or it is damaged."""
        with self._changing() as regions:
            return self._read(regions)

    def seen(self) -> SliceTable:
        """The table as it was read or written last, which asks nothing of the disk; it is read when it never was."""
        return self._last or self.read()

    def have(self, dlv: str, sizes: Mapping[str, int], new: Collection[str]) -> dict[str, Slice]:
        """The slices of a dlv's legs; of `new` ones, those that are not there get extents that nobody has. All or none
        are made.

        :param sizes: bytes, by leg. :raises ExhaustedError: there is no room.
        :raises MismatchError: a leg is there and is another dlv's, or of another size.
        :raises DamagedError: a leg that is not new is not there; fact `missing`: all such legs.
        """
        with self._changing() as regions:
            before = self._read(regions)
            self._check_there(before, dlv, sizes.keys() - set(new))
            table, disk = before, whole_extents(size_of(self.disk))
            for leg, size in sizes.items():
                wanted, found = to_extents(size), table.find(check_name(leg, "leg"))
                if found is None:
                    made = Slice(leg, dlv, take(free_pieces(table, disk), wanted))
                    table = replace(table, slices=(*table.slices, made))
                elif (found.dlv, found.extents) != (dlv, wanted):
                    raise MismatchError(
                        f"leg {leg} is dlv {found.dlv}'s, of {found.extents} extents; not dlv {dlv}'s, of {wanted}"
                    )
            if table != before:
                self._write(regions, table)
            return {each.leg: each for each in table.slices if each.leg in sizes}

    def _check_there(self, table: SliceTable, dlv: str, legs: Collection[str]) -> None:
        there = {each.leg for each in table.slices if each.is_ready}
        if missing := sorted(set(legs) - there):
            raise DamagedError(
                f"{len(missing)} legs of dlv {dlv} are not on {self.disk} any more, {missing[0]} among them",
                hint="was the disk replaced? Nothing is made in their place unless the record says so",
                missing=missing,
            )

    def mark_ready(self, legs: Collection[str]) -> None:
        """Note that slices may be in use from now on: they are never wiped again."""
        self._change(lambda each: replace(each, is_ready=True) if each.leg in legs else each)

    def remove(self, dlv: str, legs: Collection[str]) -> None:
        """Give the extents of a dlv's legs back. Where it has none there is nothing to do."""
        self._change(lambda each: None if each.dlv == dlv and each.leg in legs else each)

    def _change(self, change: Callable[[Slice], Slice | None]) -> None:
        """Have each slice changed, or given back where the change of it is None."""
        with self._changing() as regions:
            table = self._read(regions)
            slices = tuple(after for each in table.slices if (after := change(each)) is not None)
            if slices != table.slices:
                self._write(regions, replace(table, slices=slices))

    def _read(self, regions: Sequence[RegionDevice]) -> SliceTable:
        self._last = decode(read(regions).data, SliceTable, "the table of slices")
        return self._last

    def _write(self, regions: Sequence[RegionDevice], table: SliceTable) -> None:
        prepare(regions, encode(table))
        commit(regions)
        self._last = table

    @contextmanager
    def _changing(self) -> Iterator[tuple[RegionDevice, ...]]:
        """The region, when what an interrupted change left is completed or taken back."""
        with self._opened() as regions:
            recover(regions)
            yield regions

    @contextmanager
    def _opened(self) -> Iterator[tuple[RegionDevice, ...]]:
        # Page 0 of the disk stays free.
        region = Region(self.disk, 1, _PAGES)
        with (
            self._turns.of(self.disk),
            locked_paths([self.disk], shared=False),
            open_regions([region], write=True) as regions,
        ):
            yield regions


def free_pieces(table: SliceTable, extents: int) -> list[Piece]:
    """The runs that nobody has, of a disk with so many extents."""
    free, place = [], _RESERVED
    for piece in sorted((piece for each in table.slices for piece in each.pieces), key=lambda piece: piece.start):
        if piece.start > place:
            free.append(Piece(place, piece.start - place))
        place = max(place, piece.start + piece.extents)
    return [*free, Piece(place, extents - place)] if place < extents else free


def take(free: Sequence[Piece], extents: int) -> tuple[Piece, ...]:
    """So many extents of the free ones: one run where one is long enough, the shortest such; else the longest first.

    :raises ExhaustedError: there are fewer.
    """
    if extents <= 0:
        raise UsageError(f"a slice has one extent at least, not {extents}")
    whole = [piece for piece in free if piece.extents >= extents]
    if whole:
        return (Piece(min(whole, key=lambda piece: piece.extents).start, extents),)
    taken: list[Piece] = []
    missing = extents
    for piece in sorted(free, key=lambda piece: -piece.extents):
        taken.append(Piece(piece.start, min(piece.extents, missing)))
        missing -= taken[-1].extents
        if not missing:
            return tuple(taken)
    raise ExhaustedError(f"a slice of {extents} extents is wanted, {extents - missing} are free", extents=extents)


def slice_lines(found: Slice, disk: DeviceNumber) -> tuple[Line, ...]:
    """The table of a device that is the slice. :param disk: that it is of."""
    lines: list[Line] = []
    start = 0
    for piece in found.pieces:
        length = piece.extents * _SECTORS_AN_EXTENT
        target = Linear(str(disk), piece.start * _SECTORS_AN_EXTENT)
        lines.append(Line(start, length, target.kind, target.to_params()))
        start += length
    return tuple(lines)

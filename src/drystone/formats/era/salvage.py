"""Reading era metadata past damage: what is sound is kept, what is not is taken as written, so that no write is missed.

* An era that cannot be read is taken for the current one, the newest there is.
* A bit that cannot be read is taken for set: the block counts as written in that writeset's era.
* Where entries of the writeset tree cannot be read, all blocks count as written in the newest era that they may have
  been of.
* An era above the current one cannot be; it is taken for the current one.
* A block that two entries of these arrays point to cannot be: one of the pointers is wrong, and neither is believed.

All of it is listed as losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.era import layout
from drystone.formats.era.array import Ranges, count_entries
from drystone.formats.era.eras import ERA, find_ranges
from drystone.formats.era.lengths import correct_nr_bits
from drystone.formats.era.parts import Part, list_logical_parts, list_parts
from drystone.formats.era.superblock import Superblock
from drystone.formats.era.writeset_tree import TREE
from drystone.formats.era.writesets import Writeset, get_current
from drystone.formats.pdata.array import ArrayKind, survey_array
from drystone.formats.pdata.array_blocks import find_array_faults, view_array_blocks
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import LARGEST_KEY, TreeKind
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.layout import POINTER, WORD, WORD_BITS, count_array_entries
from drystone.formats.pdata.survey import Survey

NOWHERE = LARGEST_KEY
"""Root of a writeset of which nothing is known."""

ALL_SET = (1 << 64) - 1
"""A word with all bits set."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What could not be read, and what it is taken for.

    :ivar what: the array or writeset. :ivar begin: first data block. :ivar end: one past the last.
    :ivar era: the era that the blocks are taken to be written in.
    """

    what: str
    begin: int
    end: int
    era: int

    def describe(self) -> str:
        """One line."""
        blocks = f"block {self.begin}" if self.end - self.begin == 1 else f"blocks {self.begin} to {self.end - 1}"
        return f"{self.what}: {blocks} cannot be read, and are taken as written in era {self.era}"


class Salvage:
    """One reading of metadata that may be damaged.

    :ivar losses: what was lost so far; complete when the parts were taken to their end.
    :ivar remarks: what was assumed, a line each.
    :param damages: what is known to be wrong. :param remarks: what was assumed already.
    """

    def __init__(
        self,
        reader: BlockReader,
        superblock: Superblock,
        *,
        damages: Iterable[Damage] = (),
        remarks: Iterable[str] = (),
    ) -> None:
        self.losses: list[Loss] = []
        self.remarks = list(remarks)
        self._survey = Survey(reader)
        for damage in damages:
            self._survey.report(damage)
        self._superblock = superblock
        self._versions: dict[str, list[Writeset]] = {}
        self._twice = np.zeros(0, dtype=np.uint64)

    @property
    def damages(self) -> list[Damage]:
        """What is wrong with which block, each once."""
        return list(dict.fromkeys(self._survey.damages))

    def iter_parts(self, *, logical: bool = False) -> Iterator[Part]:
        """All that can be read, as parts; with `logical` folded into the array."""
        writesets = self._list_writesets()
        self._twice = self._find_twice()
        return (list_logical_parts if logical else list_parts)(self.open, self._superblock, writesets)

    def open(self, name: str, value: np.dtype[Any], root: int, length: int, /) -> Ranges:
        """An array that is read past damage. A writeset without a root is one of which nothing is known."""
        if value == ERA:
            newest = self._superblock.current_era
            whole = Loss(name, 0, length, newest)
            return SalvagedArray(self._survey, self.losses, value, root, length, whole, newest, self._twice)
        return AnyOf(tuple(self._open_bitset(name, each) for each in self._versions[name]))

    def _open_bitset(self, name: str, writeset: Writeset) -> SalvagedArray:
        whole = Loss(name, 0, min(writeset.nr_bits, self._superblock.nr_blocks), writeset.era)
        words = -(-writeset.nr_bits // WORD_BITS)
        return SalvagedArray(self._survey, self.losses, WORD, writeset.root, words, whole, ALL_SET, self._twice)

    def _find_twice(self) -> NDArray[np.uint64]:
        """Array blocks that are pointed to more than once, ascending. Damage to the trees is listed elsewhere."""
        nr_blocks, array_root = self._superblock.nr_blocks, self._superblock.era_array_root
        survey = Survey(self._survey.reader)
        kind = TreeKind("array", POINTER)
        seen = np.zeros(survey.limit, dtype=np.bool_)
        twice = np.zeros(survey.limit, dtype=np.bool_)
        roots = {each.root for versions in self._versions.values() for each in versions if each.root != NOWHERE}
        per_leaf = WORD_BITS * count_array_entries(WORD.itemsize)
        ends = {**dict.fromkeys(sorted(roots), nr_blocks // per_leaf), array_root: nr_blocks}
        for root, high in ends.items():
            for _, pointers in survey.iter_entries(kind, root, high=high):
                blocks, times = np.unique(pointers[pointers < np.uint64(survey.limit)], return_counts=True)
                twice[blocks[(times > 1) | seen[blocks]]] = True
                seen[blocks] = True
        return np.flatnonzero(twice).astype(np.uint64)

    def _list_writesets(self) -> list[Writeset]:
        """Those that can be found, by era; one of which nothing is known for each range of eras that is lost."""
        superblock = self._superblock
        root = superblock.writeset_tree_root
        current = get_current(superblock)
        latest = max(superblock.current_era - (current is not None), 0)
        found: dict[int, list[Writeset]] = {}
        before = len(self._survey.damages)
        count = 0
        for eras, values in self._survey.iter_entries(TREE, root, high=layout.LARGEST_ERA):
            count += len(eras)
            if count > self._survey.limit:
                due = f"at most {self._survey.limit}"
                lost = int(eras[0]), layout.LARGEST_ERA
                self._survey.report(Damage(root, TREE.name, "number of writesets", due, count, *lost))
                break
            for era, (nr_bits, bits_root) in zip(eras.tolist(), values.tolist(), strict=True):
                if era > latest:
                    self._survey.report(Damage(root, TREE.name, "era", f"at most {latest}", era))
                era_then = min(era, superblock.current_era)
                found.setdefault(era_then, []).append(self._correct(Writeset(era_then, nr_bits, bits_root), root))
        for damage in self._survey.damages[before:]:
            if damage.loses and damage.low <= latest:
                era = min(damage.high, latest)
                found.setdefault(era, []).append(Writeset(era, superblock.nr_blocks, NOWHERE))
        if current is not None:
            found.setdefault(current.era, []).append(self._correct(current, superblock.location))
        return [self._choose(versions) for _, versions in sorted(found.items())]

    def _correct(self, writeset: Writeset, holder: int) -> Writeset:
        """The writeset with all bits that its bitset has. `holder` is the block that says how many."""
        right = correct_nr_bits(self._survey.reader, writeset)
        if right.nr_bits != writeset.nr_bits:
            due = f"{right.nr_bits - WORD_BITS + 1} to {right.nr_bits}"
            self._survey.report(Damage(holder, writeset.name, "number of bits", due, writeset.nr_bits))
        return right

    def _choose(self, versions: list[Writeset]) -> Writeset:
        """The one that stands for all of an era. Without bits beyond the last data block: there may be such after a
        resize, or by a wrong number of bits.
        """
        longest = max(versions, key=lambda each: each.nr_bits)
        self._versions[longest.name] = versions
        return replace(longest, nr_bits=min(longest.nr_bits, self._superblock.nr_blocks))


@dataclass(frozen=True, slots=True)
class SalvagedArray:
    """An array that is read past damage; see Ranges.

    :ivar whole: what is lost when nothing can be read: its name, blocks, and the era that they are taken for.
    :ivar fill: what entries that cannot be read are taken for. :ivar twice: blocks that are not believed, as something
        else points to them too.
    """

    survey: Survey
    losses: list[Loss]
    value: np.dtype[Any]
    root: int
    length: int
    whole: Loss
    fill: int
    twice: NDArray[np.uint64]

    def read(self, first: int, count: int) -> NDArray[Any]:
        """See Ranges."""
        per_block = count_array_entries(self.value.itemsize)
        count = min(count, -(-self.length // per_block) - first)
        if count <= 0:
            return np.empty(0, dtype=self.value)
        entries = np.full((count, per_block), self.fill, dtype=self.value)
        lost = np.ones(count, dtype=np.bool_)
        if self.root != NOWHERE:
            kind = TreeKind(self.whole.what, POINTER)
            for keys, pointers in self.survey.iter_entries(kind, self.root, low=first, high=first + count - 1):
                self._read_blocks(keys.astype(np.int64) - first, pointers, first, entries, lost)
        scale = per_block * (WORD_BITS if self.value == WORD else 1)
        note_losses(self.losses, self.whole, first * scale, lost, scale)
        read: NDArray[Any] = entries.reshape(-1)[: self.length - first * per_block]
        return self._cap(read, first * per_block) if self.value == ERA else read

    def _cap(self, eras: NDArray[Any], begin: int) -> NDArray[Any]:
        """Eras that have not been yet are taken for the newest."""
        late = np.flatnonzero(eras > self.whole.era)
        if len(late):
            what = f"era of data block {begin + int(late[0])}" + (f" and {len(late) - 1} more" if len(late) > 1 else "")
            due = f"at most {self.whole.era}"
            self.survey.report(Damage(self.root, self.whole.what, what, due, int(eras[late[0]])))
        capped: NDArray[Any] = np.minimum(eras, np.uint32(self.whole.era))
        return capped

    def _read_blocks(
        self,
        places: NDArray[np.int64],
        pointers: NDArray[np.uint64],
        first: int,
        entries: NDArray[Any],
        lost: NDArray[np.bool_],
    ) -> None:
        """Put the entries of these array blocks to their places, where they are sound."""
        inside = (pointers > 0) & (pointers < np.uint64(self.survey.limit))
        for place, pointer in zip(places[~inside].tolist(), pointers[~inside].tolist(), strict=True):
            what = f"pointer to array block {first + place}"
            self.survey.report(Damage(self.root, self.whole.what, what, f"1 to {self.survey.limit - 1}", pointer))
        shared = inside & np.isin(pointers, self.twice)
        for place, pointer in zip(places[shared].tolist(), pointers[shared].tolist(), strict=True):
            what = f"pointer to array block {first + place}"
            self.survey.report(Damage(self.root, self.whole.what, what, "one that nothing else has", pointer))
        inside &= ~shared
        places, pointers = places[inside], pointers[inside]
        for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) != 1) + 1):
            if not len(run):
                continue
            begin = first + int(places[run[0]])
            blocks = self.survey.reader.read_blocks(pointers[run])
            sound = np.ones(len(run), dtype=np.bool_)
            sizes = count_entries(self.length, self.value, begin + np.arange(len(run)))
            for fault in find_array_faults(blocks, self.value, pointers[run], sizes):
                sound[fault.place] = False
                block = int(pointers[run[fault.place]])
                self.survey.report(Damage(block, self.whole.what, fault.what, fault.expected, fault.found))
            entries[places[run[sound]]] = view_array_blocks(blocks, self.value)["values"][sound]
            lost[places[run[sound]]] = False


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Bitsets of which each bit counts that is set in any; see Ranges."""

    versions: tuple[Ranges, ...]

    def read(self, first: int, count: int) -> NDArray[Any]:
        """See Ranges."""
        found = sorted((each.read(first, count) for each in self.versions), key=len)
        words: NDArray[Any] = found[-1].copy()
        for each in found[:-1]:
            words[: len(each)] |= each
        return words


def find_newest_era(reader: BlockReader, superblock: Superblock) -> int:
    """The newest era in what can be read of the writeset tree and of the era array."""
    survey = Survey(reader)
    newest = 0
    for eras, _ in survey.iter_entries(TREE, superblock.writeset_tree_root, high=layout.LARGEST_ERA):
        newest = max(newest, int(eras[-1]))
    kind = ArrayKind("era array", ERA)
    for batch in survey_array(survey, kind, superblock.era_array_root, superblock.nr_blocks, count=False):
        newest = max(newest, int(batch.values.max()))
    return newest


def note_losses(losses: list[Loss], whole: Loss, begin: int, lost: NDArray[np.bool_], scale: int = 1) -> None:
    """Add to `losses` what is lost of `whole`, joined with what was lost before it.

    :param begin: data block of the first of `lost`. :param scale: data blocks that one of `lost` stands for.
    """
    for place, length in find_ranges(lost, 0).tolist():
        low = begin + place * scale
        loss = replace(whole, begin=low, end=min(low + length * scale, whole.end))
        if losses and (losses[-1].what, losses[-1].end) == (loss.what, loss.begin):
            losses[-1] = replace(losses[-1], end=loss.end)
        else:
            losses.append(loss)

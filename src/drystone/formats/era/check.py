"""Checking era metadata: every node, every bit, every reference count.

    report = check_metadata(reader)
    report.errors, report.remarks, report.is_sound()

All trees are walked, past damage; the references to each metadata block are counted on the way, and held against the
space map at the end: blocks that nothing refers to (leaked), blocks in use that are marked free, counts that are off.
The current writeset counts, that of a metadata snapshot does not: the kernel does not count it either.

Errors lose data, or would. Remarks lose nothing but space: leaked blocks, nodes less than a third full, the space map's
own sums. Notes are sums that only hide room; metadata with notes alone is sound. Memory: some 30 bytes for each
metadata block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError
from drystone.formats.era import layout
from drystone.formats.era.eras import ERA
from drystone.formats.era.superblock import Superblock, read_held_superblock, read_superblock
from drystone.formats.era.writeset_survey import WritesetSurvey
from drystone.formats.era.writesets import TREE, Writeset, get_current
from drystone.formats.pdata.array import ArrayKind, survey_array
from drystone.formats.pdata.bitmaps import UNKNOWN, CountBatch, SpaceMapKind, survey_counts
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.layout import INDEX_ENTRY
from drystone.formats.pdata.survey import Survey

SPACE_MAP = SpaceMapKind.METADATA.value
MOST_RUNS = 10_000
"""Runs of wrong counts that are told one by one."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    :ivar superblock: the one that was checked; None when it is damaged.
    :ivar errors: what is wrong, in the order found. :ivar remarks: what is odd and loses no data.
    :ivar notes: sums of the space map that hide room which is there, see Damage.hides_room.
    """

    superblock: Superblock | None
    errors: tuple[Damage, ...]
    remarks: tuple[Damage, ...] = ()
    notes: tuple[Damage, ...] = ()

    def is_sound(self, *, ignore_remarks: bool = False) -> bool:
        """Whether nothing is wrong, notes aside; remarks count, unless told otherwise."""
        return not self.errors and (ignore_remarks or not self.remarks)

    def has_extra_pointers(self) -> bool:
        """Whether the trees refer to a block more often than the space map counts: one of the pointers may be wrong."""
        return any(each.tree == SPACE_MAP and not each.loses for each in self.errors)

    def refuse(self, what: str) -> None:
        """Nothing, when it is sound.

        :raises DamagedError: it is not; the message names the first thing wrong in `what`, and how many there are.
        """
        found = [*self.errors, *self.remarks]
        if found:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            raise DamagedError(f"{what}: {found[0].describe()}{more}", block=found[0].block)

    def to_document(self) -> dict[str, Any]:
        """As a JSON object."""
        superblock = self.superblock
        return {
            "sound": self.is_sound(),
            "current_era": superblock.current_era if superblock else None,
            "nr_blocks": superblock.nr_blocks if superblock else None,
            "errors": [_describe(each) for each in self.errors],
            "remarks": [_describe(each) for each in self.remarks],
            "notes": [_describe(each) for each in self.notes],
        }


def check_superblock(reader: BlockReader, *, held: bool = False) -> Report:
    """The superblock alone; with `held` also that of the metadata snapshot.

    :raises NotFoundError: no snapshot is held.
    """
    return _Check(reader).run_superblock(held=held)


def check_metadata(reader: BlockReader, *, held: bool = False) -> Report:
    """Everything: of live metadata that nobody writes, a snapshot that it holds included.

    :param held: only what the metadata snapshot shows, which may be read while the kernel writes. Its references are
        not counted, as the space map changes all the time.
    :raises NotFoundError: no snapshot is held.
    """
    return _Check(reader).run(held=held)


class _Check:
    """One check under way."""

    def __init__(self, reader: BlockReader) -> None:
        self.survey = Survey(reader)
        self.writesets = WritesetSurvey(self.survey)
        self.remarks: list[Damage] = []
        self.notes: list[Damage] = []

    def run_superblock(self, *, held: bool) -> Report:
        """See check_superblock."""
        superblock = self._read_superblock(0)
        if superblock is not None and held:
            superblock = self._read_held(superblock)
        return self._report(superblock)

    def run(self, *, held: bool) -> Report:
        """See check_metadata."""
        superblock = self._read_superblock(0)
        if superblock is None:
            return self._report(None)
        if held:
            superblock = self._read_held(superblock)
            if superblock is not None:
                self._survey_state(superblock)
            return self._report(superblock)
        self.survey.count_block(0, "superblock")
        self._survey_state(superblock)
        current = get_current(superblock)
        if current is not None:
            self.writesets.run_one(current)
        if superblock.metadata_snap:
            self._survey_held(superblock)
        self._survey_space_map(superblock)
        return self._report(superblock)

    def _read_superblock(self, location: int) -> Superblock | None:
        try:
            superblock = read_superblock(self.survey.reader, location=location)
        except DamagedError as error:
            self.survey.report(make_superblock_damage(error, location))
            return None
        if superblock.data_block_size % layout.DATA_BLOCK_UNIT:
            due = f"a multiple of {layout.DATA_BLOCK_UNIT} sectors"
            self._err(location, "superblock", "data block size", due, superblock.data_block_size)
        return superblock

    def _read_held(self, live: Superblock) -> Superblock | None:
        if not live.metadata_snap:
            # Not a damage: the caller asked for what is not there. The error says so.
            read_held_superblock(self.survey.reader)
        return self._read_superblock(live.metadata_snap)

    def _survey_state(self, superblock: Superblock) -> None:
        """The writeset tree, its bitsets, and the era array."""
        latest = superblock.current_era
        if superblock.live and superblock.current_root:
            latest -= 1
        writesets: list[Writeset] = []
        for eras, values in self.survey.visit_tree(TREE, superblock.writeset_tree_root):
            if len(writesets) + len(eras) > self.survey.limit:
                due, found = f"at most {self.survey.limit}", len(writesets) + len(eras)
                self._err(superblock.writeset_tree_root, TREE.name, "number of writesets", due, found)
                break
            for era, (nr_bits, root) in zip(eras.tolist(), values.tolist(), strict=True):
                if era > latest:
                    self._err(superblock.writeset_tree_root, TREE.name, "era", f"at most {latest}", era)
                writesets.append(Writeset(era, nr_bits, root))
        self.writesets.run(writesets)
        kind = ArrayKind("era array", ERA)
        for batch in survey_array(self.survey, kind, superblock.era_array_root, superblock.nr_blocks):
            late = np.flatnonzero(batch.values > superblock.current_era)
            if len(late):
                found, block = int(batch.values[late[0]]), batch.begin + int(late[0])
                what = f"era of data block {block}" + (f" and {len(late) - 1} more" if len(late) > 1 else "")
                self._err(superblock.era_array_root, "era array", what, f"at most {superblock.current_era}", found)

    def _survey_held(self, live: Superblock) -> None:
        """The metadata snapshot's superblock and all that it refers to."""
        if live.metadata_snap >= self.survey.limit:
            due = f"1 to {self.survey.limit - 1}"
            self._err(0, "superblock", "location of the metadata snapshot", due, live.metadata_snap)
            return
        self.survey.count_block(live.metadata_snap, "superblock of the metadata snapshot")
        held = self._read_superblock(live.metadata_snap)
        if held is not None:
            self._survey_state(held)

    def _survey_space_map(self, superblock: Superblock) -> None:
        """Hold the counts in the space map against those of the survey. Where trees are damaged not all references are
        known: then only blocks that have too few counts are told.
        """
        root = superblock.metadata_space_map
        if root.nr_blocks > self.survey.limit:
            self._err(0, SPACE_MAP, "number of blocks", f"at most {self.survey.limit}, as there are", root.nr_blocks)
        partial = self.survey.nr_damages > 0
        before = len(self.survey.damages)
        batches = list(survey_counts(self.survey, SpaceMapKind.METADATA, root))
        self._sort_out_remarks(before)
        batches.append(_count_beyond(min(root.nr_blocks, self.survey.limit), self.survey.limit))
        for told, run in enumerate(_iter_wrong_counts(batches, self.survey, partial=partial)):
            if told == MOST_RUNS:
                self._err(0, SPACE_MAP, "counts of more blocks", "those of the trees", "others")
                break
            if run.expected == 0:
                self.remarks.append(run)
            else:
                self.survey.report(run)

    def _sort_out_remarks(self, before: int) -> None:
        """Damages of the space map's own sums are remarks, as they lose nothing; notes where they only hide room."""
        found = self.survey.damages[before:]
        sums = [each for each in found if each.tree == SPACE_MAP and not each.loses]
        self.notes.extend(each for each in sums if each.hides_room)
        self.remarks.extend(each for each in sums if not each.hides_room)
        self.survey.damages[before:] = [each for each in found if each.tree != SPACE_MAP or each.loses]

    def _err(self, block: int, tree: str, what: str, expected: int | str, found: int | str) -> None:
        self.survey.report(Damage(block, tree, what, expected, found))

    def _report(self, superblock: Superblock | None) -> Report:
        remarks = *self.survey.remarks, *self.remarks
        return Report(superblock, tuple(self.survey.damages), remarks, tuple(self.notes))


def _count_beyond(begin: int, end: int) -> CountBatch:
    """The counts of blocks that the space map does not reach: none."""
    return CountBatch(begin, np.zeros(end - begin, dtype=np.uint32), np.zeros(0, dtype=INDEX_ENTRY))


def _iter_wrong_counts(batches: Sequence[CountBatch], survey: Survey, *, partial: bool) -> Iterator[Damage]:
    """Runs of neighbouring blocks whose count in the space map is not that of the survey, by as much.

    :param partial: the survey may have missed references: only counts that are too low even so are told.
    """
    for batch in batches:
        stored = batch.counts[: max(survey.limit - batch.begin, 0)]
        due = survey.counts.get_range(batch.begin, batch.begin + len(stored))
        wrong = (stored < due if partial else stored != due) & (stored != UNKNOWN)
        places = np.flatnonzero(wrong)
        if not len(places):
            continue
        breaks = (np.diff(places) != 1) | (np.diff(due[places]) != 0) | (np.diff(stored[places]) != 0)
        for run in np.split(places, np.flatnonzero(breaks) + 1):
            yield _make_wrong_count(batch.begin, run, int(due[run[0]]), int(stored[run[0]]))


def _make_wrong_count(begin: int, run: NDArray[np.int64], due: int, stored: int) -> Damage:
    first, last = begin + int(run[0]), begin + int(run[-1])
    blocks = f"block {first}" if first == last else f"blocks {first} to {last}"
    kind = "leaked: " if due == 0 else "in use and marked free: " if stored == 0 else ""
    return Damage(first, SPACE_MAP, f"{kind}references of {blocks}", due, stored)


def make_superblock_damage(error: DamagedError, location: int) -> Damage:
    """What is wrong with the superblock at `location`, out of the error that refused it."""
    facts: dict[str, Any] = error.facts
    what, due, found = facts.get("what", "superblock"), facts.get("expected", "sound"), facts.get("found", "damaged")
    block = facts.get("block", location)
    return Damage(block if isinstance(block, int) else location, "superblock", str(what), due, found)


def _describe(damage: Damage) -> dict[str, Any]:
    """As a JSON object."""
    document: dict[str, Any] = {
        "block": damage.block,
        "tree": damage.tree,
        "what": damage.what,
        "expected": damage.expected,
        "found": damage.found,
        "message": damage.describe(),
    }
    if damage.loses:
        document["loses"] = [damage.low, damage.high]
    return document

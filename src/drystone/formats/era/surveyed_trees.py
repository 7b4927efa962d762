"""The trees of era metadata that may be damaged, read past all damage; see trees.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from drystone.formats.era.eras import ERA
from drystone.formats.era.superblock import Superblock
from drystone.formats.era.trees import LateEra
from drystone.formats.era.writeset_survey import WritesetSurvey
from drystone.formats.era.writeset_tree import TREE
from drystone.formats.era.writesets import Writeset
from drystone.formats.pdata.array import ArrayKind, survey_array
from drystone.formats.pdata.bitmaps import UNKNOWN, CountBatch, SpaceMapKind, survey_counts
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.layout import INDEX_ENTRY
from drystone.formats.pdata.spacemap import METADATA_MAP, SpaceMapRoot
from drystone.formats.pdata.survey import Survey

MOST_RUNS = 10_000
"""Runs of wrong counts that are told one by one."""


class SurveyedTrees:
    """See Trees. Memory: some 30 bytes for each metadata block."""

    def __init__(self, reader: BlockReader) -> None:
        self.survey = Survey(reader)
        self.notes: list[Damage] = []
        self._remarks: list[Damage] = []
        self._writesets = WritesetSurvey(self.survey)

    @property
    def reader(self) -> BlockReader:
        return self.survey.reader

    @property
    def limit(self) -> int:
        return self.survey.limit

    @property
    def damages(self) -> Sequence[Damage]:
        return self.survey.damages

    @property
    def remarks(self) -> Sequence[Damage]:
        return [*self.survey.remarks, *self._remarks]

    def report(self, damage: Damage) -> None:
        self.survey.report(damage)

    def count_block(self, number: int, name: str) -> bool:
        return self.survey.count_block(number, name)

    def iter_writesets(self, root: int) -> Iterator[list[Writeset]]:
        for eras, values in self.survey.visit_tree(TREE, root):
            pairs = zip(eras.tolist(), values.tolist(), strict=True)
            yield [Writeset(era, nr_bits, bitset) for era, (nr_bits, bitset) in pairs]

    def count_writesets(self, writesets: Sequence[Writeset]) -> None:
        self._writesets.run([each for each in writesets if not each.current])
        for each in writesets:
            if each.current:
                self._writesets.run_one(each)

    def iter_late_eras(self, superblock: Superblock) -> Iterator[LateEra]:
        kind = ArrayKind("era array", ERA)
        for batch in survey_array(self.survey, kind, superblock.era_array_root, superblock.nr_blocks):
            late = np.flatnonzero(batch.values > superblock.current_era)
            if len(late):
                yield LateEra(batch.begin + int(late[0]), int(batch.values[late[0]]), len(late) - 1)

    def check_space_map(self, root: SpaceMapRoot) -> None:
        """See Trees. Where trees are damaged not all references are
        known: then only blocks that have too few counts are told.
        """
        if root.nr_blocks > self.survey.limit:
            self._err("number of blocks", f"at most {self.survey.limit}, as there are", root.nr_blocks)
        partial = self.survey.nr_damages > 0
        before = len(self.survey.damages)
        batches = list(survey_counts(self.survey, SpaceMapKind.METADATA, root))
        self._sort_out_remarks(before)
        batches.append(_count_beyond(min(root.nr_blocks, self.survey.limit), self.survey.limit))
        for told, run in enumerate(_iter_wrong_counts(batches, self.survey, partial=partial)):
            if told == MOST_RUNS:
                self._err("counts of more blocks", "those of the trees", "others")
                break
            if run.expected == 0:
                self._remarks.append(run)
            else:
                self.survey.report(run)

    def _sort_out_remarks(self, before: int) -> None:
        """Damages of the space map's own sums are remarks, as they lose nothing; notes where they only hide room."""
        found = self.survey.damages[before:]
        sums = [each for each in found if each.tree == METADATA_MAP and not each.loses]
        self.notes.extend(each for each in sums if each.hides_room)
        self._remarks.extend(each for each in sums if not each.hides_room)
        self.survey.damages[before:] = [each for each in found if each.tree != METADATA_MAP or each.loses]

    def _err(self, what: str, expected: int | str, found: int | str) -> None:
        self.survey.report(Damage(0, METADATA_MAP, what, expected, found))


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
    return Damage(first, METADATA_MAP, f"{kind}references of {blocks}", due, stored)

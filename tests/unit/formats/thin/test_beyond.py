from __future__ import annotations

import pytest

from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.beyond import MOST_BEYOND, MOST_LOOKED_AT, find_beyond, list_beyond
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.findings import Affected, Severity
from drystone.formats.thin.mappings import MAPPINGS
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata


def survey_devices(devices: dict[int, BlockMap]) -> tuple[Survey, dict[int, int]]:
    """A survey that has visited the mappings of these devices, and their roots."""
    reader = MemoryBlocks(write_thin_metadata(devices, nr_data_blocks=100_000))
    roots = read_mapping_roots(reader, read_superblock(reader))
    survey = Survey(reader)
    for _ in survey.visit_trees(MAPPINGS, roots.values()):
        pass
    return survey, roots


def test_neighbours_are_one_run_whose_first_block_is_shown() -> None:
    survey, roots = survey_devices({1: {5: 1, 6: 70, 7: 90, 9: 50}, 2: {0: 1}})
    (first, second) = find_beyond(survey, roots, 50)
    assert (first.block, first.found, first.affects) == (roots[1], 70, (Affected(1, 6, 7),))
    assert (second.found, second.affects) == (50, (Affected(1, 9, 9),))


def test_more_runs_than_are_told_are_counted() -> None:
    blocks: BlockMap = {block * 2: 1000 + block for block in range(MOST_BEYOND)}
    survey, roots = survey_devices({1: blocks, 2: {0: 1, 5: 1000}, 3: blocks})
    found = list(find_beyond(survey, roots, 1000))
    assert len(found) == MOST_BEYOND + 1
    assert f"data blocks of {MOST_BEYOND + 1} more runs" in found[-1].describe()
    assert found[-1].severity is Severity.FATAL
    assert len(list(find_beyond(survey, {1: roots[1]}, 1000))) == MOST_BEYOND
    survey, roots = survey_devices({1: {block * 2: 1000 + block for block in range(MOST_BEYOND + 7)}})
    assert "data blocks of 7 more runs" in list(find_beyond(survey, roots, 1000))[-1].describe()


class Large(Survey):
    """A survey that says of each tree that it is as large as all that is looked at a second time."""

    def count_entries(self, root: int) -> int:
        return MOST_LOOKED_AT + 1 if super().count_entries(root) else 0


def test_what_is_too_much_to_look_at_again_is_said() -> None:
    small, roots = survey_devices({1: {0: 70}, 2: {0: 80}})
    large = Large(small.reader)
    for _ in large.visit_trees(MAPPINGS, roots.values()):
        pass
    first, second = find_beyond(large, roots, 50)
    assert first.affects == (Affected(1, 0, 0),)
    assert (second.severity, second.kind) == (Severity.NOTE, "unchecked")
    assert "mappings of device 2 and later ones" in second.describe()


@pytest.mark.parametrize(("most", "ranges", "more"), [(9, [(3, 2), (6, 1)], 0), (1, [(3, 2)], 1), (0, [], 2)])
def test_ranges_and_blocks_of_one_tree(most: int, ranges: list[tuple[int, int]], more: int) -> None:
    survey, roots = survey_devices({1: {2: 1, 3: 70, 4: 60, 6: 50}})
    assert list_beyond(survey, roots[1], 50, most) == (ranges, more, 3)

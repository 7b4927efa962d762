"""Trees built by hand, with things wrong in several places at once."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.base.errors import DamagedError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.btree import LARGEST_KEY, TreeKind, descend
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.layout import INTERNAL, LEAF
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.mappings import MAPPINGS
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import seal_node, write_thin_metadata

KIND = TreeKind("tree", np.dtype("<u8"))
OTHER = TreeKind("other tree", np.dtype("<u8"))


def node(flags: int, number: int, entries: dict[int, int]) -> bytes:
    return seal_node(flags, number, list(entries), [struct.pack("<Q", value) for value in entries.values()], 8)


def leaf(number: int, entries: dict[int, int]) -> bytes:
    return node(LEAF, number, entries)


def inner(number: int, entries: dict[int, int]) -> bytes:
    return node(INTERNAL, number, entries)


def survey_of(*blocks: bytes, batch: int = 256) -> Survey:
    """Block 0 is the superblock's place; the nodes given follow."""
    return Survey(MemoryBlocks(b"".join([bytes(BLOCK), *blocks])), batch=batch)


def read(survey: Survey, root: int = 1, low: int = 0, high: int = LARGEST_KEY) -> dict[int, int]:
    found: dict[int, int] = {}
    for keys, values in survey.iter_entries(KIND, root, low=low, high=high):
        found.update(zip(keys.tolist(), values.tolist(), strict=True))
    assert list(found) == sorted(found)
    return found


def visit(survey: Survey, *roots: int, kind: TreeKind = KIND) -> list[tuple[int, int]]:
    """Entries of trees that belong to devices 1, 2 and so on."""
    found: list[tuple[int, int]] = []
    for keys, values in survey.visit_trees(kind, roots, owners=range(1, len(roots) + 1)):
        found.extend(zip(keys.tolist(), values.tolist(), strict=True))
    return found


def lost(survey: Survey) -> list[tuple[int, int, int]]:
    """Block and lost keys of each damage."""
    return [(damage.block, damage.low, damage.high) for damage in survey.damages]


TWO_LEVELS = (
    inner(1, {0: 2, 10: 3, 20: 4}),
    leaf(2, {0: 100, 5: 105}),
    leaf(3, {10: 110, 19: 119}),
    leaf(4, {25: 125}),
)
WHOLE = {0: 100, 5: 105, 10: 110, 19: 119, 25: 125}


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_a_sound_tree(batch: int) -> None:
    survey = survey_of(*TWO_LEVELS, batch=batch)
    assert read(survey) == WHOLE
    assert survey.counts.count_used() == 0
    assert visit(survey, 1) == list(WHOLE.items())
    assert survey.damages == []
    assert survey.counts.get_range(0, 5).tolist() == [0, 1, 1, 1, 1]
    assert survey.count_entries(1) == 5
    assert survey.count_entries(2) == 2
    assert survey.is_whole(1)


def test_an_empty_tree_is_whole() -> None:
    survey = survey_of(leaf(1, {}))
    assert read(survey) == {}
    assert visit(survey, 1) == []
    assert survey.damages == []
    assert survey.count_entries(1) == 0
    assert survey.is_whole(1)


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_what_is_beside_the_damage_is_read(batch: int) -> None:
    wrong = list(TWO_LEVELS)
    wrong[1] = wrong[1][:-1] + b"\x01"
    wrong[3] = leaf(7, {25: 125})
    survey = survey_of(*wrong, batch=batch)
    assert read(survey) == {10: 110, 19: 119}
    assert lost(survey) == [(2, 0, 9), (4, 20, LARGEST_KEY)]
    assert [damage.what for damage in survey.damages] == ["checksum", "location"]
    assert survey.damages[1].describe() == "block 4: tree: location is 7, expected 4"
    again = survey_of(*wrong, batch=batch)
    assert visit(again, 1) == [(10, 110), (19, 119)]
    assert [damage.owner for damage in again.damages] == [1, 1]
    assert not again.is_whole(1)
    assert again.is_whole(3)
    assert again.count_entries(1) == 2
    assert again.counts.get_range(1, 5).tolist() == [1, 1, 1, 1]


def test_a_damaged_root_loses_all() -> None:
    survey = survey_of(bytes(BLOCK), *TWO_LEVELS[1:])
    assert read(survey) == {}
    assert lost(survey) == [(1, 0, LARGEST_KEY)]


@pytest.mark.parametrize("root", [0, 5, 1 << 40])
def test_a_root_that_leads_nowhere(root: int) -> None:
    survey = survey_of(*TWO_LEVELS)
    assert read(survey, root) == {}
    assert visit(survey, root) == []
    assert lost(survey) == [(root, 0, LARGEST_KEY)] * 2
    assert survey.damages[0].expected == "1 to 4"
    assert not survey.is_whole(root)
    assert survey.count_entries(root) == 0


def test_wild_pointers_lose_their_ranges() -> None:
    survey = survey_of(inner(1, {0: 0, 10: 3, 20: 99}), *TWO_LEVELS[1:])
    assert read(survey) == {10: 110, 19: 119}
    assert lost(survey) == [(1, 0, 9), (1, 20, LARGEST_KEY)]
    again = survey_of(inner(1, {0: 0, 10: 3, 20: 99}), *TWO_LEVELS[1:])
    assert visit(again, 1) == [(10, 110), (19, 119)]
    assert not again.is_whole(1)


def test_the_depth_is_found_beside_a_damaged_first_leaf() -> None:
    nodes = (
        inner(1, {0: 2, 50: 3}),
        inner(2, {0: 4, 10: 5}),
        inner(3, {50: 6}),
        bytes(BLOCK),
        bytes(BLOCK),
        leaf(6, {50: 1, 60: 2}),
    )
    survey = survey_of(*nodes)
    assert read(survey) == {50: 1, 60: 2}
    assert lost(survey) == [(4, 0, 9), (5, 10, 49)]


def test_a_tree_without_a_sound_leaf() -> None:
    survey = survey_of(inner(1, {0: 2, 50: 3}), bytes(BLOCK), bytes(BLOCK))
    assert read(survey) == {}
    assert lost(survey) == [(2, 0, 49), (3, 50, LARGEST_KEY)]


class Tallied(MemoryBlocks):
    """Counts how often each block is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.times = np.zeros(len(data) // BLOCK, dtype=np.int64)

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        np.add.at(self.times, numbers, 1)
        return super().read_blocks(numbers)


def test_shared_blocks_are_read_once_and_the_way_to_the_first_leaf_once_more() -> None:
    blocks = {block: block for block in range(3000)}
    image = write_thin_metadata({1: blocks, 2: blocks | {2999: 5000}, 3: blocks}, fan_out=16)
    reader = Tallied(image)
    roots = read_mapping_roots(reader, read_superblock(reader))
    reader.times[:] = 0
    survey = Survey(reader)
    for _ in survey.visit_trees(MAPPINGS, roots.values()):
        pass
    visited = survey.counts.get_range(0, survey.limit) > 0
    assert np.array_equal(reader.times > 0, visited)
    twice = set(np.flatnonzero(reader.times > 1).tolist())
    ways = {int(edge.blocks[0]) for root in roots.values() for edge, _ in descend(reader, MAPPINGS, root, 0)}
    assert len(ways) == 4  # the roots of 1 and 2, which 3 has one of, and two levels that all share
    assert twice <= ways


def test_a_range_of_keys_reads_only_what_it_needs() -> None:
    survey = survey_of(*TWO_LEVELS)
    assert read(survey, low=5, high=10) == {5: 105, 10: 110}
    assert read(survey, low=26) == {}
    reader = survey.reader
    assert isinstance(reader, MemoryBlocks)
    before = reader.blocks_read
    assert read(survey, low=11, high=12) == {}
    assert reader.blocks_read - before == 2 + 2  # once to measure the depth, once to read


def test_what_devices_share_is_read_once_and_counted_for_each() -> None:
    survey = survey_of(
        inner(1, {0: 2, 10: 3}),
        leaf(2, {0: 100}),
        leaf(3, {10: 110, 11: 111}),
        inner(4, {0: 5, 10: 3}),
        leaf(5, {0: 200, 1: 201}),
    )
    assert sorted(visit(survey, 1, 4, 1)) == [(0, 100), (0, 200), (1, 201), (10, 110), (11, 111)]
    assert survey.counts.get_range(1, 6).tolist() == [2, 1, 2, 1, 1]
    assert [survey.count_entries(root) for root in (1, 4)] == [3, 4]
    assert visit(survey, 4) == []
    assert survey.counts.get_range(1, 6).tolist() == [2, 1, 2, 2, 1]
    assert survey.damages == []


def test_trees_of_different_depth_share_too() -> None:
    survey = survey_of(
        inner(1, {0: 2, 10: 3}),
        leaf(2, {0: 100}),
        leaf(3, {10: 110}),
        inner(4, {0: 1, 20: 6}),
        leaf(5, {20: 120}),
        inner(6, {20: 5}),
    )
    assert sorted(visit(survey, 4, 1, 5)) == [(0, 100), (10, 110), (20, 120)]
    assert [survey.count_entries(root) for root in (1, 4, 5, 6)] == [2, 3, 1, 1]
    assert survey.damages == []


def test_damage_in_a_shared_leaf_tears_every_tree() -> None:
    survey = survey_of(inner(1, {0: 3}), inner(2, {0: 3, 10: 4}), bytes(BLOCK), leaf(4, {10: 1}))
    assert visit(survey, 1, 2) == [(10, 1)]
    assert lost(survey) == [(3, 0, LARGEST_KEY)]
    assert not survey.is_whole(1)
    assert not survey.is_whole(2)


def test_a_shared_leaf_with_keys_outside_the_second_edge() -> None:
    survey = survey_of(inner(1, {0: 3}), inner(2, {0: 4, 5: 3}), leaf(3, {3: 1, 7: 2}), leaf(4, {0: 1}))
    visit(survey, 1, 2)
    (damage,) = survey.damages
    assert (damage.block, damage.owner, damage.low, damage.found) == (3, 2, 5, "3 to 7")


def test_a_shared_subtree_with_keys_outside_the_second_edge() -> None:
    survey = survey_of(
        inner(1, {0: 3}), inner(2, {0: 3, 20: 5}), inner(3, {0: 4}), leaf(4, {0: 1, 30: 2}), inner(5, {20: 6})
    )
    visit(survey, 1, 2)
    assert (3, 0, 19) in lost(survey)


def test_a_block_of_two_kinds_is_told() -> None:
    survey = survey_of(*TWO_LEVELS)
    visit(survey, 1)
    assert visit(survey, 2, kind=OTHER) == []
    (damage,) = survey.damages
    assert (damage.block, damage.what, damage.found) == (2, "kind of block", "tree, height 0")
    assert survey.counts.get(2) == 2
    assert not survey.count_block(3, "bitmap")
    assert survey.damages[1].found == "tree"


def test_a_node_below_itself_ends() -> None:
    for nodes in ((inner(1, {0: 1}),), (inner(1, {0: 1, 5: 2}), leaf(2, {5: 1})), (inner(1, {0: 2}), inner(2, {0: 1}))):
        survey = survey_of(*nodes)
        read(survey)
        assert survey.damages
        again = survey_of(*nodes)
        visit(again, 1)
        assert again.damages


def test_leaves_of_different_depth_are_told() -> None:
    survey = survey_of(inner(1, {0: 2, 10: 3}), inner(2, {0: 4}), leaf(3, {10: 1}), leaf(4, {0: 1}))
    assert read(survey) == {0: 1}
    assert lost(survey) == [(3, 10, LARGEST_KEY)]


def test_nodes_that_are_too_empty_are_remarked_but_for_roots() -> None:
    survey = survey_of(inner(1, {0: 2, 100: 3}), leaf(2, {key: key for key in range(84)}), leaf(3, {100: 1}))
    visit(survey, 1)
    (remark,) = survey.remarks
    assert (remark.block, remark.expected, remark.found, remark.loses) == (3, "84 or more", 1, False)
    assert survey.damages == []


def test_strict_ends_at_the_first_damage() -> None:
    survey = Survey(survey_of(*TWO_LEVELS[:3], bytes(BLOCK)).reader, strict=True)
    with pytest.raises(DamagedError) as caught:
        read(survey)
    assert caught.value.facts["block"] == 4
    assert "tree: checksum" in str(caught.value.facts["what"])


def test_only_so_many_damages_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drystone.formats.pdata.survey.MOST_DAMAGES", 3)
    survey = survey_of()
    for number in range(5):
        survey.report(Damage(number, "tree", "checksum", 1, 2))
        survey.remark(Damage(number, "tree", "number of entries", 1, 2))
    assert (len(survey.damages), survey.nr_damages, len(survey.remarks)) == (3, 5, 3)


def test_blocks_that_are_no_nodes() -> None:
    survey = survey_of(*TWO_LEVELS)
    numbers = np.array([3, 1, 3], dtype=np.uint64)
    assert survey.visit_blocks(numbers, "array block").tolist() == [True, True, False]
    assert survey.visit_blocks(numbers, "array block").tolist() == [False] * 3
    assert survey.counts.get_range(0, 5).tolist() == [0, 2, 0, 4, 0]
    assert survey.damages == []


def test_keys_that_stand_for_several_things() -> None:
    kind = TreeKind("array", np.dtype("<u8"), per_key=100, end=1234)
    survey = survey_of(inner(1, {0: 2, 5: 3, 8: 4}), bytes(BLOCK), bytes(BLOCK), bytes(BLOCK))
    list(survey.iter_entries(kind, 1))
    assert lost(survey) == [(2, 0, 499), (3, 500, 799), (4, 800, 1233)]

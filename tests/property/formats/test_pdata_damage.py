"""Surveys of mutated images: they end, list what is wrong, and give out what is sound.

Every key of a tree is either given out with its value or lies in a range that a damage says is lost.
"""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.base.errors import DamagedError, UnsupportedError
from drystone.formats.era import layout as era_layout
from drystone.formats.era.superblock import read_superblock as read_era
from drystone.formats.pdata.array import ArrayKind, survey_array
from drystone.formats.pdata.bitmaps import SpaceMapKind, survey_counts
from drystone.formats.pdata.bitset import survey_bits
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.btree import TreeKind
from drystone.formats.pdata.checksum import ARRAY_BLOCK, BITMAP, BTREE_NODE, INDEX_BLOCK, SALTS, identify_block
from drystone.formats.pdata.damage import LostKeys
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.pdata.scan import count_kinds
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.device_trees import DETAILS, TOP
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.mappings import MAPPINGS
from drystone.formats.thin.superblock import read_superblock as read_thin
from drystone.testing.era_metadata import write_era_metadata
from drystone.testing.thin_metadata import seal_block, write_thin_metadata

BASE = {block: block for block in range(400)}
DEVICES = {1: BASE, 2: BASE | {7: 900, 300: 901}, 3: {}, 4: {block * 3: block for block in range(50)}}
THIN = [write_thin_metadata(DEVICES, held={1: BASE}, fan_out=fan_out, nr_blocks=600) for fan_out in (4, 252)]
ROOTS = [read_mapping_roots(MemoryBlocks(image), read_thin(MemoryBlocks(image))) for image in THIN]
ERA_BLOCKS = 40_000
ERA = write_era_metadata(
    [block % 7 for block in range(ERA_BLOCKS)], {5: {1, 39_999}, 6: {3}}, current={2}, current_era=7, fan_out=4
)
WRITESETS = TreeKind("writeset tree", np.dtype(era_layout.WRITESET))
ERAS = ArrayKind("era array", np.dtype("<u4"))
VALUES = (
    st.integers(0, 300)
    | st.sampled_from([0, 1, 2, 3, 0xFF, 252, 253, 600, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1])
    | st.integers(0, (1 << 64) - 1)
)
OFFSETS = st.sampled_from([4, 8, 12, 16, 20, 24, 32, 40, 56, 2048, 2056]) | st.integers(4, BLOCK - 8)


@st.composite
def mutate(draw: st.DrawFn, images: list[bytes]) -> tuple[int, bytes]:
    """The number of an image, and its bytes with up to four changes; half of them under a right checksum."""
    which = draw(st.integers(0, len(images) - 1))
    data = bytearray(images[which])
    kinds = {block: identify_block(bytes(data[block * BLOCK : (block + 1) * BLOCK])) for block in range(1, 120)}
    used = [block for block, kind in kinds.items() if kind]
    for _ in range(draw(st.integers(1, 4))):
        block = draw(st.sampled_from(used))
        at = slice(block * BLOCK, (block + 1) * BLOCK)
        if draw(st.integers(0, 9)) == 0:
            other = draw(st.sampled_from(used))
            data[at] = data[other * BLOCK : (other + 1) * BLOCK]
            continue
        struct.pack_into("<Q", data, block * BLOCK + draw(OFFSETS), draw(VALUES))
        if draw(st.booleans()):
            data[at] = seal_block(bytes(data[at]), SALTS[kinds[block] or ""])
    return which, bytes(data)


@given(mutated=mutate(THIN), batch=st.sampled_from([1, 3, 256]))
@settings(max_examples=400, deadline=None)
def test_every_mapping_is_read_or_said_to_be_lost(mutated: tuple[int, bytes], batch: int) -> None:
    which, image = mutated
    before = time.process_time()
    for dev_id, root in ROOTS[which].items():
        survey = Survey(MemoryBlocks(image), batch=batch)
        found: dict[int, Any] = {}
        last = -1
        for keys, values in survey.iter_entries(MAPPINGS, root):
            assert int(keys[0]) > last
            assert np.all(keys[1:] > keys[:-1])
            last = int(keys[-1])
            found.update(zip(keys.tolist(), values.tolist(), strict=True))
        if not survey.damages:
            continue
        for key in DEVICES[dev_id]:
            if key not in found and not is_sealed_change(THIN[which], image):
                assert LostKeys(survey.damages).list_gaps(key, key + 1) == []
    assert time.process_time() - before < 10


def is_sealed_change(before: bytes, after: bytes) -> bool:
    """Whether a block was changed under a right checksum: its keys are then others, and nobody can tell."""
    return any(
        before[at : at + BLOCK] != after[at : at + BLOCK] and identify_block(after[at : at + BLOCK])
        for at in range(0, len(before), BLOCK)
    )


@given(mutated=mutate(THIN), batch=st.sampled_from([1, 3, 256]))
@settings(max_examples=300, deadline=None)
def test_a_survey_of_thin_metadata_ends(mutated: tuple[int, bytes], batch: int) -> None:
    _, image = mutated
    reader = MemoryBlocks(image)
    try:
        superblock = read_thin(reader)
    except (DamagedError, UnsupportedError):
        return
    survey = Survey(reader, batch=batch)
    survey.count_block(0, "superblock")
    roots: dict[int, int] = {}
    for keys, values in survey.visit_tree(TOP, superblock.data_mapping_root):
        roots.update(zip(keys.tolist(), values.tolist(), strict=True))
    for _ in survey.visit_tree(DETAILS, superblock.device_details_root):
        pass
    entries = 0
    for keys, values in survey.visit_trees(MAPPINGS, roots.values(), owners=roots):
        assert len(keys) == len(values) > 0
        entries += len(keys)
    assert entries <= 252 * 600
    for root in roots.values():
        survey.count_entries(root)
        survey.is_whole(root)
    for kind, space_map in (
        (SpaceMapKind.DATA, superblock.data_space_map),
        (SpaceMapKind.METADATA, superblock.metadata_space_map),
    ):
        assert sum(len(each) for each in survey_counts(survey, kind, space_map)) <= space_map.nr_blocks
    for damage in survey.damages:
        assert "\n" not in damage.describe()
    count_kinds(reader)


@given(mutated=mutate([ERA]), batch=st.sampled_from([1, 256]))
@settings(max_examples=200, deadline=None)
def test_a_survey_of_era_metadata_ends(mutated: tuple[int, bytes], batch: int) -> None:
    _, image = mutated
    reader = MemoryBlocks(image)
    superblock = read_era(reader)
    survey = Survey(reader, batch=batch)
    eras = {
        each.begin + place: value
        for each in survey_array(survey, ERAS, superblock.era_array_root, ERA_BLOCKS)
        for place, value in enumerate(each.values.tolist())
    }
    assert all(0 <= place < ERA_BLOCKS for place in eras)
    for place in range(0, ERA_BLOCKS, 100):
        assert place in eras or LostKeys(survey.damages).list_gaps(place, place + 1) == []
    for keys, values in survey.visit_tree(WRITESETS, superblock.writeset_tree_root):
        for era, (nr_bits, root) in zip(keys.tolist(), values.tolist(), strict=True):
            bits = sum(len(each) for each in survey_bits(survey, "writeset", root, nr_bits, owner=era))
            assert bits <= nr_bits
    for _ in survey_counts(survey, SpaceMapKind.METADATA, superblock.metadata_space_map):
        pass


def test_the_kinds_that_are_mutated_are_all_there() -> None:
    found = {kind for image in (*THIN, ERA) for kind in count_kinds(MemoryBlocks(image))}
    assert {SALTS[kind] for kind in found} >= {BTREE_NODE, ARRAY_BLOCK, BITMAP, INDEX_BLOCK}

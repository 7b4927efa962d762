from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.formats.era.superblock import read_superblock
from drystone.formats.era.writeset_survey import AT_ONCE, WritesetSurvey
from drystone.formats.era.writesets import Writeset, iter_archived
from drystone.formats.pdata.blocks import BLOCK, count_blocks
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.pdata.survey import Survey
from drystone.testing.era_metadata import write_era_metadata

BLOCKS = 40_000
"""Bits of a writeset: two array blocks of words."""


class CountingReader(MemoryBlocks):
    """Counts the reads."""

    reads = 0

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        self.reads += 1
        return super().read_blocks(numbers)


def make_image(writesets: int) -> bytes:
    eras = {era: {era, BLOCKS - era} for era in range(1, writesets + 1)}
    return write_era_metadata([0] * BLOCKS, eras, current_era=writesets + 1)


def list_writesets(image: bytes) -> list[Writeset]:
    reader = MemoryBlocks(image)
    return list(iter_archived(reader, read_superblock(reader)))


def survey_together(image: bytes, writesets: Sequence[Writeset]) -> Survey:
    survey = Survey(MemoryBlocks(image))
    WritesetSurvey(survey).run(writesets)
    return survey


def survey_alone(image: bytes, writesets: Sequence[Writeset]) -> Survey:
    survey = Survey(MemoryBlocks(image))
    one = WritesetSurvey(survey)
    for writeset in writesets:
        one.run_one(writeset)
    return survey


def assert_alike(image: bytes, writesets: Sequence[Writeset]) -> Survey:
    """Together they give what they give one by one."""
    together, alone = survey_together(image, writesets), survey_alone(image, writesets)
    assert together.damages == alone.damages
    counts = [each.counts.get_range(0, count_blocks(each.reader)).tolist() for each in (together, alone)]
    assert counts[0] == counts[1]
    for name in ("heights", "entries", "torn", "firsts"):
        left, right = (getattr(each.visits, name)[each.visits.kinds > 0] for each in (together, alone))
        assert left.tolist() == right.tolist(), name
    return together


@pytest.mark.parametrize("writesets", [0, 1, 7])
def test_sound_ones_are_counted_as_one_by_one(writesets: int) -> None:
    image = make_image(writesets)
    assert assert_alike(image, list_writesets(image)).damages == []


def test_hundreds_of_small_ones_take_a_few_reads() -> None:
    image = make_image(AT_ONCE + 40)
    reader = CountingReader(image)
    survey = Survey(reader)
    WritesetSurvey(survey).run(list_writesets(image))
    assert survey.counts.count_used() == 3 * (AT_ONCE + 40)
    assert reader.reads <= 6


def test_each_damaged_block_is_told_as_one_by_one() -> None:
    image = make_image(5)
    writesets = list_writesets(image)
    for block in range(1, len(image) // BLOCK):
        for at in (8, 16, 33, 3000):
            damaged = bytearray(image)
            damaged[block * BLOCK + at] ^= 1
            assert_alike(bytes(damaged), writesets)


@pytest.mark.parametrize("nr_bits", [0, 1, 32576, 32577, 65152, 65153, 1 << 31])
def test_another_number_of_bits_is_told_as_one_by_one(nr_bits: int) -> None:
    image = make_image(3)
    first, second, third = list_writesets(image)
    assert_alike(image, [first, Writeset(second.era, nr_bits, second.root), third])


def test_shared_and_wild_roots_are_told_as_one_by_one() -> None:
    image = make_image(4)
    writesets = list_writesets(image)
    for other in (0, writesets[0].root, writesets[3].root, writesets[0].root - 1, 10**9, (1 << 64) - 1):
        changed = [*writesets]
        changed[1] = Writeset(changed[1].era, changed[1].nr_bits, other)
        assert_alike(image, changed)


def test_those_that_were_right_are_counted_once_more_without_a_read() -> None:
    image = make_image(9)
    reader = CountingReader(image)
    survey = Survey(reader)
    one = WritesetSurvey(survey)
    writesets = list_writesets(image)
    one.run(writesets)
    before = reader.blocks_read
    one.run(writesets)
    assert reader.blocks_read == before
    assert [survey.counts.get(each.root) for each in writesets] == [2] * 9
    assert survey.counts.get_range(0, survey.limit).max() == 2

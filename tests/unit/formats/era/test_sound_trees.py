"""Sound metadata is read without a survey, and whatever is odd is given to one; both say the same in the end."""

from __future__ import annotations

import random
import struct

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.era.check import Report, _Check, check_metadata, survey_metadata
from drystone.formats.era.sound_trees import SoundTrees, Unusual
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import SALTS, identify_block, seal_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata

RANDOM = random.Random(3)
MANY = {era: {era * 7 % 40_000, 5} for era in range(2, 150)}

SOUND = {
    "small": write_era_metadata([1, 2, 2, 0], current_era=3),
    "nothing": write_era_metadata([], current_era=1),
    "current": write_era_metadata([1] * 3000, {2: {7}, 3: {8, 9}}, current={1, 2999}, current_era=4),
    "many writesets": write_era_metadata([1] * 40_000, MANY, current={3}, current_era=200),
    "large": write_era_metadata([5] * 300_000, {6: {1}}, current={299_999}, current_era=7),
}
HELD = write_era_metadata([1, 2, 2, 0], {3: {0}}, current={3}, current_era=5, held=Held([1, 2, 2, 0], {3: {0}}, 4))


def check_sound(image: bytes, *, held: bool = False) -> Report | None:
    """The report by SoundTrees alone; None when they give up."""
    try:
        return _Check(SoundTrees(MemoryBlocks(image))).run(held=held)
    except (Unusual, DamagedError):
        return None


@pytest.mark.parametrize("name", SOUND)
def test_sound_metadata_needs_no_survey(name: str) -> None:
    report = check_sound(SOUND[name])
    assert report is not None
    assert report.is_sound()
    assert report == survey_metadata(MemoryBlocks(SOUND[name]))


def test_a_held_snapshot_needs_none_by_itself() -> None:
    report = check_sound(HELD, held=True)
    assert report is not None
    assert report == survey_metadata(MemoryBlocks(HELD), held=True)
    assert check_metadata(MemoryBlocks(HELD)) == survey_metadata(MemoryBlocks(HELD))


@pytest.mark.parametrize("name", ["small", "current", "many writesets"])
def test_no_byte_that_a_survey_minds_passes(name: str) -> None:
    """Bytes changed below a checksum that is put right again."""
    image = SOUND[name]
    reader = MemoryBlocks(image)
    salts = [SALTS.get(identify_block(image[at : at + BLOCK]) or "") for at in range(0, len(image), BLOCK)]
    used = [block for block, salt in enumerate(salts) if salt is not None]
    odd = 0
    for _ in range(150):
        block = RANDOM.choice(used)
        offset = RANDOM.choice([RANDOM.randrange(4, 40), RANDOM.randrange(40, 400), RANDOM.randrange(4, BLOCK)])
        odd += check_change(image, block, offset, RANDOM.randrange(256), salts[block] or 0)
    assert odd > 20
    assert check_metadata(reader).is_sound()


def check_change(image: bytes, block: int, offset: int, value: int, salt: int) -> bool:
    changed = bytearray(image[block * BLOCK : (block + 1) * BLOCK])
    changed[offset] = value
    whole = image[: block * BLOCK] + seal_block(bytes(changed), salt) + image[(block + 1) * BLOCK :]
    survey = survey_metadata(MemoryBlocks(whole))
    sound = check_sound(whole)
    assert sound is None or sound == survey, (block, offset, value)
    assert check_metadata(MemoryBlocks(whole)) == survey
    return bool(survey.errors or survey.remarks or survey.notes)


def test_more_array_blocks_than_are_due() -> None:
    """The superblock says fewer blocks than the array has: the last array blocks are too many."""
    image = bytearray(SOUND["current"])
    for nr_blocks in (0, 1, 1018, 1019, 2036, 2999, 3001, 4000):
        struct.pack_into("<I", image, 180, nr_blocks)
        image[:BLOCK] = seal_block(bytes(image[:BLOCK]), SALTS["era superblock"])
        assert check_sound(bytes(image)) is None
        assert not check_metadata(MemoryBlocks(bytes(image))).is_sound()


def test_a_sum_that_hides_room_is_a_note_of_the_survey() -> None:
    image = bytearray(SOUND["small"])
    index = read_superblock(MemoryBlocks(bytes(image))).metadata_space_map.bitmap_root * BLOCK
    (free,) = struct.unpack_from("<I", image, index + 24)
    struct.pack_into("<I", image, index + 24, free - 1)
    image[index : index + BLOCK] = seal_block(bytes(image[index : index + BLOCK]), SALTS["space map index"])
    assert check_sound(bytes(image)) is None
    assert check_metadata(MemoryBlocks(bytes(image))) == survey_metadata(MemoryBlocks(bytes(image)))

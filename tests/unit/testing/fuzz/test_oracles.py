"""What is said to be sound and is not: each oracle refuses it."""

from __future__ import annotations

import numpy as np
import pytest

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.testing.damage.examples import EXAMPLES
from drystone.testing.damage.table import Target, apply_damage, plan_damage
from drystone.testing.fuzz import oracles
from drystone.testing.thin_image import ThinImage

TARGETS: tuple[Target, ...] = ("thin", "era")


def damage(target: Target, name: str) -> bytes:
    data = EXAMPLES[target][0]()
    return apply_damage(plan_damage(target, name, MemoryBlocks(data), seed=1), data)


def make_disk(data: bytes) -> MemoryDisk:
    disk = MemoryDisk(len(data))
    disk.data[:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, BLOCK)
    return disk


@pytest.mark.parametrize("target", TARGETS)
def test_sound_metadata_is_taken(target: Target) -> None:
    data = EXAMPLES[target][0]()
    oracles.demand_sound(target, MemoryBlocks(data))
    oracles.demand_written(target, make_disk(data))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["metadata-leaked", "metadata-free-in-use", "metadata-refcount"])
def test_a_wrong_count_that_is_called_sound_is_refused(target: Target, name: str) -> None:
    with pytest.raises(AssertionError, match=r"called sound, yet the metadata space map counts blocks \[\d+\] wrongly"):
        oracles.demand_sound(target, MemoryBlocks(damage(target, name)))


@pytest.mark.parametrize(
    ("target", "name"), [("thin", "magic"), ("thin", "mapping-root"), ("era", "version"), ("era", "roots-swapped")]
)
def test_what_is_called_sound_and_cannot_be_read_is_refused(target: Target, name: str) -> None:
    with pytest.raises(AssertionError, match="called sound, yet refused"):
        oracles.demand_sound(target, MemoryBlocks(damage(target, name)))


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_written_must_be_sound_by_the_check(target: Target) -> None:
    with pytest.raises(AssertionError, match="what was written is not sound"):
        oracles.demand_written(target, make_disk(damage(target, "metadata-leaked")))


def test_metadata_that_the_check_does_not_call_sound_is_no_matter() -> None:
    oracles.check_thin_image(MemoryBlocks(damage("thin", "metadata-leaked")))
    oracles.check_era_image(MemoryBlocks(damage("era", "metadata-leaked")))


def test_a_repair_of_sound_metadata_changes_nothing() -> None:
    for target in TARGETS:
        data = EXAMPLES[target][0]()
        disk = MemoryDisk(2 * len(data))
        (oracles.repair_thin_image if target == "thin" else oracles.repair_era_image)(MemoryBlocks(data), disk)
        dump = oracles.dump_thin if target == "thin" else oracles.dump_era
        assert dump(disk) == dump(MemoryBlocks(data)) != b""


def test_a_repair_may_put_right_the_pools_time_and_flags() -> None:
    image = ThinImage(EXAMPLES["thin"][0]())
    image.put_superblock(flags=252, time=2)
    oracles.repair_thin_image(image.reader, MemoryDisk(2 * len(image.data)))

"""Round trips and models: what was written is read, and a delta is what two dictionaries differ in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.delta import UNMAPPED, iter_changed, iter_differences
from drystone.formats.thin.devices import read_devices
from drystone.formats.thin.extents import iter_runs, merge_blocks
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import read_held_superblock, read_superblock
from drystone.testing.thin_metadata import write_thin_metadata

Blocks = dict[int, tuple[int, int]]

VIRTUAL = st.integers(0, 300) | st.integers(0, (1 << 64) - 1)
ENTRY = st.tuples(
    st.integers(0, 400) | st.integers(0, (1 << 40) - 1), st.integers(0, 3) | st.integers(0, (1 << 24) - 1)
)
MAPS = st.dictionaries(VIRTUAL, ENTRY, max_size=80)
DEVICES = st.dictionaries(st.integers(0, 30) | st.integers(0, (1 << 24) - 1), MAPS, max_size=6)
FAN_OUT = st.sampled_from([2, 3, 4, 7, 30, 252])
BATCH = st.sampled_from([2, 3, 5, 256])


@st.composite
def related_maps(draw: st.DrawFn) -> tuple[Blocks, Blocks]:
    """A dense device and what became of a snapshot of it: some blocks moved, some gone, some new."""
    left = {block: (block + 1000, 0) for block in draw(st.sets(st.integers(0, 250), max_size=250))}
    right = dict(left)
    for block in draw(st.sets(st.integers(0, 300), max_size=20)):
        right[block] = (5000 + block, 1)
    for block in draw(st.sets(st.integers(0, 300), max_size=20)):
        right.pop(block, None)
    return left, right


def read(image: bytes, dev_id: int, batch: int, *, held: bool = False) -> Blocks:
    reader = MemoryBlocks(image)
    superblock = read_held_superblock(reader) if held else read_superblock(reader)
    found: Blocks = {}
    for each in iter_mappings(reader, superblock, dev_id, batch=batch):
        assert len(each)
        for virtual, data, time in zip(each.virtual.tolist(), each.data.tolist(), each.time.tolist(), strict=True):
            assert virtual not in found
            found[virtual] = (data, time)
    return found


@given(devices=DEVICES, held=DEVICES, fan_out=FAN_OUT, share=st.booleans(), batch=BATCH)
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_read(
    devices: dict[int, Blocks], held: dict[int, Blocks], fan_out: int, batch: int, *, share: bool
) -> None:
    image = write_thin_metadata(devices, held=held, fan_out=fan_out, share=share, nr_data_blocks=1)
    for expected, from_held in ((devices, False), (held, True)):
        for dev_id, mappings in expected.items():
            found = read(image, dev_id, batch, held=from_held)
            assert found == mappings
            assert list(found) == sorted(found)
    reader = MemoryBlocks(image)
    details = read_devices(reader, read_superblock(reader))
    assert {dev_id: each.mapped_blocks for dev_id, each in details.items()} == {
        dev_id: len(mappings) for dev_id, mappings in devices.items()
    }


@given(
    maps=related_maps() | st.tuples(MAPS, MAPS),
    left_fan_out=FAN_OUT,
    right_fan_out=FAN_OUT,
    batch=BATCH,
    share=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_delta_is_the_difference_of_the_dictionaries(
    maps: tuple[Blocks, Blocks], left_fan_out: int, right_fan_out: int, batch: int, *, share: bool
) -> None:
    left, right = maps
    fan_out = {1: left_fan_out, 2: right_fan_out}
    reader = MemoryBlocks(write_thin_metadata({1: left, 2: right}, fan_out=fan_out, share=share, nr_data_blocks=1))
    superblock = read_superblock(reader)
    naive = {}
    for block in sorted(left.keys() | right.keys()):
        sides = tuple(side[block][0] if block in side else UNMAPPED for side in (left, right))
        if sides[0] != sides[1]:
            naive[block] = sides
    found: dict[int, tuple[int, int]] = {}
    for each in iter_differences(reader, superblock, 1, 2, batch=batch):
        found.update(zip(each.virtual.tolist(), zip(each.left.tolist(), each.right.tolist(), strict=True), strict=True))
    assert found == naive
    assert list(found) == list(naive)
    ranges = [row for each in iter_changed(reader, superblock, 1, 2, batch=batch) for row in each.tolist()]
    expected: list[list[int]] = []
    for block in naive:
        if expected and sum(expected[-1]) == block:
            expected[-1][1] += 1
        else:
            expected.append([block, 1])
    assert ranges == expected


@given(mappings=MAPS, fan_out=FAN_OUT, batch=BATCH)
@settings(max_examples=100, deadline=None)
def test_runs_hold_the_same_mappings(mappings: Blocks, fan_out: int, batch: int) -> None:
    reader = MemoryBlocks(write_thin_metadata({1: mappings}, fan_out=fan_out, nr_data_blocks=1))
    found: Blocks = {}
    last = None
    for runs in iter_runs(iter_mappings(reader, read_superblock(reader), 1, batch=batch)):
        for virtual, data, length, time in zip(
            *(column.tolist() for column in (runs.virtual, runs.data, runs.length, runs.time)), strict=True
        ):
            assert (virtual, data, time) != last
            found |= {virtual + step: (data + step, time) for step in range(length)}
            last = (virtual + length, data + length, time)
    assert found == mappings


@given(blocks=st.sets(st.integers(0, 60) | st.integers(0, (1 << 64) - 1)))
def test_ranges_hold_the_same_blocks(blocks: set[int]) -> None:
    import numpy as np

    ranges = merge_blocks(np.array(sorted(blocks), dtype=np.uint64)).tolist()
    assert [block for begin, length in ranges for block in range(begin, begin + length)] == sorted(blocks)
    assert all(begin not in {first + length for first, length in ranges} for begin, _ in ranges)

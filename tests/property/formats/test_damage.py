"""Mutated images: either read, or refused with DamagedError; never a crash, a hang, or memory beyond the bound."""

from __future__ import annotations

import resource
import struct
import time
import tracemalloc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.base.errors import DamagedError, NotFoundError, UnsupportedError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import THIN_SUPERBLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.delta import iter_changed
from drystone.formats.thin.devices import read_devices, read_mapping_roots
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import Superblock, read_held_superblock, read_superblock
from drystone.testing.thin_metadata import seal_block, write_thin_metadata

from .conftest import IMAGES, PLANS, Plan


def read_all(image: bytes) -> None:
    """Everything that can be read, each part until its first damage."""
    reader = MemoryBlocks(image)
    for read in (read_superblock, read_held_superblock):
        try:
            superblock = read(reader)
        except (DamagedError, NotFoundError, UnsupportedError):
            continue
        read_trees(reader, superblock)


def read_trees(reader: MemoryBlocks, superblock: Superblock) -> None:
    parts = [read_devices, read_mapping_roots]
    for part in parts:
        try:
            part(reader, superblock)
        except DamagedError as error:
            assert_explained(error)
    for dev_id in (1, 2, 3, 4):
        try:
            for batch in iter_mappings(reader, superblock, dev_id, batch=16):
                assert np.all(batch.virtual[1:] > batch.virtual[:-1])
        except DamagedError as error:
            assert_explained(error)
        except NotFoundError:
            pass
    for left, right in ((1, 2), (2, 1), (1, 4), (3, 1)):
        try:
            for ranges in iter_changed(reader, superblock, left, right, batch=16):
                assert ranges[:, 1].all()
        except DamagedError as error:
            assert_explained(error)
        except NotFoundError:
            pass


def assert_explained(error: DamagedError) -> None:
    assert {"block", "what", "expected", "found"} <= error.facts.keys()
    assert "\n" not in error.message


@given(plan=PLANS)
@settings(max_examples=400, deadline=None)
def test_a_mutated_image_is_read_or_refused(plan: Plan) -> None:
    image = plan.apply()
    before = time.process_time()
    read_all(image)
    assert time.process_time() - before < 5


@given(cut=st.integers(0, 100 * BLOCK), filler=st.sampled_from([b"", b"\0" * BLOCK, b"\xff" * BLOCK]))
@settings(max_examples=100, deadline=None)
def test_a_truncated_image_is_read_or_refused(cut: int, filler: bytes) -> None:
    read_all(IMAGES[0][:cut] + filler)


@given(data=st.binary(max_size=3 * BLOCK))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    read_all(data)


def test_memory_is_bounded_by_the_batch() -> None:
    """400,000 mappings are 12 MiB of leaves as arrays; a batch of 16 leaves is 64 KiB of blocks."""
    image = write_thin_metadata(
        {1: {block: block for block in range(400_000)}, 2: {block: block + 1 for block in range(400_000)}}
    )
    reader = MemoryBlocks(image)
    superblock = read_superblock(reader)
    tracemalloc.start()
    try:
        for _ in iter_mappings(reader, superblock, 1, batch=16):
            pass
        for _ in iter_changed(reader, superblock, 1, 2, batch=16):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20


def test_a_superblock_that_promises_much_allocates_little() -> None:
    data = bytearray(IMAGES[0])
    struct.pack_into("<Q", data, 344, (1 << 64) - 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read_all(seal_block(bytes(data[:BLOCK]), THIN_SUPERBLOCK) + bytes(data[BLOCK:]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000

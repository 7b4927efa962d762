"""Convoy's documents, keys and blocks, whatever they hold: a value, or damage; nothing else, and never much memory."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.backup.convoy import documents, layout
from drystone.backup.convoy.blocks import unpack
from drystone.backup.convoy.documents import BLOCK
from drystone.base.errors import DamagedError, UsageError
from drystone.store.abc import check_key

SUM = "ab" * 32
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("2097152")
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "Offset": st.integers(-3, 5).map(lambda each: each * BLOCK) | VALUES,
            "BlockChecksum": st.just(SUM) | VALUES,
        },
    ),
    max_size=4,
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["UUID", "Name", "VolumeUUID", "VolumeName", "Size", "CreatedTime", "SnapshotName", "SingleFile"]),
    VALUES,
).flatmap(lambda found: BLOCKS.map(lambda blocks: {**found, "Blocks": blocks}))


@given(DOCUMENTS.map(lambda each: json.dumps(each).encode()) | st.binary(max_size=200))
@settings(max_examples=300)
def test_a_backups_document_is_a_map_or_damage(data: bytes) -> None:
    try:
        found = documents.parse_backup(data, "it")
    except DamagedError:
        return
    assert found.size >= 0
    assert (found.offsets[1:] > found.offsets[:-1]).all()
    assert (found.offsets % BLOCK == 0).all()
    assert all(layout.is_sum(bytes(each).decode()) for each in found.sums)


@given(DOCUMENTS.map(lambda each: json.dumps(each).encode()) | st.binary(max_size=200))
def test_a_volumes_document_is_a_volume_or_damage(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        assert documents.parse_volume(data, "it").size >= 0


@given(st.text(max_size=30) | st.from_regex(r"[a-z0-9./_-]{1,20}", fullmatch=True))
def test_what_names_a_volume_makes_keys_within_the_store(text: str) -> None:
    try:
        folders = layout.likely_folders(text)
    except UsageError:
        return
    for folder in folders:
        for key in (folder.volume_key, folder.backup_key(text), folder.block_key(SUM)):
            assert check_key(key).startswith("convoy-objectstore/volumes/")
        assert layout.parse_volume_key(folder.volume_key) == folder
        assert layout.parse_backup_key(folder.backup_key(text)) == (folder, text)


@given(st.binary(max_size=300) | st.integers(0, 3 * BLOCK).map(lambda size: gzip.compress(bytes(size), 1)))
@settings(max_examples=60, deadline=None)
def test_what_unpacks_is_a_block_of_that_sum(data: bytes) -> None:
    try:
        plain = unpack(data, SUM)
    except DamagedError:
        return
    assert len(plain) == BLOCK
    raise AssertionError("nobody knows bytes of that sum")


@given(st.integers(1, 64))
@settings(max_examples=5, deadline=None)
def test_a_bomb_is_not_unpacked(megabytes: int) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    with pytest.raises(DamagedError, match="other bytes" if megabytes == 2 else "not the gzip"):
        unpack(data, SUM)

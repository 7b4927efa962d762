"""Thin snapshots as sources, from metadata in a file and a simulated pool."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.backup.thin_source import ThinMap, ThinSource
from drystone.base.errors import NotFoundError, UsageError
from drystone.formats.thin.superblock import parse_superblock
from drystone.testing.thin_metadata import write_thin_metadata

BLOCK = 65536
"""Bytes of a pool block."""


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    held = {1: {0: 10, 1: 11, 5: 12, 6: 13}, 2: {0: 10, 1: 77, 6: 13, 9: 14}}
    path = tmp_path / "metadata"
    path.write_bytes(write_thin_metadata({1: {0: 99}}, held=held, nr_data_blocks=100))
    return path


def held_root(metadata: Path) -> int:
    return parse_superblock(metadata.read_bytes()[:4096]).held_root


def told(metadata: Path, tmp_path: Path, device: int, base: int | None, size: int) -> list[list[int]]:
    data = tmp_path / "data"
    data.write_bytes(bytes(size))
    with ThinSource(str(data), ThinMap(str(metadata), held_root(metadata), device, base)) as source:
        assert source.size == size
        assert source.relative == (base is not None)
        return [[int(offset), int(length)] for offset, length in source.extents()]


def test_what_is_mapped_in_the_held_snapshot(metadata: Path, tmp_path: Path) -> None:
    assert told(metadata, tmp_path, 1, None, 20 * BLOCK) == [[0, 2 * BLOCK], [5 * BLOCK, 2 * BLOCK]]


def test_what_differs_from_the_base(metadata: Path, tmp_path: Path) -> None:
    # Block 1 is mapped elsewhere, 5 was discarded, 9 is new.
    wanted = [[BLOCK, BLOCK], [5 * BLOCK, BLOCK], [9 * BLOCK, BLOCK]]
    assert told(metadata, tmp_path, 2, 1, 20 * BLOCK) == wanted


def test_ranges_end_with_the_device(metadata: Path, tmp_path: Path) -> None:
    assert told(metadata, tmp_path, 2, 1, 5 * BLOCK + 512) == [[BLOCK, BLOCK], [5 * BLOCK, 512]]


SHARED = {0: (10, 1), 1: (11, 2), 5: (12, 1)}


@pytest.mark.parametrize("base", [None, 1])
def test_a_snapshot_is_known_again_until_it_is_written_to(tmp_path: Path, base: int | None) -> None:
    """A write maps a block anew, and their number stays."""

    def identity(mappings: dict[int, tuple[int, int]]) -> str:
        held = {1: {0: (10, 1), 1: (9, 0)}, 2: mappings}
        data, metadata = tmp_path / "data", tmp_path / "metadata"
        data.write_bytes(bytes(20 * BLOCK))
        details = {1: (1, 2, 4), 2: (3, 4, 4)}
        metadata.write_bytes(write_thin_metadata({1: {0: 99}}, held=held, details=details, time=6, nr_data_blocks=100))
        with ThinSource(str(data), ThinMap(str(metadata), held_root(metadata), 2, base)) as source:
            return source.identity

    first = identity(SHARED)
    assert first
    assert identity(SHARED) == first
    written = identity({**SHARED, 1: (50, 5)})
    assert written != first
    assert bool(written) == (base is not None)


def test_a_device_that_is_not_in_the_snapshot(metadata: Path, tmp_path: Path) -> None:
    for device, base in ((7, None), (1, 7)):
        with pytest.raises(NotFoundError):
            told(metadata, tmp_path, device, base, BLOCK)
    source = ThinSource(str(tmp_path / "data"), ThinMap(str(metadata), 1, 1))
    with pytest.raises(UsageError, match="not open"):
        _ = source.size

"""The writers that stand by while devices change: on a plain file."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.testing.writers import BLOCK, Writer


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    file = tmp_path / "volume"
    file.write_bytes(bytes(8 * BLOCK))
    made = Writer("vol", str(file), 8)
    made.grow(4 * BLOCK)
    return made


def test_every_block_is_known(writer: Writer) -> None:
    assert writer.read(writer.path) == writer.counts == [1, 1, 1, 1]
    writer.grow(8 * BLOCK)
    writer.verify()
    assert writer.blocks == 8


@pytest.mark.parametrize("at", [0, BLOCK - 1, 3 * BLOCK + 100])
def test_one_wrong_byte_is_found(writer: Writer, at: int) -> None:
    with Path(writer.path).open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")
    with pytest.raises(AssertionError, match="is no block of vol"):
        writer.verify()


def test_a_block_of_another_moment_is_found(writer: Writer) -> None:
    writer.shared[2 + 1] = 2
    with pytest.raises(AssertionError):
        writer.verify()


def test_blocks_that_changed_places_are_found(writer: Writer) -> None:
    data = Path(writer.path).read_bytes()
    Path(writer.path).write_bytes(data[BLOCK : 2 * BLOCK] + data[:BLOCK] + data[2 * BLOCK :])
    with pytest.raises(AssertionError, match="block 0"):
        writer.verify()

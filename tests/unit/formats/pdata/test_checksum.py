from __future__ import annotations

import numpy as np
import pytest

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import (
    SALTS,
    checksum_block,
    checksum_blocks,
    identify_block,
    seal_block,
    seal_blocks,
)


def test_checksum_is_the_inverted_crc32c_of_all_but_the_first_four_bytes() -> None:
    # CRC-32C of 4092 zero bytes, by a bitwise reckoning of its own.
    crc = 0xFFFFFFFF
    for _ in range(BLOCK - 4):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    assert checksum_block(b"\xff" * 4 + bytes(BLOCK - 4), 121107) == crc ^ 121107


def test_many_blocks_have_the_checksums_of_each() -> None:
    blocks = np.random.default_rng(1).integers(0, 256, (7, BLOCK), dtype=np.uint8)
    assert checksum_blocks(blocks, 5).tolist() == [checksum_block(each.tobytes(), 5) for each in blocks]


@pytest.mark.parametrize("kind", SALTS)
def test_a_block_tells_its_kind(kind: str) -> None:
    body = b"\0\0\0\0" + b"x" * (BLOCK - 4)
    block = checksum_block(body, SALTS[kind]).to_bytes(4, "little") + body[4:]
    assert identify_block(block) == kind


def test_a_block_without_a_checksum_has_no_kind() -> None:
    assert identify_block(bytes(BLOCK)) is None


def test_sealed_blocks_tell_their_kind() -> None:
    blocks = np.random.default_rng(2).integers(0, 256, (3, BLOCK), dtype=np.uint8)
    rest = blocks[:, 4:].copy()
    assert seal_blocks(blocks, SALTS["array block"]) is blocks
    assert np.array_equal(blocks[:, 4:], rest)
    assert {identify_block(each.tobytes()) for each in blocks} == {"array block"}
    assert seal_block(bytes(4) + blocks[0, 4:].tobytes(), SALTS["array block"]) == blocks[0].tobytes()

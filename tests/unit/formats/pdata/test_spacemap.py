from __future__ import annotations

import struct

from drystone.formats.pdata.spacemap import SpaceMapRoot, pack_space_map_root, parse_space_map_root


def test_the_first_32_bytes_are_the_root() -> None:
    assert parse_space_map_root(struct.pack("<4Q", 100, 30, 7, 8) + b"x" * 96) == SpaceMapRoot(100, 30, 7, 8)


def test_free_blocks_are_never_negative() -> None:
    assert SpaceMapRoot(100, 30, 7, 8).nr_free == 70
    assert SpaceMapRoot(1, 2, 0, 0).nr_free == 0


def test_a_root_is_packed_into_128_bytes() -> None:
    root = SpaceMapRoot(1, 2, 3, 4)
    packed = pack_space_map_root(root)
    assert len(packed) == 128
    assert parse_space_map_root(packed) == root
    assert not any(packed[32:])

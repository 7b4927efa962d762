"""Trees built by hand, with one thing wrong each."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.pdata import nodes
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.btree import MOST_LEVELS, TreeKind, iter_entries, measure_height
from drystone.formats.pdata.checksum import BTREE_NODE
from drystone.formats.pdata.layout import INTERNAL, LEAF
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.thin_metadata import seal_block, seal_node

KIND = TreeKind("tree", np.dtype("<u8"))
PLAIN = nodes.PlainTree("tree")


def node(flags: int, number: int, entries: dict[int, int]) -> bytes:
    return seal_node(flags, number, list(entries), [struct.pack("<Q", value) for value in entries.values()], 8)


def leaf(number: int, entries: dict[int, int]) -> bytes:
    return node(LEAF, number, entries)


def inner(number: int, entries: dict[int, int]) -> bytes:
    return node(INTERNAL, number, entries)


def reader(*blocks: bytes) -> MemoryBlocks:
    """Block 0 is the superblock's place; the nodes given follow."""
    return MemoryBlocks(b"".join([bytes(BLOCK), *blocks]))


def read(blocks: MemoryBlocks, root: int, batch: int = 256) -> dict[int, int]:
    """All entries, by the reader that goes through numpy and by the one that does not; they agree, also in what they
    refuse.
    """
    found: dict[int, int] = {}
    refused: list[DamagedError] = []
    try:
        for keys, values in iter_entries(blocks, KIND, root, batch=batch):
            found.update(zip(keys.tolist(), values.tolist(), strict=True))
    except DamagedError as error:
        refused.append(error)
    before = blocks.blocks_read
    if refused:
        with pytest.raises(DamagedError) as caught:
            read_plain(blocks, root)
        assert [(each.message, each.facts) for each in refused] == [(caught.value.message, caught.value.facts)]
        raise refused[0]
    assert list(read_plain(blocks, root).items()) == list(found.items())
    blocks.blocks_read = before
    return found


def read_plain(blocks: MemoryBlocks, root: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for height, each in nodes.iter_nodes(blocks, PLAIN, root):
        if not height:
            found.update((key, value) for key, (value,) in zip(each.keys, each.values, strict=True))
    return found


def change(block: bytes, offset: int, form: str, value: int) -> bytes:
    """A field changed, and the checksum put right again."""
    size = struct.calcsize(form)
    return seal_block(block[:offset] + struct.pack(form, value) + block[offset + size :], BTREE_NODE)


TWO_LEVELS = (
    inner(1, {0: 2, 10: 3, 20: 4}),
    leaf(2, {0: 100, 5: 105}),
    leaf(3, {10: 110, 19: 119}),
    leaf(4, {25: 125}),
)


def test_an_empty_tree() -> None:
    assert read(reader(leaf(1, {})), 1) == {}
    assert nodes.find_value(reader(leaf(1, {})), PLAIN, 1, 0) is None


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_entries_come_in_order_whatever_the_batch(batch: int) -> None:
    found = read(reader(*TWO_LEVELS), 1, batch)
    assert found == {0: 100, 5: 105, 10: 110, 19: 119, 25: 125}
    assert list(found) == sorted(found)


def test_height() -> None:
    assert measure_height(reader(*TWO_LEVELS), KIND, 1) == 1
    assert measure_height(reader(*TWO_LEVELS), KIND, 2) == 0


@pytest.mark.parametrize(
    ("key", "value"), [(0, 100), (5, 105), (6, None), (19, 119), (22, None), (25, 125), (1 << 63, None)]
)
def test_find(key: int, value: int | None) -> None:
    blocks = reader(*TWO_LEVELS)
    assert nodes.find_value(blocks, PLAIN, 1, key) == (None if value is None else (value,))
    assert blocks.blocks_read == 2


def test_keys_up_to_the_largest() -> None:
    last = (1 << 64) - 1
    assert read(reader(inner(1, {3: 2, last: 3}), leaf(2, {3: 1}), leaf(3, {last: 2})), 1) == {3: 1, last: 2}


def test_a_key_below_the_roots_first_key_is_not_there() -> None:
    blocks = reader(inner(1, {3: 2, 9: 3}), leaf(2, {3: 1}), leaf(3, {9: 2}))
    assert nodes.find_value(blocks, PLAIN, 1, 0) is None


def refuse(blocks: MemoryBlocks, root: int = 1) -> DamagedError:
    with pytest.raises(DamagedError) as caught:
        read(blocks, root)
    return caught.value


@pytest.mark.parametrize(
    ("offset", "form", "value", "what", "expected"),
    [
        (8, "<Q", 7, "location", 3),
        (4, "<I", INTERNAL, "flags", LEAF),
        (4, "<I", LEAF | INTERNAL, "flags", LEAF),
        (4, "<I", 0, "flags", LEAF),
        (16, "<I", 253, "number of entries", "1 to 252"),
        (16, "<I", 0, "number of entries", "1 to 252"),
        (20, "<I", 249, "max entries", 252),
        (24, "<I", 24, "value size", 8),
        (40, "<Q", 10, "key 1", "above 10"),
        (32, "<Q", 9, "first key", "10 to 19, the range its parent gives"),
        (40, "<Q", 20, "last key", "10 to 19, the range its parent gives"),
    ],
)
def test_a_wrong_leaf_is_named(offset: int, form: str, value: int, what: str, expected: object) -> None:
    wrong = list(TWO_LEVELS)
    wrong[2] = change(wrong[2], offset, form, value)
    error = refuse(reader(*wrong))
    assert error.facts["block"] == 3
    assert what in str(error.facts["what"])
    assert error.facts["expected"] == expected
    assert "tree" in error.message


def test_a_wrong_checksum_is_named() -> None:
    wrong = list(TWO_LEVELS)
    wrong[3] = wrong[3][:-1] + b"\x01"
    error = refuse(reader(*wrong))
    assert error.facts["block"] == 4
    assert "checksum" in error.message


@pytest.mark.parametrize("pointer", [0, 5, 1 << 40, (1 << 64) - 1])
def test_a_wild_pointer_is_named_with_the_node_that_holds_it(pointer: int) -> None:
    wrong = (inner(1, {0: 2, 10: pointer}), *TWO_LEVELS[1:])
    error = refuse(reader(*wrong))
    assert (error.facts["block"], error.facts["found"], error.facts["expected"]) == (1, pointer, "1 to 4")


@pytest.mark.parametrize("root", [0, 5, -1])
def test_a_wild_root_is_refused(root: int) -> None:
    assert refuse(reader(*TWO_LEVELS), root).facts["found"] == root


def test_a_node_that_two_edges_lead_to_is_refused() -> None:
    assert refuse(reader(inner(1, {0: 2, 10: 2}), leaf(2, {0: 1, 5: 2}))).facts["block"] == 2


def test_a_node_below_itself_is_refused() -> None:
    error = refuse(reader(inner(1, {0: 1})))
    assert error.facts["expected"] == f"at most {MOST_LEVELS}"


def test_a_node_below_itself_away_from_the_first_leaf_is_refused() -> None:
    error = refuse(reader(inner(1, {0: 2, 10: 1}), leaf(2, {0: 1})))
    assert error.facts["block"] == 1


def test_leaves_of_different_depth_are_refused() -> None:
    error = refuse(reader(inner(1, {0: 2, 10: 3}), inner(2, {0: 4}), leaf(3, {10: 1}), leaf(4, {0: 1})))
    assert (error.facts["block"], error.facts["expected"], error.facts["found"]) == (3, INTERNAL, LEAF)


def test_what_came_before_the_damage_was_given_out() -> None:
    wrong = list(TWO_LEVELS)
    wrong[3] = bytes(BLOCK)
    batches = iter_entries(reader(*wrong), KIND, 1, batch=2)
    assert next(batches)[0].tolist() == [0, 5, 10, 19]
    with pytest.raises(DamagedError):
        next(batches)


def test_values_of_24_bytes() -> None:
    kind = TreeKind("wide", np.dtype([("a", "<u8"), ("b", "<u8"), ("c", "<u4"), ("d", "<u4")]))
    values: Sequence[bytes] = [struct.pack("<QQII", 1, 2, 3, 4), struct.pack("<QQII", 5, 6, 7, 8)]
    blocks = reader(seal_node(LEAF, 1, [4, 9], values, 24))
    ((keys, found),) = iter_entries(blocks, kind, 1)
    assert keys.tolist() == [4, 9]
    assert found.tolist() == [(1, 2, 3, 4), (5, 6, 7, 8)]

"""A sound image of dm-era metadata taken apart: superblock, metadata snapshot, writesets, array, space map."""

from __future__ import annotations

from dataclasses import replace

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.testing.damage import fields
from drystone.testing.damage.sites import Anatomy, Tree, add_superblock, walk_array, walk_metadata_map, walk_tree

SHAPE: fields.Shape = "era superblock"

_TREES = ("writeset_root", "array_root")
_REST = ("metadata_bitmap_root", "metadata_ref_count_root")


def read_era_anatomy(reader: BlockReader) -> Anatomy:
    """Every block in use. Parts: superblock, metadata snapshot, writeset tree (era -> bitset), writeset (the blocks of
    bits) and writeset array tree, era array and era array tree, and of the space map: index, bitmap, counts.

    :raises DamagedError: it is no sound era metadata.
    """
    anatomy = Anatomy(reader, count_blocks(reader), SHAPE)
    numbers = _read_numbers(anatomy, 0, held=False)
    _walk_trees(anatomy, numbers, held=False)
    if numbers["current_root"]:
        live = anatomy.sites[0]
        anatomy.sites[0] = replace(live, pointers=(*live.pointers, fields.FIELDS[SHAPE]["current_root"]))
        walk_array(anatomy, numbers["current_root"], "current writeset", fields.WORDS, owner=numbers["current_era"])
    if numbers["metadata_snap"]:
        _walk_trees(anatomy, _read_numbers(anatomy, numbers["metadata_snap"], held=True), held=True)
    walk_metadata_map(
        anatomy, numbers["metadata_bitmap_root"], numbers["metadata_nr_blocks"], numbers["metadata_ref_count_root"]
    )
    return anatomy


def _read_numbers(anatomy: Anatomy, block: int, *, held: bool) -> dict[str, int]:
    # A snapshot's current writeset is not its own: its root leads anywhere.
    data = add_superblock(anatomy, block, _TREES if held else (*_TREES, *_REST), held=held)
    return {name: int.from_bytes(data[at : at + size], "little") for name, (at, size) in fields.FIELDS[SHAPE].items()}


def _walk_trees(anatomy: Anatomy, numbers: dict[str, int], *, held: bool) -> None:
    writesets = walk_tree(anatomy, numbers["writeset_root"], Tree("writeset tree", fields.WRITESET, held=held))
    for era, root in writesets:
        walk_array(anatomy, root, "writeset", fields.WORDS, owner=era, held=held)
    walk_array(anatomy, numbers["array_root"], "era array", fields.ERAS, held=held)

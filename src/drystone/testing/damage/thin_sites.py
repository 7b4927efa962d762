"""A sound image of dm-thin metadata taken apart: superblock, metadata snapshot, both trees, both space maps."""

from __future__ import annotations

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.testing.damage import fields
from drystone.testing.damage.sites import Anatomy, Tree, add_superblock, walk_data_map, walk_metadata_map, walk_tree

SHAPE: fields.Shape = "thin superblock"

_TREES = ("mapping_root", "details_root")
_MAPS = ("data_bitmap_root", "data_ref_count_root", "metadata_bitmap_root", "metadata_ref_count_root")


def read_thin_anatomy(reader: BlockReader) -> Anatomy:
    """Every block in use. Parts: superblock, metadata snapshot, device tree (device id -> root), mapping tree, details
    tree, and of both space maps: index, bitmap, counts.

    :raises DamagedError: it is no sound thin metadata.
    """
    anatomy = Anatomy(reader, count_blocks(reader), SHAPE)
    numbers = _read_numbers(anatomy, 0, held=False)
    _walk_trees(anatomy, numbers, held=False)
    if numbers["metadata_snap"]:
        _walk_trees(anatomy, _read_numbers(anatomy, numbers["metadata_snap"], held=True), held=True)
    walk_data_map(anatomy, numbers["data_bitmap_root"], numbers["data_ref_count_root"])
    walk_metadata_map(
        anatomy, numbers["metadata_bitmap_root"], numbers["metadata_nr_blocks"], numbers["metadata_ref_count_root"]
    )
    return anatomy


def _read_numbers(anatomy: Anatomy, block: int, *, held: bool) -> dict[str, int]:
    data = add_superblock(anatomy, block, _TREES if held else _TREES + _MAPS, held=held)
    return {name: int.from_bytes(data[at : at + size], "little") for name, (at, size) in fields.FIELDS[SHAPE].items()}


def _walk_trees(anatomy: Anatomy, numbers: dict[str, int], *, held: bool) -> None:
    devices = walk_tree(anatomy, numbers["mapping_root"], Tree("device tree", fields.POINTER, held=held))
    for dev_id, root in devices:
        walk_tree(anatomy, root, Tree("mapping tree", fields.MAPPING, dev_id, held))
    walk_tree(anatomy, numbers["details_root"], Tree("details tree", fields.DETAILS, held=held))

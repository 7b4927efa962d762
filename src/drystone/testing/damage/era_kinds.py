"""Damage to what dm-era metadata means: eras, writesets, sizes, roots. Checksums are put right.

Not here, because nothing in the metadata can tell: an array or a bitset that says less than was written. What a stale
block of these lacks is lost without a trace.
"""

from __future__ import annotations

from drystone.base.errors import UsageError
from drystone.testing.damage import fields
from drystone.testing.damage.kind import Kind, Named, Scene, fit_superblock, name_blocks
from drystone.testing.damage.sites import Site

_SHAPE: fields.Shape = "era superblock"
_WORD_BITS = 64


def write_in_future(scene: Scene) -> list[Named]:
    """A block of the array was last written in an era that has not begun."""
    site = scene.site
    era = scene.draft.get_field(0, _SHAPE, "current_era") + scene.random.choice((1, 2, 1 << 20))
    slot = scene.random.randrange(site.nr_entries)
    place = fields.ARRAY_HEADER + 4 * slot, 4
    scene.draft.put(site.block, place, era, f"{site.part}: era of entry {slot}")
    scene.draft.seal(site.block, "array")
    return [*name_blocks(site.block), ("data", site.low * site.max_entries + slot), ("era", era)]


def move_writeset(scene: Scene) -> list[Named]:
    """An archived writeset is of an era that has not ended."""
    site = scene.site
    era = scene.draft.get_field(0, _SHAPE, "current_era") + scene.random.choice((1, 2, 1 << 20))
    scene.draft.put(site.block, fields.key_place(site.nr_entries - 1), era, f"{site.part}: last era")
    scene.draft.seal(site.block, "node")
    return [*name_blocks(site.block), ("era", era), ("era", site.keys[-1])]


def grow_writeset(scene: Scene) -> list[Named]:
    """An archived writeset has more bits than its bitset."""
    site = scene.site
    slot = scene.random.randrange(site.nr_entries)
    place = fields.value_place(slot, site.max_entries, fields.WRITESET)[0], 4
    root = scene.draft.get(site.block, site.pointers[slot])
    bits = scene.draft.get(site.block, place) + scene.random.choice((_WORD_BITS, 1 << 20, 1 << 30))
    scene.draft.put(site.block, place, bits, f"{site.part}: bits of era {site.keys[slot]}")
    scene.draft.seal(site.block, "node")
    return [*name_blocks(site.block, root), ("era", site.keys[slot])]


def lose_writeset(scene: Scene) -> list[Named]:
    """The leaf is one from before its last writeset was archived: the bitset is counted, and nothing leads to it."""
    site = scene.site
    root = scene.draft.get(site.block, site.pointers[-1])
    scene.draft.put_field(site.block, "node", "nr_entries", site.nr_entries - 1, site.part)
    scene.draft.seal(site.block, "node")
    return [*name_blocks(site.block, root), ("era", site.keys[-1])]


def shorten_array(scene: Scene) -> list[Named]:
    """An array block has fewer entries than it must."""
    site = scene.site
    count = scene.random.randrange(site.nr_entries)
    scene.draft.put_field(site.block, "array", "nr_entries", count, site.part)
    scene.draft.seal(site.block, "array")
    return name_blocks(site.block)


def miscount_blocks(scene: Scene) -> list[Named]:
    """The device has another number of blocks than the array."""
    found = scene.draft.get_field(0, _SHAPE, "nr_blocks")
    _put(scene, "nr_blocks", found + scene.random.choice((1, 1000, 1 << 29)))
    return name_blocks(0, *_list_array(scene))


def rewind(scene: Scene) -> list[Named]:
    """The current era is one that was long ago: the superblock is stale.

    :raises UsageError: nothing was archived yet, so nothing would contradict it.
    """
    _put(scene, "current_era", 0)
    writesets = [site for site in scene.anatomy.sites.values() if site.part == "writeset tree"]
    if not any(site.nr_entries for site in writesets):
        raise UsageError("this image has no archived writeset")
    eras: list[Named] = [("era", key) for site in writesets if site.leaf for key in site.keys]
    return [*name_blocks(0, *_list_array(scene), *(site.block for site in writesets)), *eras]


def grow_current(scene: Scene) -> list[Named]:
    """The current writeset has more bits than its bitset."""
    found = scene.draft.get_field(0, _SHAPE, "current_nr_bits")
    root = scene.draft.get_field(0, _SHAPE, "current_root")
    _put(scene, "current_nr_bits", found + scene.random.choice((_WORD_BITS, 1 << 20, 1 << 30)))
    return name_blocks(0, root)


def break_data_block_size(scene: Scene) -> list[Named]:
    """Data blocks of no size."""
    return _put(scene, "data_block_size", 0)


def overgrow(scene: Scene) -> list[Named]:
    """More data blocks than there can be."""
    return _put(scene, "nr_blocks", (1 << 31) + scene.random.randrange(1 << 30))


def swap_roots(scene: Scene) -> list[Named]:
    """The roots of the writesets and of the array are in each other's place."""
    writesets = scene.draft.get_field(0, _SHAPE, "writeset_root")
    array = scene.draft.get_field(0, _SHAPE, "array_root")
    _put(scene, "writeset_root", array)
    _put(scene, "array_root", writesets)
    return name_blocks(0, writesets, array)


def _put(scene: Scene, name: str, value: int) -> list[Named]:
    scene.draft.put_field(0, _SHAPE, name, value, "superblock")
    scene.draft.seal(0, _SHAPE)
    return name_blocks(0)


def _list_array(scene: Scene) -> list[int]:
    return [site.block for site in scene.anatomy.sites.values() if site.part in {"era array", "era array tree"}]


def _fit_writesets(site: Site) -> bool:
    return site.part == "writeset tree" and site.leaf and site.nr_entries > 0


def _fit_arrays(site: Site) -> bool:
    return site.shape == "array" and site.nr_entries > 0


def _fit_eras(site: Site) -> bool:
    return _fit_arrays(site) and site.part == "era array"


KINDS = [
    Kind("era-future", "a block was last written in an era that has not begun", _fit_eras, write_in_future),
    Kind("writeset-future", "an archived writeset is of an era that has not ended", _fit_writesets, move_writeset),
    Kind("writeset-bits", "an archived writeset has more bits than its bitset", _fit_writesets, grow_writeset),
    Kind("stale", "the writeset tree is from before its last writeset was archived", _fit_writesets, lose_writeset),
    Kind("array-short", "an array block has fewer entries than it must", _fit_arrays, shorten_array),
    Kind("nr-blocks", "the device has more blocks than the array", fit_superblock, miscount_blocks),
    Kind("nr-blocks-wild", "the device has more blocks than there can be", fit_superblock, overgrow),
    Kind("current-era", "the current era is older than what is there", fit_superblock, rewind, needs="writeset tree"),
    Kind(
        "current-bits",
        "the current writeset has more bits than its bitset",
        fit_superblock,
        grow_current,
        needs="current writeset",
    ),
    Kind("data-block-size", "data blocks have no size", fit_superblock, break_data_block_size),
    Kind("roots-swapped", "the roots of writesets and array are in each other's place", fit_superblock, swap_roots),
]

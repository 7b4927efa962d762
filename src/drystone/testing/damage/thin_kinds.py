"""Damage to what dm-thin metadata means: mappings, devices, roots, sizes. Checksums are put right."""

from __future__ import annotations

from collections.abc import Callable

from drystone.testing.damage import fields
from drystone.testing.damage.kind import Kind, Named, Scene, fit_superblock, name_blocks
from drystone.testing.damage.sites import Site

_TIME_BITS = 24
_SHAPE: fields.Shape = "thin superblock"

_Make = Callable[[int], int]
_Fits = Callable[[Site], bool]


def map_beyond(scene: Scene) -> list[Named]:
    """A mapping leads beyond the end of the data device."""
    end = scene.draft.get_field(0, _SHAPE, "data_nr_blocks")
    return _remap(scene, lambda _: end + scene.random.choice((0, 1, 1 << 30)))


def map_twice(scene: Scene) -> list[Named]:
    """Two blocks of a device are mapped to the same data block, which is counted once."""
    site = scene.site
    slot = scene.random.randrange(1, site.nr_entries)
    other = _get_data(scene, slot - 1)
    return [("data", other), *_remap(scene, lambda _: other, slot)]


def lose_mapping(scene: Scene) -> list[Named]:
    """A leaf is one from before its last mapping was made: what it mapped is counted, and not mapped."""
    site = scene.site
    data = _get_data(scene, site.nr_entries - 1)
    scene.draft.put_field(site.block, "node", "nr_entries", site.nr_entries - 1, site.part)
    scene.draft.seal(site.block, "node")
    return [("data", data), *_name_devices(scene), *name_blocks(site.block)]


def lose_details(scene: Scene) -> list[Named]:
    """A device has mappings and no details."""
    site = scene.site
    slot = scene.random.randrange(site.nr_entries)
    _cut_entry(scene, slot)
    return [("device", site.keys[slot]), *name_blocks(site.block)]


def add_details(scene: Scene) -> list[Named]:
    """Details of a device that has no mappings."""
    site = scene.site
    used = set(site.keys)
    dev_id = next(key for key in range(site.keys[-1] + 1, site.keys[-1] + 3) if key not in used)
    slot = site.nr_entries
    place, size = fields.value_place(slot, site.max_entries, fields.DETAILS)
    scene.draft.put(site.block, fields.key_place(slot), dev_id, f"{site.part}: key {slot}")
    scene.draft.put_bytes(site.block, place, bytes(size), f"{site.part}: value {slot}")
    scene.draft.put_field(site.block, "node", "nr_entries", slot + 1, site.part)
    scene.draft.seal(site.block, "node")
    return [("device", dev_id), *name_blocks(site.block)]


def lose_device(scene: Scene) -> list[Named]:
    """A device has details and no mappings: its tree is lost."""
    site = scene.site
    slot = scene.random.randrange(site.nr_entries)
    place, size = site.pointers[slot]
    root = scene.draft.get(site.block, (place, size))
    _cut_entry(scene, slot)
    return [("device", site.keys[slot]), *name_blocks(site.block, root)]


def miscount_mapped(scene: Scene) -> list[Named]:
    """The details' number of mapped blocks is wrong."""
    site = scene.site
    slot = scene.random.randrange(site.nr_entries)
    place = fields.value_place(slot, site.max_entries, fields.DETAILS)[0], 8
    found = scene.draft.get(site.block, place)
    scene.draft.put(site.block, place, found + scene.random.choice((1, 7, 1 << 40)), f"{site.part}: mapped blocks")
    scene.draft.seal(site.block, "node")
    return [("device", site.keys[slot]), *name_blocks(site.block)]


def break_device_id(scene: Scene) -> list[Named]:
    """An id of more than 24 bits."""
    site = scene.site
    dev_id = (1 << 24) + scene.random.randrange(1000)
    scene.draft.put(site.block, fields.key_place(site.nr_entries - 1), dev_id, f"{site.part}: last key")
    scene.draft.seal(site.block, "node")
    return [("device", dev_id), ("device", site.keys[-1]), *name_blocks(site.block)]


def break_data_block_size(scene: Scene) -> list[Named]:
    """A size that data blocks cannot have."""
    return _put_superblock(scene, "data_block_size", scene.random.choice((0, 1, 127, 129, (1 << 21) + 128)))


def break_time(scene: Scene) -> list[Named]:
    """A time of more than the 24 bits that a mapping has for it."""
    return _put_superblock(scene, "time", (1 << _TIME_BITS) + scene.random.randrange(1 << 31))


def add_feature(scene: Scene) -> list[Named]:
    """A feature that nobody knows."""
    return _put_superblock(scene, "incompat_flags", 1 << scene.random.randrange(32))


def lose_mapping_root(scene: Scene) -> list[Named]:
    """The root of the mappings is another sound leaf: the details'."""
    return _lose_root(scene, "mapping_root", "details_root")


def lose_details_root(scene: Scene) -> list[Named]:
    """The root of the details is another sound leaf: the mappings'."""
    return _lose_root(scene, "details_root", "mapping_root")


def _lose_root(scene: Scene, name: str, other: str) -> list[Named]:
    before = scene.draft.get_field(0, _SHAPE, name)
    target = scene.draft.get_field(0, _SHAPE, other)
    scene.draft.put_field(0, _SHAPE, name, target, "superblock")
    scene.draft.seal(0, _SHAPE)
    return name_blocks(0, before, target)


def _put_superblock(scene: Scene, name: str, value: int) -> list[Named]:
    scene.draft.put_field(scene.site.block, _SHAPE, name, value, scene.site.part)
    scene.draft.seal(scene.site.block, _SHAPE)
    return name_blocks(scene.site.block)


def _place_value(scene: Scene, slot: int) -> fields.Place:
    return fields.value_place(slot, scene.site.max_entries, fields.MAPPING)


def _get_data(scene: Scene, slot: int) -> int:
    return scene.draft.get(scene.site.block, _place_value(scene, slot)) >> _TIME_BITS


def _remap(scene: Scene, make: _Make, slot: int | None = None) -> list[Named]:
    site = scene.site
    chosen = scene.random.randrange(site.nr_entries) if slot is None else slot
    place = _place_value(scene, chosen)
    value = scene.draft.get(site.block, place)
    before = value >> _TIME_BITS
    data = make(before)
    changed = data << _TIME_BITS | value & ((1 << _TIME_BITS) - 1)
    scene.draft.put(site.block, place, changed, f"{site.part}: block {site.keys[chosen]} of device {site.owner}")
    scene.draft.seal(site.block, "node")
    return [("data", data), ("data", before), *_name_devices(scene), *name_blocks(site.block)]


def _name_devices(scene: Scene) -> list[Named]:
    return [("device", scene.site.owner)]


def _cut_entry(scene: Scene, slot: int) -> None:
    """Take one entry out of a leaf and move those behind it up."""
    site = scene.site
    last = site.nr_entries - 1
    data = scene.draft.read(site.block)
    for place in range(slot, last):
        scene.draft.put(site.block, fields.key_place(place), site.keys[place + 1], f"{site.part}: key {place}")
        to, size = fields.value_place(place, site.max_entries, site.values)
        moved = data[to + size : to + 2 * size]
        scene.draft.put_bytes(site.block, to, moved, f"{site.part}: value {place}")
    scene.draft.put_field(site.block, "node", "nr_entries", last, site.part)
    scene.draft.seal(site.block, "node")


def _fit_mappings(site: Site) -> bool:
    return site.part == "mapping tree" and site.leaf and site.nr_entries > 1


def _fit_live_mappings(site: Site) -> bool:
    return _fit_mappings(site) and not site.held


def _fit_live(part: str) -> _Fits:
    return lambda site: site.part == part and site.leaf and not site.held and 0 < site.nr_entries < site.max_entries


KINDS = [
    Kind("mapping-beyond", "a mapping leads beyond the data device", _fit_mappings, map_beyond),
    Kind("mapping-twice", "two blocks of a device are mapped to one data block", _fit_mappings, map_twice),
    Kind("stale", "a leaf is from before its last mapping was made", _fit_live_mappings, lose_mapping),
    Kind("details-missing", "a device has mappings and no details", _fit_live("details tree"), lose_details),
    Kind("details-extra", "a device has details and no mappings", _fit_live("details tree"), add_details),
    Kind("details-mapped", "a device's number of mapped blocks is wrong", _fit_live("details tree"), miscount_mapped),
    Kind("device-missing", "a device's tree of mappings is lost", _fit_live("device tree"), lose_device),
    Kind("device-id", "a device's id has more than 24 bits", _fit_live("device tree"), break_device_id),
    Kind("data-block-size", "data blocks have a size that there is not", fit_superblock, break_data_block_size),
    Kind("time", "the pool's time is more than a mapping can hold", fit_superblock, break_time),
    Kind("feature", "the superblock tells of a feature that nobody knows", fit_superblock, add_feature),
    Kind("mapping-root", "the root of the mappings leads to the details", fit_superblock, lose_mapping_root),
    Kind("details-root", "the root of the details leads to the mappings", fit_superblock, lose_details_root),
]

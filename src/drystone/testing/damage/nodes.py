"""Damage to btree nodes and array blocks: headers, keys, and where their pointers lead. Checksums are put right."""

from __future__ import annotations

from drystone.testing.damage import fields
from drystone.testing.damage.kind import Kind, Named, Scene, choose, name_blocks
from drystone.testing.damage.sites import LARGEST_KEY, Site


def _is_node(site: Site) -> bool:
    return site.shape == "node"


def _is_counted(site: Site) -> bool:
    return site.shape in {"node", "array"}


def break_flags(scene: Scene) -> list[Named]:
    """Neither the kind of node that its place wants, nor perhaps any."""
    right = 2 if scene.site.leaf else 1
    wrong = scene.random.choice([flags for flags in (0, 1, 2, 3, 4) if flags != right])
    return [*_put(scene, "flags", wrong), *_name_children(scene)]


def break_value_size(scene: Scene) -> list[Named]:
    """Values of another size."""
    right = scene.draft.get_field(scene.site.block, scene.site.shape, "value_size")
    sizes = [size for size in (0, 1, 4, 8, 12, 16, 24, 4096) if size != right]
    return _put(scene, "value_size", scene.random.choice(sizes))


def break_max_entries(scene: Scene) -> list[Named]:
    """Room for more than a block holds, or for none."""
    return _put(scene, "max_entries", scene.random.choice((0, scene.site.max_entries + 3, (1 << 32) - 1)))


def overfill(scene: Scene) -> list[Named]:
    """More entries than fit."""
    return _put(scene, "nr_entries", scene.site.max_entries + scene.random.choice((1, 100, 1 << 30)))


def empty(scene: Scene) -> list[Named]:
    """No entries, where there must be some. What they led to, or counted, is lost with them."""
    return [*_put(scene, "nr_entries", 0), *_name_children(scene)]


def swap_keys(scene: Scene) -> list[Named]:
    """Two neighbouring keys are in the wrong order."""
    slot = scene.random.randrange(scene.site.nr_entries - 1)
    keys = scene.site.keys
    _put_key(scene, slot, keys[slot + 1])
    _put_key(scene, slot + 1, keys[slot])
    return _seal(scene)


def repeat_key(scene: Scene) -> list[Named]:
    """A key is there twice."""
    slot = scene.random.randrange(scene.site.nr_entries - 1)
    _put_key(scene, slot + 1, scene.site.keys[slot])
    return _seal(scene)


def lower_key(scene: Scene) -> list[Named]:
    """A node's first key is below what its parent says."""
    _put_key(scene, 0, scene.random.randrange(scene.site.low))
    return _seal(scene)


def raise_key(scene: Scene) -> list[Named]:
    """A node's last key is what its next neighbour begins with, or above."""
    _put_key(scene, scene.site.nr_entries - 1, scene.site.high + 1 + scene.random.randrange(1000))
    return _seal(scene)


def point_beyond(scene: Scene) -> list[Named]:
    """A pointer leads beyond the end."""
    limit = scene.anatomy.limit
    return _point(scene, scene.random.choice((limit, limit + scene.random.randrange(1 << 30), (1 << 56) - 1)))


def point_to_superblock(scene: Scene) -> list[Named]:
    """A pointer leads to block 0."""
    return _point(scene, 0)


def point_in_circle(scene: Scene) -> list[Named]:
    """A pointer leads to the very block that holds it."""
    return _point(scene, scene.site.block)


def tie_knot(scene: Scene) -> list[Named]:
    """A node is its own only child: a loop that no key tells."""
    children = _name_children(scene)
    _put(scene, "nr_entries", 1)
    scene.draft.put(scene.site.block, scene.site.pointers[0], scene.site.block, f"{scene.site.part}: pointer 0")
    return [*_seal(scene), *children]


def point_to_wrong_kind(scene: Scene) -> list[Named]:
    """A pointer leads to a block of another kind, which is in use."""
    site = scene.site
    children = {scene.anatomy.sites[block].shape for block in _list_children(scene) if block in scene.anatomy.sites}
    others = scene.anatomy.list_sites(lambda each: each.shape not in children and each.block not in {0, site.block})
    return _point(scene, choose(scene, others, "block of another kind").block)


def point_to_free(scene: Scene) -> list[Named]:
    """A pointer leads to a block in no use."""
    free = [block for block in range(scene.anatomy.limit) if block not in scene.anatomy.sites]
    return _point(scene, choose(scene, free, "metadata block in no use"))


def point_twice(scene: Scene) -> list[Named]:
    """Two pointers lead to the same child."""
    children = _list_children(scene)
    slot = scene.random.randrange(1, len(children))
    return _point(scene, children[slot - 1], slot)


def _put(scene: Scene, name: str, value: int) -> list[Named]:
    scene.draft.put_field(scene.site.block, scene.site.shape, name, value, scene.site.part)
    return _seal(scene)


def _put_key(scene: Scene, slot: int, key: int) -> None:
    scene.draft.put(scene.site.block, fields.key_place(slot), key % (1 << 64), f"{scene.site.part}: key {slot}")


def _seal(scene: Scene) -> list[Named]:
    scene.draft.seal(scene.site.block, scene.site.shape)
    return name_blocks(scene.site.block)


def _list_children(scene: Scene) -> list[int]:
    data = scene.draft.read(scene.site.block)
    return [int.from_bytes(data[at : at + size], "little") for at, size in scene.site.pointers]


def _name_children(scene: Scene) -> list[Named]:
    return name_blocks(*_list_children(scene))


def _point(scene: Scene, target: int, slot: int | None = None) -> list[Named]:
    """Have one pointer lead to `target`: the holder, the block it leads to and the one it led to may be named."""
    site = scene.site
    place = scene.random.randrange(len(site.pointers)) if slot is None else slot
    before = _list_children(scene)[place]
    scene.draft.put(site.block, site.pointers[place], target, f"{site.part}: pointer {place}")
    scene.draft.seal(site.block, site.shape)
    return name_blocks(site.block, target, before)


def _fit_keys(site: Site) -> bool:
    return _is_node(site) and site.nr_entries > 1


def _fit_pointers(site: Site) -> bool:
    return bool(site.pointers)


def _fit_parents(site: Site) -> bool:
    return _is_node(site) and not site.leaf


def _fit_pairs(site: Site) -> bool:
    return len(site.pointers) > 1


def _fit_low(site: Site) -> bool:
    return _is_node(site) and site.nr_entries > 0 and site.low > 0


def _fit_high(site: Site) -> bool:
    return _is_node(site) and site.nr_entries > 0 and site.high < LARGEST_KEY


def _fit_empty(site: Site) -> bool:
    return _is_counted(site) and site.nr_entries > 0 and not (site.root and site.leaf)


KINDS = [
    Kind("flags", "a node's flags are those of another kind of node, or of none", _is_node, break_flags),
    Kind("value-size", "a node or array block has values of another size", _is_counted, break_value_size),
    Kind("max-entries", "a node or array block has room for more than a block holds", _is_counted, break_max_entries),
    Kind("entries-many", "a node or array block has more entries than fit", _is_counted, overfill),
    Kind("entries-none", "a node or array block has no entries", _fit_empty, empty),
    Kind("key-order", "two keys of a node are in the wrong order", _fit_keys, swap_keys),
    Kind("key-twice", "a key is in a node twice", _fit_keys, repeat_key),
    Kind(
        "key-low",
        "a node's first key is below the range its parent gives",
        _fit_low,
        lower_key,
    ),
    Kind(
        "key-high",
        "a node's last key is above the range its parent gives",
        _fit_high,
        raise_key,
    ),
    Kind("pointer-wild", "a pointer leads beyond the end", _fit_pointers, point_beyond),
    Kind("pointer-zero", "a pointer leads to the superblock", _fit_pointers, point_to_superblock),
    Kind("pointer-loop", "a pointer leads to the block that holds it", _fit_pointers, point_in_circle),
    Kind("pointer-knot", "a node is its own only child", _fit_parents, tie_knot),
    Kind("pointer-kind", "a pointer leads to a block of another kind", _fit_pointers, point_to_wrong_kind),
    Kind("pointer-free", "a pointer leads to a block in no use", _fit_pointers, point_to_free),
    Kind("pointer-twice", "two pointers lead to the same block", _fit_pairs, point_twice),
]

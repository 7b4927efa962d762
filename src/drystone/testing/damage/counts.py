"""Damage to space maps: how often blocks are referred to, and the sums of that. Checksums are put right.

The sums follow where only one count is to be wrong (`leaked`, `free-in-use`), so that nothing but a comparison with
what really refers to a block can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from drystone.testing.damage import fields
from drystone.testing.damage.draft import Draft
from drystone.testing.damage.kind import Kind, Named, Scene, Space, choose, fit_superblock, name_blocks
from drystone.testing.damage.sites import Anatomy, Site

_MANY = 3


@dataclass(frozen=True, slots=True)
class _Map:
    """One space map of an image.

    :ivar which: `metadata` or `data`.
    """

    draft: Draft
    anatomy: Anatomy
    which: Space

    @property
    def nr_blocks(self) -> int:
        """Blocks that it counts."""
        return self.draft.get_field(0, self.anatomy.superblock, f"{self.which}_nr_blocks")

    @property
    def root(self) -> int:
        """The block that leads to its bitmaps."""
        return self.draft.get_field(0, self.anatomy.superblock, f"{self.which}_bitmap_root")

    def get_count(self, block: int) -> int:
        """The count in the bitmap; 3 for any above 2."""
        bitmap, at, shift = self._find(block)
        return fields.RAW_COUNT[self.draft.get(bitmap, (at, 1)) >> shift & 3]

    def list_blocks(self, counts: tuple[int, ...]) -> list[int]:
        """Blocks that have one of these counts in the bitmap, in order."""
        found: list[int] = []
        for number, bitmap in enumerate(self.anatomy.bitmaps[self.which]):
            data = self.draft.read(bitmap)
            begin = number * fields.ENTRIES_A_BITMAP
            for entry in range(min(fields.ENTRIES_A_BITMAP, self.nr_blocks - begin)):
                at, shift = fields.pair_place(entry)
                if fields.RAW_COUNT[data[at] >> shift & 3] in counts:
                    found.append(begin + entry)
        return found

    def put_count(self, block: int, count: int) -> None:
        """Have a count of 0 to 2 in the bitmap."""
        bitmap, at, shift = self._find(block)
        byte = self.draft.get(bitmap, (at, 1)) & ~(3 << shift) | fields.RAW_COUNT[count] << shift
        self.draft.put(bitmap, (at, 1), byte, f"{self.which} bitmap: count of {self.which} block {block}, now {count}")
        self.draft.seal(bitmap, "bitmap")

    def add_free(self, block: int, change: int) -> None:
        """Let the sums follow: `change` more blocks are free in the bitmap of `block`, and fewer allocated."""
        holder, at = self._find_entry(block)
        free, first = ((at + offset, size) for offset, size in (fields.INDEX_FREE, fields.INDEX_FIRST))
        self.draft.put(holder, free, self.draft.get(holder, free) + change, f"{self.which} index: free blocks")
        entry = block % fields.ENTRIES_A_BITMAP
        if change > 0 and entry < self.draft.get(holder, first):
            self.draft.put(holder, first, entry, f"{self.which} index: first block that may be free")
        self._seal_entry(holder)
        self.add_allocated(-change)

    def add_allocated(self, change: int) -> None:
        """Change the sum in the superblock."""
        shape = self.anatomy.superblock
        name = f"{self.which}_nr_allocated"
        self.draft.put_field(0, shape, name, self.draft.get_field(0, shape, name) + change, "superblock")
        self.draft.seal(0, shape)

    def put_entry(self, number: int, place: fields.Place, value: int, what: str) -> list[Named]:
        """Change a number of index entry `number`."""
        holder, at = self.anatomy.indexes[self.which][number]
        self.draft.put(holder, (at + place[0], place[1]), value, f"{self.which} index: {what}")
        self._seal_entry(holder)
        return name_blocks(holder, self.anatomy.bitmaps[self.which][number])

    def get_entry(self, number: int, place: fields.Place) -> int:
        """A number of index entry `number`."""
        holder, at = self.anatomy.indexes[self.which][number]
        return self.draft.get(holder, (at + place[0], place[1]))

    def _find(self, block: int) -> tuple[int, int, int]:
        bitmap = self.anatomy.bitmaps[self.which][block // fields.ENTRIES_A_BITMAP]
        return (bitmap, *fields.pair_place(block % fields.ENTRIES_A_BITMAP))

    def _find_entry(self, block: int) -> tuple[int, int]:
        return self.anatomy.indexes[self.which][block // fields.ENTRIES_A_BITMAP]

    def _seal_entry(self, holder: int) -> None:
        self.draft.seal(holder, self.anatomy.sites[holder].shape)


def list_count_kinds(which: Space) -> list[Kind]:
    """The kinds of damage to the counts and the sums of one space map, `metadata` or `data`."""
    title = f"the {which} space map"
    return [
        Kind(f"{which}-{name}", summary.format(title), fit_superblock, partial(make, which=which))
        for name, summary, make in (
            ("leaked", "{} counts a block that nothing refers to", leak),
            ("free-in-use", "{} says that a block in use is free", free),
            ("refcount", "{} counts a block once too often or too rarely", recount),
            ("nr-allocated", "the sum of blocks in use of {} is wrong", miscount_used),
            ("nr-free", "the sum of a bitmap's free blocks of {} is wrong", miscount_free),
            ("first-free", "an index entry of {} hides a free block", hide_free),
            ("nr-blocks", "{} ends before a block in use", miscount_blocks),
            ("beyond", "{} counts a block beyond its last one", count_beyond),
        )
    ]


def leak(scene: Scene, which: Space) -> list[Named]:
    """A block that nothing refers to is counted once."""
    space_map = _Map(scene.draft, scene.anatomy, which)
    block = _pick(scene, space_map, (0,))
    space_map.put_count(block, 1)
    space_map.add_free(block, -1)
    return [(which, block)]


def free(scene: Scene, which: Space) -> list[Named]:
    """A block in use is free."""
    space_map = _Map(scene.draft, scene.anatomy, which)
    block = _pick(scene, space_map, (1,))
    space_map.put_count(block, 0)
    space_map.add_free(block, 1)
    return [(which, block)]


def recount(scene: Scene, which: Space) -> list[Named]:
    """One for two, or two for one."""
    space_map = _Map(scene.draft, scene.anatomy, which)
    block = _pick(scene, space_map, (1, 2))
    space_map.put_count(block, 3 - space_map.get_count(block))
    return [(which, block)]


def miscount_used(scene: Scene, which: Space) -> list[Named]:
    """The superblock's sum of blocks in use is wrong."""
    space_map = _Map(scene.draft, scene.anatomy, which)
    space_map.add_allocated(scene.random.choice((-1, 1, 5)))
    return name_blocks(0, space_map.root)


def miscount_free(scene: Scene, which: Space) -> list[Named]:
    """An index entry's sum of free blocks is wrong."""
    space_map = _Map(scene.draft, scene.anatomy, which)
    number = scene.random.randrange(len(scene.anatomy.bitmaps[which]))
    found = space_map.get_entry(number, fields.INDEX_FREE)
    return space_map.put_entry(number, fields.INDEX_FREE, found + scene.random.choice((-1, 1, -5)), "free blocks")


def hide_free(scene: Scene, which: Space) -> list[Named]:
    """An index entry says that the free blocks begin behind one that is free."""
    space_map = _Map(scene.draft, scene.anatomy, which)
    number, entry = divmod(_pick(scene, space_map, (0,)), fields.ENTRIES_A_BITMAP)
    first = max(entry, space_map.get_entry(number, fields.INDEX_FIRST)) + 1
    return space_map.put_entry(number, fields.INDEX_FIRST, first, "first block that may be free")


def miscount_blocks(scene: Scene, which: Space) -> list[Named]:
    """The map ends before a block in use."""
    space_map = _Map(scene.draft, scene.anatomy, which)
    shape = scene.anatomy.superblock
    most = max(space_map.list_blocks((1, 2, _MANY)), default=0)
    scene.draft.put_field(0, shape, f"{which}_nr_blocks", scene.random.randrange(most + 1), "superblock")
    scene.draft.seal(0, shape)
    return [*name_blocks(0, space_map.root), (which, most)]


def count_beyond(scene: Scene, which: Space) -> list[Named]:
    """A place of the last bitmap that is for no block is in use: it is leaked as soon as there are more blocks."""
    space_map = _Map(scene.draft, scene.anatomy, which)
    end = -(-space_map.nr_blocks // fields.ENTRIES_A_BITMAP) * fields.ENTRIES_A_BITMAP
    block = choose(scene, range(space_map.nr_blocks, end), f"place beyond the last {which} block")
    space_map.put_count(block, 1)
    return name_blocks(space_map.root, scene.anatomy.bitmaps[which][-1])


def _pick(scene: Scene, space_map: _Map, counts: tuple[int, ...]) -> int:
    """A block with one of these counts; never the superblock."""
    blocks = [block for block in space_map.list_blocks(counts) if block or space_map.which == "data"]
    return choose(scene, blocks, f"{space_map.which} block with such a count")


def list_many_kinds(which: Space) -> list[Kind]:
    """Damage to the counts above 2, which lie in a tree of their own. Era metadata has none: nothing there is referred
    to more often than by the live superblock and by a snapshot.
    """

    def fits(site: Site) -> bool:
        return site.part == f"{which} counts" and site.leaf and site.nr_entries > 0

    def put(scene: Scene, make: Callable[[int], int]) -> list[Named]:
        site = scene.site
        slot = scene.random.randrange(site.nr_entries)
        place = fields.value_place(slot, site.max_entries, fields.COUNT)
        count = make(scene.draft.get(site.block, place))
        scene.draft.put(site.block, place, count, f"{which} counts: count of {which} block {site.keys[slot]}")
        scene.draft.seal(site.block, "node")
        return [(which, site.keys[slot]), *_name_tree(scene, which)]

    def recount(scene: Scene) -> list[Named]:
        return put(scene, lambda count: count + scene.random.choice((1, 2, 1000)))

    def shrink(scene: Scene) -> list[Named]:
        return put(scene, lambda _: scene.random.randrange(_MANY))

    def lose(scene: Scene) -> list[Named]:
        site = scene.site
        scene.draft.put_field(site.block, "node", "nr_entries", site.nr_entries - 1, site.part)
        scene.draft.seal(site.block, "node")
        return [(which, site.keys[-1]), *_name_tree(scene, which)]

    return [
        Kind(f"{which}-many-refcount", f"a count above 2 of the {which} space map is too high", fits, recount),
        Kind(f"{which}-many-small", f"a count below 3 is among those above 2 of the {which} space map", fits, shrink),
        Kind(f"{which}-many-missing", f"a count above 2 of the {which} space map is missing", fits, lose),
    ]


def _name_tree(scene: Scene, which: Space) -> list[Named]:
    names = (f"{which}_ref_count_root", f"{which}_bitmap_root")
    roots = [scene.draft.get_field(0, scene.anatomy.superblock, name) for name in names]
    return name_blocks(scene.site.block, *roots)

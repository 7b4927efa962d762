"""Damage to a block as a whole, whatever it holds; and to the file."""

from __future__ import annotations

from drystone.formats.pdata.blocks import BLOCK
from drystone.testing.damage.fields import FIELDS
from drystone.testing.damage.kind import Kind, Named, Scene, fit_superblock, name_blocks
from drystone.testing.damage.sites import Site


def fit_any(_: Site) -> bool:
    """Every block in use."""
    return True


def break_checksum(scene: Scene) -> list[Named]:
    """Flip one bit of the stored checksum."""
    site, draft = scene.site, scene.draft
    found = draft.get_field(site.block, site.shape, "checksum")
    draft.put_field(site.block, site.shape, "checksum", found ^ 1 << scene.random.randrange(32), site.part)
    return name_blocks(site.block)


def break_location(scene: Scene) -> list[Named]:
    """The block says that it lies elsewhere."""
    site, draft = scene.site, scene.draft
    other = (site.block + scene.random.randrange(1, scene.anatomy.limit)) % scene.anatomy.limit
    draft.put_field(site.block, site.shape, "location", other, site.part)
    draft.seal(site.block, site.shape)
    return name_blocks(site.block)


def zero(scene: Scene) -> list[Named]:
    """Nothing but zeros."""
    scene.draft.put_bytes(scene.site.block, 0, bytes(BLOCK), f"{scene.site.part}: the whole block")
    return name_blocks(scene.site.block)


def fill_with_noise(scene: Scene) -> list[Named]:
    """Bytes of something else."""
    scene.draft.put_bytes(scene.site.block, 0, scene.random.randbytes(BLOCK), f"{scene.site.part}: the whole block")
    return name_blocks(scene.site.block)


def tear(scene: Scene) -> list[Named]:
    """Only the first sectors of the block were written: the rest is what was there before, zeros."""
    site = scene.site
    data = scene.draft.read(site.block)
    used = [sector for sector in range(1, 8) if any(data[sector * 512 : (sector + 1) * 512])]
    begin = 512 * scene.random.choice(used or [0])
    scene.draft.put_bytes(site.block, begin, bytes(BLOCK - begin), f"{site.part}: from byte {begin} on")
    return name_blocks(site.block)


def swap(scene: Scene) -> list[Named]:
    """Two blocks of one kind lie in each other's place."""
    site, draft = scene.site, scene.draft
    others = scene.anatomy.list_sites(lambda each: each.shape == site.shape and each.block != site.block)
    alike = [each for each in others if (each.part, each.leaf) == (site.part, site.leaf)] or others
    if not alike:
        alike = scene.anatomy.list_sites(lambda each: each.block not in {0, site.block})
    other = scene.random.choice(alike)
    here, there = draft.read(site.block), draft.read(other.block)
    draft.put_bytes(site.block, 0, there, f"{site.part}: the content of block {other.block}")
    draft.put_bytes(other.block, 0, here, f"{other.part}: the content of block {site.block}")
    return name_blocks(site.block, other.block)


def flip_bit(scene: Scene) -> list[Named]:
    """One bit behind the checksum is the other one."""
    site = scene.site
    at = scene.random.randrange(4, BLOCK)
    byte = scene.draft.read(site.block)[at]
    flipped = byte ^ 1 << scene.random.randrange(8)
    scene.draft.put(site.block, (at, 1), flipped, f"{site.part}: byte {at}")
    return name_blocks(site.block)


def truncate(scene: Scene) -> list[Named]:
    """The file ends early: what is lost is in use."""
    used = sorted(scene.anatomy.sites)
    most = used[scene.random.randrange(1, len(used))]
    size = most * BLOCK + scene.random.choice((0, 512, 4095))
    scene.draft.cut(size)
    lost = [block for block in used if block >= most]
    holders = [
        site.block
        for site in scene.anatomy.sites.values()
        for at, width in site.pointers
        if int.from_bytes(scene.draft.read(site.block)[at : at + width], "little") in set(lost)
    ]
    return name_blocks(0, *lost, *sorted(set(holders)))


def break_metadata_snapshot(scene: Scene) -> list[Named]:
    """The superblock's metadata snapshot lies beyond the end."""
    wild = scene.anatomy.limit + scene.random.randrange(1, 1 << 20)
    shape = scene.anatomy.superblock
    scene.draft.put_field(0, shape, "metadata_snap", wild, "superblock")
    scene.draft.seal(0, shape)
    clones = [site.block for site in scene.anatomy.sites.values() if site.part == "metadata snapshot"]
    return name_blocks(0, wild, *clones)


def break_magic(scene: Scene) -> list[Named]:
    """The superblock is that of something else."""
    return _put_superblock(scene, "magic", scene.random.getrandbits(64))


def break_version(scene: Scene) -> list[Named]:
    """A version that there is not."""
    return _put_superblock(scene, "version", scene.random.randrange(3, 1000))


def break_block_size(scene: Scene) -> list[Named]:
    """Metadata blocks of another size."""
    return _put_superblock(scene, "metadata_block_size", scene.random.choice((0, 1, 16, 1 << 31)))


def _put_superblock(scene: Scene, name: str, value: int) -> list[Named]:
    site = scene.site
    assert name in FIELDS[site.shape], name
    scene.draft.put_field(site.block, site.shape, name, value, site.part)
    scene.draft.seal(site.block, site.shape)
    return name_blocks(site.block)


def _fit_superblocks(site: Site) -> bool:
    return site.part in {"superblock", "metadata snapshot"}


def _fit_swap(site: Site) -> bool:
    return site.block != 0


KINDS = [
    Kind("checksum", "a bit of a block's stored checksum is flipped", fit_any, break_checksum),
    Kind("bit", "a bit of a block is flipped, its checksum is not put right", fit_any, flip_bit),
    Kind("location", "a block says that it lies elsewhere", fit_any, break_location),
    Kind("zeroed", "a block is all zeros", fit_any, zero),
    Kind("noise", "a block holds random bytes", fit_any, fill_with_noise),
    Kind("torn", "a block's later sectors were never written", fit_any, tear),
    Kind("swapped", "two blocks lie in each other's place", _fit_swap, swap),
    Kind("truncated", "the file ends before its last block in use", fit_superblock, truncate),
    Kind("magic", "a superblock has another magic", _fit_superblocks, break_magic),
    Kind("version", "a superblock has a version that there is not", _fit_superblocks, break_version),
    Kind("metadata-block-size", "a superblock has another metadata block size", _fit_superblocks, break_block_size),
    Kind(
        "metadata-snapshot",
        "the metadata snapshot lies beyond the end",
        fit_superblock,
        break_metadata_snapshot,
        needs="metadata snapshot",
    ),
]

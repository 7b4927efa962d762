"""All kinds of damage by name, and the one way to do them: to a sound image, by a seed, into a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from drystone.base.errors import NotFoundError, UsageError
from drystone.formats.pdata.blocks import BLOCK, BlockReader
from drystone.testing.damage import blocks, counts, era_kinds, nodes, thin_kinds
from drystone.testing.damage.draft import Change, make_draft
from drystone.testing.damage.era_sites import read_era_anatomy
from drystone.testing.damage.kind import Kind, Named, Scene
from drystone.testing.damage.sites import Anatomy, Site
from drystone.testing.damage.thin_sites import read_thin_anatomy

Target = Literal["thin", "era"]

_SHARED = [*blocks.KINDS, *nodes.KINDS, *counts.list_count_kinds("metadata")]
_THIN_COUNTS = [
    *counts.list_many_kinds("metadata"),
    *counts.list_count_kinds("data"),
    *counts.list_many_kinds("data"),
]

KINDS: Mapping[Target, Mapping[str, Kind]] = {
    "thin": {each.name: each for each in [*_SHARED, *_THIN_COUNTS, *thin_kinds.KINDS]},
    "era": {each.name: each for each in [*_SHARED, *era_kinds.KINDS]},
}
"""Whose metadata -> name -> kind."""

READERS: Mapping[Target, Callable[[BlockReader], Anatomy]] = {"thin": read_thin_anatomy, "era": read_era_anatomy}


@dataclass(frozen=True, slots=True)
class Plan:
    """Damage as a value: what is to be written over a copy of the image.

    :ivar block: the block that it was done to, or that it starts from; -1 for flipped bits anywhere.
    :ivar part: what that block is. :ivar changes: all that is changed, but checksums put right.
    :ivar named: what a check that finds it may name, of which it has to name one.
    :ivar blocks: number -> new 4096 bytes, by number. :ivar size: bytes of the damaged file.
    """

    kind: str
    seed: int
    block: int
    part: str
    changes: tuple[Change, ...]
    named: tuple[Named, ...]
    blocks: Mapping[int, bytes]
    size: int


def find_kind(target: Target, name: str) -> Kind:
    """:raises NotFoundError: there is no such kind."""
    kind = KINDS[target].get(name)
    if kind is None:
        raise NotFoundError(f"there is no damage {name!r} to {target} metadata", hint="--list shows the kinds")
    return kind


def list_places(anatomy: Anatomy, kind: Kind) -> list[Site]:
    """The blocks that this kind of damage can be done to here, by number."""
    if kind.needs and all(site.part != kind.needs for site in anatomy.sites.values()):
        return []
    return anatomy.list_sites(kind.fits)


def plan_damage(
    target: Target,
    name: str,
    reader: BlockReader,
    *,
    seed: int = 0,
    part: str = "",
    block: int | None = None,
    anatomy: Anatomy | None = None,
) -> Plan:
    """Do one kind of damage to the image of `reader`, which stays as it is. The same arguments give the same plan.

    :param part: only to a block of this part. :param block: only to this block.
    :param anatomy: of the image, when it was read already.
    :raises NotFoundError: no such kind. :raises UsageError: this image has no block that fits.
    :raises DamagedError: the image is not sound.
    """
    kind = find_kind(target, name)
    whole = READERS[target](reader) if anatomy is None else anatomy
    places = [
        site
        for site in list_places(whole, kind)
        if (not part or site.part == part) and (block is None or site.block == block)
    ]
    if not places:
        wanted = " ".join(filter(None, [part, "" if block is None else f"block {block}"])) or "block"
        raise UsageError(f"damage {name!r} fits no {wanted} of this image", hint="--list shows what it fits")
    random = Random(f"{target} {name} {seed}")  # noqa: S311  # it repeats itself on purpose
    site = random.choice(places)
    draft = make_draft(reader)
    named = kind.make(Scene(draft, whole, site, random))
    edits = {number: bytes(data) for number, data in sorted(draft.edits.items())}
    return Plan(name, seed, site.block, site.part, tuple(draft.changes), tuple(named), edits, draft.size)


def flip_bits(target: Target, reader: BlockReader, *, rate: float, seed: int = 0) -> Plan:
    """Flip bits of blocks in use: each with the probability `rate`, at least one; checksums are not put right.

    :raises UsageError: a rate that is none. :raises DamagedError: the image is not sound.
    """
    if not 0 < rate <= 1:
        raise UsageError(f"rate {rate} is not above 0 and at most 1")
    anatomy = READERS[target](reader)
    used = sorted(anatomy.sites)
    random = Random(f"{target} flips {seed}")  # noqa: S311  # it repeats itself on purpose
    bits = len(used) * BLOCK * 8
    draft = make_draft(reader)
    for bit in sorted(random.sample(range(bits), max(1, round(bits * rate)))):
        number, rest = divmod(bit, BLOCK * 8)
        block, at = used[number], rest // 8
        byte = draft.get(block, (at, 1))
        draft.put(block, (at, 1), byte ^ 1 << rest % 8, f"{anatomy.sites[block].part}: byte {at}")
    edits = {number: bytes(data) for number, data in sorted(draft.edits.items())}
    named: tuple[Named, ...] = tuple(("metadata", block) for block in edits)
    return Plan("flips", seed, -1, "", tuple(draft.changes), named, edits, draft.size)


def apply_damage(plan: Plan, image: bytes) -> bytes:
    """The damaged image; `image` is the one that the plan was made for."""
    data = bytearray(image)
    for number, content in plan.blocks.items():
        data[number * BLOCK : (number + 1) * BLOCK] = content
    return bytes(data[: plan.size])

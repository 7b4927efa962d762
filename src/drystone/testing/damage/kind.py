"""A kind of damage: where it fits, and what it does there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar

from drystone.base.errors import UsageError
from drystone.testing.damage.draft import Draft
from drystone.testing.damage.sites import Anatomy, Site

Chosen = TypeVar("Chosen")

Space = Literal["metadata", "data", "device", "era"]

Named = tuple[Space, int]
"""A metadata block, a data block, a thin device or an era: what a check that finds the damage may rightly name."""


@dataclass(slots=True)
class Scene:
    """What a kind of damage is given to work with.

    :ivar site: the block that it is done to, or that it starts from. :ivar random: repeats itself by the seed.
    """

    draft: Draft
    anatomy: Anatomy
    site: Site
    random: Random


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of damage.

    :ivar name: one word with dashes. :ivar summary: one line.
    :ivar fits: the sites that it can be done to.
    :ivar make: does it to a draft; what a check may name, of which it has to name one.
    :ivar needs: a part that the image must have as well; empty for none.
    """

    name: str
    summary: str
    fits: Callable[[Site], bool]
    make: Callable[[Scene], list[Named]]
    needs: str = ""


def fit_superblock(site: Site) -> bool:
    """The live superblock, from which damage to no single block starts."""
    return site.block == 0


def name_blocks(*blocks: int) -> list[Named]:
    """Metadata blocks as what may be named."""
    return [("metadata", block) for block in blocks]


def choose(scene: Scene, among: Sequence[Chosen], what: str) -> Chosen:
    """One of `among`. :raises UsageError: there is none: this image has no `what`."""
    if not among:
        raise UsageError(f"this image has no {what}")
    return scene.random.choice(among)

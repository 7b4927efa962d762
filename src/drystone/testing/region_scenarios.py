"""What is done to replicated regions while `region_hunt` cuts it short: worlds to begin with, and deeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from drystone.base.errors import DrystoneError
from drystone.dvm.replication import replicate
from drystone.dvm.replication.views import EVERYTHING, Checks
from drystone.testing.crash_states import Adversary, Choices, CrashDevice, Disk, World, open_world
from drystone.testing.region_program import update_inside

GROUP = UUID("6d1f7a52-2b0f-4d1c-9a35-6f6f0c0c0001")
OTHER_GROUP = UUID("6d1f7a52-2b0f-4d1c-9a35-6f6f0c0c0002")
KEEP = 2

FIRST = b"a" * 4000 + b"b" * 900
OLD = b"a" * 4000 + b"c" * 4000 + b"d" * 10
NEW = b"a" * 4000 + b"e" * 4000 + b"d" * 10 + b"f" * 80
LATER = b"g" * 4000 + b"h" * 3999
NEWEST = b"i" * 4000 + b"c" * 4000 + b"j"

Devices = Sequence[CrashDevice]
Deed = Callable[[Devices, Checks], object]


class Counterexample(AssertionError):  # noqa: N818  # it is what a hunt looks for
    """A state in which a promise is broken."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done to which world, and what may be read afterwards.

    :ivar sizes: pages of each region. :ivar prepare: brings the formatted regions to where the deed begins.
    :ivar success: what must be read once the deed has returned.
    :ivar allowed: what may be read whatever happens. :ivar has_stale: a region is behind from the start.
    :ivar coming: what a commit by somebody else makes of it. :ivar old: what there is when a preparation fails.
    :ivar torn_within: sectors are torn, too, which disks promise not to do.
    :ivar is_cached: regions are behind a page cache that goes on showing what it failed to write.
    """

    name: str
    sizes: tuple[int, ...]
    prepare: Deed
    deed: Deed
    success: bytes
    allowed: frozenset[bytes]
    has_stale: bool = False
    coming: bytes = NEW
    old: bytes = OLD
    torn_within: bool = False
    is_cached: bool = False


def update(devices: Devices, data: bytes, checks: Checks = EVERYTHING) -> None:
    """What transact does: prepare and commit."""
    try:
        prepared = replicate.prepare(devices, data, checks=checks)
    except DrystoneError as error:
        error.facts["is_clean"] = "prepared" not in error.facts  # it says so where it could not take back what it did
        raise
    if replicate.commit(devices, checks=checks) != prepared:
        raise Counterexample("another transaction was committed than the one that was prepared")


def make_world(sizes: Sequence[int], prepare: Deed) -> World:
    """Formatted regions, brought to where a scenario begins; all of it durable."""
    world = [Disk(size) for size in sizes]
    devices = open_world(world, Adversary(Choices()))
    replicate.format_regions(devices, group=GROUP, keep=KEEP)
    prepare(devices, EVERYTHING)
    for disk in world:
        disk.flush()
    return world


def three_versions(devices: Devices, checks: Checks) -> None:
    """Some past: OLD is the committed data, and free pages lie between used ones."""
    for data in (FIRST, LATER, OLD):
        update(devices, data, checks)


def _one_is_behind(devices: Devices, checks: Checks) -> None:
    three_versions(devices, checks)
    update(devices[:-1], NEW, checks)
    update(devices[:-1], NEWEST, checks)


def _spread(devices: Devices, checks: Checks) -> None:
    """The first is two ahead, the second prepared for what the third has committed."""
    three_versions(devices, checks)
    replicate.prepare(devices, NEW, checks=checks)
    replicate.commit([devices[0], devices[2]], checks=checks)
    update(devices[:1], NEWEST, checks)


def _abort(devices: Devices, checks: Checks) -> None:
    replicate.prepare(devices, NEW, checks=checks)
    replicate.abort(devices, checks=checks)


def _recover(devices: Devices, checks: Checks) -> None:
    replicate.recover(devices, checks=checks)


def _update(devices: Devices, checks: Checks) -> None:
    update(devices, NEW, checks)


def _update_inside(devices: Devices, checks: Checks) -> None:
    update_inside(devices, NEW, checks)


_NEW_OR_OLD = frozenset({OLD, NEW})
_ANY = frozenset({OLD, NEW, NEWEST})

SCENARIOS = (
    Scenario("an update, one region", (18,), three_versions, _update, NEW, _NEW_OR_OLD),
    Scenario("prepare and abort, two regions", (18, 20), three_versions, _abort, OLD, _NEW_OR_OLD),
    Scenario("an update, two regions", (18, 20), three_versions, _update, NEW, _NEW_OR_OLD),
    Scenario("recover: a region is two behind", (22,) * 3, _one_is_behind, _recover, NEWEST, _ANY, has_stale=True),
    Scenario("recover: committed, prepared, ahead", (22,) * 3, _spread, _recover, NEWEST, _ANY, has_stale=True),
    Scenario("an update, sectors torn within", (18, 20), three_versions, _update, NEW, _NEW_OR_OLD, torn_within=True),
    Scenario("an update, three regions", (20, 18, 19), three_versions, _update, NEW, _NEW_OR_OLD),
    Scenario("an update, in a page cache", (18, 20), three_versions, _update, NEW, _NEW_OR_OLD, is_cached=True),
    Scenario("recover, in a page cache", (22,) * 3, _spread, _recover, NEWEST, _ANY, has_stale=True, is_cached=True),
    Scenario(
        "inside a program, in a page cache", (18, 20), three_versions, _update_inside, NEW, _NEW_OR_OLD, is_cached=True
    ),
    Scenario("an update inside a program", (18, 20), three_versions, _update_inside, NEW, _NEW_OR_OLD),
)

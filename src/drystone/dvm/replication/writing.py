"""What `replicate` writes to one region: drafted pages, then a slot. Each function says when it is durable."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from drystone.base.errors import DamagedError
from drystone.dvm.replication.regions import RegionDevice
from drystone.dvm.replication.views import EVERYTHING, Checks, View, look, pages_of
from drystone.formats.region.drafts import Common, Draft, list_runs
from drystone.formats.region.layout import MOST_GENERATION, ROLLED_BACK_KEPT
from drystone.formats.region.pages import Entry
from drystone.formats.region.slots import MOST_ROLLED_BACK, Root, Slot
from drystone.formats.region.transactions import Change
from drystone.formats.region.trees import reach, read_data, read_root


class Drafted(msgspec.Struct, frozen=True):
    """Pages for one region, and the root that its slot is to get. Nothing refers to the pages yet."""

    view: View
    pages: dict[int, bytes]
    root: Root


def draft_versions(
    view: View, added: Sequence[tuple[Change, bytes]], checks: Checks = EVERYTHING, *, common: Common | None = None
) -> Drafted:
    """Draft `added` (newest first) in front of the versions that the region has, when they follow each other.

    Nothing is written. Pages that are shared with older versions are looked at.

    :param common: what drafts for other regions have made of the same.
    :raises ExhaustedError: the region is full. :raises DamagedError: a page that is needed is not what was written.
    """
    zero, slot = view.zero, view.slot
    assert zero is not None
    assert slot is not None
    pages = pages_of(view, checks)
    roots = [root for protect in checks.protected.values() if (root := protect(zero)) is not None]
    draft = Draft(view.name, slot.pages, reach(pages, roots), common=common or Common())
    for change, data in reversed(added):
        draft.add_version(change, data)
    own = read_root(pages, slot.committed)
    follows = not added or own[0].change.hash == added[-1][0].parent
    root = draft.add_root((*draft.versions, *(own if follows else ()))[: slot.keep])
    if "shared" in checks.steps:
        shared = {Entry(page, digest): length for page, (digest, length) in draft.shared.items()}
        for _ in pages.read_chunks(shared):
            pass
    return Drafted(view, draft.pages, root)


def settle(view: View, checks: Checks = EVERYTHING) -> None:
    """Make durable what was read of a region, before anything is written that relies on it.

    An interrupted run may have written what nobody flushed. And a page cache may go on showing what it failed to write
    (fsync(2)): behind one, page 0 is written once more. To other pages a slot leads only when their flush succeeded.
    """
    if "cached" in checks.steps and view.device.is_cached and view.zero is not None:
        view.device.write(0, view.zero.data)
    view.device.flush()


def write_pages(device: RegionDevice, pages: dict[int, bytes]) -> None:
    """Write pages by number; durable when this returns."""
    for first, data in list_runs(pages):
        device.write(first, data)
    device.flush()


def write_slot(view: View, slot: Slot) -> None:
    """Make `slot` the current one of the region that was viewed; durable when this returns.

    The generation is the next one, whatever the slot says.
    """
    zero, current = view.zero, view.slot
    assert zero is not None
    assert current is not None
    if current.generation >= MOST_GENERATION:
        raise DamagedError(f"{view.name}: its slots were written too often", device=view.name)
    view.device.write(0, zero.with_slot(replace(slot, generation=current.generation + 1)))
    view.device.flush()


def prepared_slot(slot: Slot, root: Root) -> Slot:
    """The slot that is prepared for `root`."""
    return replace(slot, next=root)


def committed_slot(slot: Slot, root: Root) -> Slot:
    """The slot that has committed `root`."""
    return replace(slot, committed=root, next=None, rolled_back=(), rolled_back_count=0)


def rolled_back_slot(slot: Slot) -> Slot:
    """The slot that has given up what it was prepared for, and remembers that."""
    assert slot.next is not None
    return replace(
        slot,
        next=None,
        rolled_back=(slot.next.hash, *slot.rolled_back)[:ROLLED_BACK_KEPT],
        rolled_back_count=min(slot.rolled_back_count + 1, MOST_ROLLED_BACK),
    )


def verify_root(view: View, root: Root, checks: Checks = EVERYTHING) -> None:
    """Read all that a root's newest version leads to.

    :raises DamagedError: a page is not what was written.
    """
    pages = pages_of(view, checks)
    read_data(pages, read_root(pages, root)[0])


def give_up(view: View, wanted: bytes, checks: Checks = EVERYTHING) -> None:
    """Take back a preparation for the transaction with the hash `wanted`, if the region has it; durable then."""
    found = look(view.device, checks)
    slot = found.slot
    if slot is not None and slot.next is not None and slot.next.hash == wanted:
        settle(found, checks)
        write_slot(found, rolled_back_slot(slot))

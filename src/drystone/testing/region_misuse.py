"""What must be refused or noticed on replicated regions, whatever the power does: damage, mix-ups, forks.

Each function takes the checks that are made, and raises Counterexample when a promise is broken.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import google_crc32c
import msgspec
from msgspec.structs import replace as replace_fields

from drystone.base.errors import DrystoneError
from drystone.dvm.replication import replicate
from drystone.dvm.replication.views import EVERYTHING, Checks, look, pages_of
from drystone.formats.region.layout import PAGE_HEAD, SECTOR, SLOT_HEAD, SLOT_OFFSETS
from drystone.formats.region.pages import DATA
from drystone.formats.region.slots import Slot, build_slot, place_of
from drystone.formats.region.trees import reach
from drystone.testing.crash_states import PAGE, Adversary, Choices, CrashDevice, World, copy_world, open_world
from drystone.testing.region_scenarios import (
    FIRST,
    LATER,
    NEW,
    NEWEST,
    OLD,
    OTHER_GROUP,
    Counterexample,
    Deed,
    make_world,
    three_versions,
    update,
)

Misuse = Callable[[Checks], None]


def _begin(*sizes: int) -> World:
    return make_world(sizes or (18, 20), three_versions)


def _open(world: World, *numbers: int, broken: frozenset[int] = frozenset()) -> list[CrashDevice]:
    return open_world(world, Adversary(Choices(), broken=broken), numbers or None)


def _must_refuse(what: str, deed: Callable[[], object]) -> None:
    """:raises Counterexample: it is done."""
    try:
        deed()
    except DrystoneError:
        return
    raise Counterexample(f"{what} is not refused")


def _refuse_everything(what: str, devices: list[CrashDevice], checks: Checks) -> None:
    """Everything but status and recover is refused, and nothing is written.

    :raises Counterexample: something is done.
    """
    before = [disk.disk.digest() for disk in devices]
    deeds: tuple[Deed, ...] = (
        lambda devices, checks: replicate.read(devices, checks=checks),
        lambda devices, checks: replicate.history(devices, checks=checks),
        lambda devices, checks: replicate.prepare(devices, LATER, checks=checks),
        lambda devices, checks: replicate.commit(devices, checks=checks),
        lambda devices, checks: replicate.abort(devices, checks=checks),
    )
    for deed in deeds:
        _must_refuse(what, lambda deed=deed: deed(devices, checks))  # type: ignore[misc]
    if before != [disk.disk.digest() for disk in devices]:
        raise Counterexample(f"{what}: something was written")


def a_stale_base(checks: Checks) -> None:
    """An update that was made from what is not the committed transaction any more."""
    devices = _open(_begin())
    base = replicate.read(devices).transaction.hash
    update(devices, NEW)
    _must_refuse("a base that moved on", lambda: replicate.prepare(devices, LATER, parent=base, checks=checks))


def a_region_out_of_step(checks: Checks) -> None:
    """One of them took an update alone."""
    world = _begin()
    update(_open(world, 0), NEW)
    _refuse_everything("a region out of step", _open(world), checks)


def a_second_preparation(checks: Checks) -> None:
    """Somebody prepares while something is prepared; somebody reads."""
    devices = _open(_begin())
    replicate.prepare(devices, NEW)
    _must_refuse("a second preparation", lambda: replicate.prepare(devices, LATER, checks=checks))
    _must_refuse("reading what is prepared", lambda: replicate.read(devices, checks=checks))


def nothing_prepared(checks: Checks) -> None:
    """A commit or an abort of nothing."""
    devices = _open(_begin())
    _must_refuse("a commit of nothing", lambda: replicate.commit(devices, checks=checks))
    _must_refuse("an abort of nothing", lambda: replicate.abort(devices, checks=checks))


def a_broken_region(checks: Checks) -> None:
    """One of the regions cannot be read."""
    devices = _open(_begin(), broken=frozenset({1}))
    _refuse_everything("a broken region", devices, checks)
    _must_refuse("a broken region", lambda: replicate.recover(devices, checks=checks))


def a_region_not_formatted(checks: Checks) -> None:
    """One of them holds nothing."""
    world = _begin()
    world[1].sure.clear()
    devices = _open(world)
    _refuse_everything("a region that is not formatted", devices, checks)
    _must_refuse("a region that is not formatted", lambda: replicate.recover(devices, checks=checks))


def a_region_named_twice(checks: Checks) -> None:
    """The same region by two paths, or a region and its copy."""
    world = _begin()
    world[1] = world[0]
    _refuse_everything("a region named twice", _open(world), checks)


def two_regions_at_one_place(checks: Checks) -> None:
    """Formatting one place as two regions."""
    world = _begin(20, 20)
    world[1] = world[0]
    _must_refuse(
        "formatting one place twice",
        lambda: replicate.format_regions(_open(world), group=OTHER_GROUP, force=True, checks=checks),
    )


def a_fork(checks: Checks) -> None:
    """Two regions went different ways; one of them further. Number alone would choose it."""
    world = _begin()
    update(_open(world, 0), NEW)
    update(_open(world, 1), LATER)
    update(_open(world, 1), NEWEST)
    _must_refuse("a fork", lambda: replicate.recover(_open(world), checks=checks))


def a_region_from_long_ago(checks: Checks) -> None:
    """A region that is so far behind that nothing shows that it is behind, and not a fork."""
    world = _begin()
    for data in (NEW, LATER, NEWEST, FIRST):
        update(_open(world, 0), data)
    _must_refuse("a region from long ago", lambda: replicate.recover(_open(world), checks=checks))


def a_rolled_back_transaction(checks: Checks) -> None:
    """A region was lost while it committed; the others rolled back, also more often than they can remember."""
    for count in (1, 6):
        world = _begin(24, 24)
        replicate.prepare(_open(world), NEW)
        replicate.commit(_open(world, 0))
        replicate.recover(_open(world, 1))
        for number in range(count - 1):
            replicate.prepare(_open(world, 1), b"%d" % number)
            replicate.abort(_open(world, 1))
        _must_refuse("what was rolled back", lambda world=world: replicate.recover(_open(world), checks=checks))  # type: ignore[misc]


def damage_before_commit(checks: Checks) -> None:
    """What was prepared is damaged before it is committed."""
    for page in _list_new_pages():
        world = _begin(18)
        replicate.prepare(_open(world), NEW)
        _flip(world, page, PAGE_HEAD.size + 1)
        _must_refuse("damage in what is prepared", lambda world=world: replicate.commit(_open(world), checks=checks))  # type: ignore[misc]


def damage_of_one_region(checks: Checks) -> None:
    """One byte of one region changes: never are wrong data read, and what the other region has can be."""
    start = _begin()
    for page, offset in _list_places(start):
        for numbers in ((0,), (0, 1)):
            world = copy_world(start)
            _flip(world, page, offset)
            try:
                found = replicate.read(_open(world, *numbers), checks=checks).data
            except DrystoneError:
                continue
            if found != OLD:
                raise Counterexample(f"byte {offset} of page {page} changed, and wrong data are read")


def damage_that_leads_on(checks: Checks) -> None:
    """A table or a root changes: nobody can tell which pages are free, so nothing is written."""
    start = _begin(20)
    for page, offset in _list_places(start):
        data = start[0].sure[page]
        if page and PAGE_HEAD.unpack_from(data)[2] != DATA:
            world = copy_world(start)
            _flip(world, page, offset)
            _must_refuse(
                f"an update over damage at byte {offset} of page {page}",
                lambda world=world: replicate.prepare(_open(world), NEW, checks=checks),  # type: ignore[misc]
            )


def damage_that_is_shared(checks: Checks) -> None:
    """A data page that the new version has in common with the old one changes: it would be damaged from its birth."""
    start = _begin(20)
    for page, offset in _list_places(start):
        data = start[0].sure[page]
        if page and PAGE_HEAD.unpack_from(data)[2] == DATA:
            world = copy_world(start)
            _flip(world, page, offset)
            try:
                update(_open(world), NEW, msgspec.structs.replace(checks, steps=checks.steps - {"next"}))
            except DrystoneError:
                continue
            try:
                found = replicate.read(_open(world)).data
            except DrystoneError as error:
                raise Counterexample(f"an update was committed over damage, and cannot be read: {error}") from error
            if found != NEW:
                raise Counterexample("an update was committed over damage, and something else is read")


def damage_of_both_slots(checks: Checks) -> None:
    """Neither slot is valid: nothing is guessed."""
    world = _begin()
    for at in SLOT_OFFSETS:
        _flip(world, 0, at + 20)
    devices = _open(world)
    _refuse_everything("a region without a valid slot", devices, checks)
    _must_refuse("a region without a valid slot", lambda: replicate.recover(devices, checks=checks))


def damage_of_the_current_slot(checks: Checks) -> None:
    """The current slot is not valid: the other one tells the past, which is no answer without being asked."""
    world = _begin()
    slot = look(_open(world)[0]).slot
    assert slot is not None
    _flip(world, 0, SLOT_OFFSETS[place_of(slot.generation)] + 20)
    _refuse_everything("a region with a damaged slot", _open(world, 0), checks)


def slots_of_liars(checks: Checks) -> None:
    """Slots with right checksums whose numbers cannot be: an error, never a defect of ours."""
    for page_zero in _list_hostile(_slot_of(_begin(20))):
        world = _begin(20)
        world[0].sure[0] = page_zero
        _refuse_everything("a slot that cannot be", _open(world), checks)
        _must_refuse("a slot that cannot be", lambda world=world: replicate.recover(_open(world), checks=checks))  # type: ignore[misc]


MISUSES: tuple[Misuse, ...] = (
    a_stale_base,
    a_region_out_of_step,
    a_second_preparation,
    nothing_prepared,
    a_broken_region,
    a_region_not_formatted,
    a_region_named_twice,
    two_regions_at_one_place,
    a_fork,
    a_region_from_long_ago,
    a_rolled_back_transaction,
    damage_before_commit,
    damage_of_one_region,
    damage_that_leads_on,
    damage_that_is_shared,
    damage_of_both_slots,
    damage_of_the_current_slot,
    slots_of_liars,
)


def _slot_of(world: World) -> Slot:
    slot = look(_open(world)[0]).slot
    assert slot is not None
    return slot


def _list_new_pages() -> list[int]:
    """The pages that a preparation writes in the world of one region."""
    world = _begin(18)
    before = set(world[0].sure)
    devices = _open(world)
    contents = dict(world[0].sure)
    replicate.prepare(devices, NEW)
    return [page for page, data in world[0].sure.items() if page and (page not in before or contents[page] != data)]


def _list_places(world: World) -> Iterator[tuple[int, int]]:
    """Bytes of the first region that mean something: (page, offset), in heads, first and last entries, and slots."""
    view = look(_open(world)[0])
    assert view.slot is not None
    used = reach(pages_of(view, EVERYTHING), [view.slot.committed]).used
    for page in sorted(used):
        for offset in (3, 12, 50, 96, 100, 104, 110, 127, 136, 144, 200, 300, 511, 2050, 2100, 2200, 4000, 4095):
            yield page, offset


def _flip(world: World, page: int, offset: int) -> None:
    content = bytearray(world[0].sure[page])
    content[offset] ^= 1
    world[0].sure[page] = bytes(content)


def _list_hostile(slot: Slot) -> Iterator[bytes]:
    """Pages 0 with one slot that cannot be, checksums right."""
    far = slot.pages + 1000
    root = slot.committed
    after = replace_fields(root, sequence=root.sequence + 1, parent=root.hash, hash=b"x" * 32)
    lies = (
        replace_fields(slot, keep=0),
        replace_fields(slot, keep=200),
        replace_fields(slot, committed=replace_fields(root, page=0)),
        replace_fields(slot, committed=replace_fields(root, page=far)),
        replace_fields(slot, committed=replace_fields(root, length=1 << 60)),
        replace_fields(slot, next=replace_fields(after, parent=b"y" * 32)),
        replace_fields(slot, next=replace_fields(after, sequence=root.sequence + 2)),
        replace_fields(slot, next=replace_fields(after, page=far)),
    )
    for lie in lies:
        yield _place(build_slot(lie), slot)
    for at, value in ((8, struct.pack("<H", 2)), (10, b"\7")):
        data = bytearray(build_slot(slot))
        data[at : at + len(value)] = value
        yield _place(_sign(bytes(data)), slot)


def _sign(data: bytes) -> bytes:
    assert SLOT_HEAD.size < SECTOR
    return data[:-4] + struct.pack("<I", google_crc32c.value(data[:-4]))


def _place(data: bytes, slot: Slot) -> bytes:
    """Page 0 with these bytes in the place of `slot`, and the slot before it in the other."""
    page = bytearray(PAGE)
    at = SLOT_OFFSETS[place_of(slot.generation)]
    page[at : at + SECTOR] = data
    former = build_slot(replace_fields(slot, generation=slot.generation - 1))
    at = SLOT_OFFSETS[place_of(slot.generation - 1)]
    page[at : at + SECTOR] = former
    return bytes(page)

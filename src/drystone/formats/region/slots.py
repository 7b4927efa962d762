"""Page 0 of a region: two slots, of which one is current. Nothing that is read here is trusted before its checksum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from uuid import UUID

from msgspec import Struct

from drystone.base.errors import DamagedError
from drystone.formats.pdata.native import crc32c
from drystone.formats.region.layout import (
    CHECKSUM,
    CHECKSUM_AT,
    COMMITTED_AT,
    DIGEST,
    LEAST_KEPT,
    LONGEST_DATA,
    MOST_GENERATION,
    MOST_KEPT,
    NEXT_AT,
    NO_DIGEST,
    PAGE,
    ROLLED_BACK_AT,
    ROLLED_BACK_KEPT,
    ROOT,
    SECTOR,
    SLOT_HEAD,
    SLOT_MAGIC,
    SLOT_OFFSETS,
    VERSION,
)

MOST_ROLLED_BACK = (1 << 32) - 1


class Root(Struct, frozen=True):
    """A transaction as a slot holds it. `page` is that of its list of versions, `digest` of that whole page."""

    sequence: int
    length: int
    page: int
    hash: bytes
    parent: bytes
    digest: bytes


class Slot(Struct, frozen=True):
    """What a region is at.

    :ivar generation: counts the slots that were written. :ivar pages: of the region. :ivar keep: versions kept.
    :ivar next: what it is prepared for; None when it is clean.
    :ivar rolled_back: hashes of what was rolled back on top of `committed`, newest first: the last few.
    :ivar rolled_back_count: how many there were.
    """

    group: UUID
    region: UUID
    generation: int
    pages: int
    keep: int
    committed: Root
    next: Root | None = None
    rolled_back: tuple[bytes, ...] = ()
    rolled_back_count: int = 0


def build_slot(slot: Slot) -> bytes:
    """Its 512 bytes."""
    head = SLOT_HEAD.pack(
        SLOT_MAGIC,
        VERSION,
        0 if slot.next is None else 1,
        slot.keep,
        slot.rolled_back_count,
        slot.group.bytes,
        slot.region.bytes,
        slot.generation,
        slot.pages,
    )
    roots = _build_root(slot.committed) + (_build_root(slot.next) if slot.next else bytes(ROOT.size))
    body = (head + roots + b"".join(slot.rolled_back)).ljust(CHECKSUM_AT, b"\0")
    return body + CHECKSUM.pack(crc32c(body))


def place_of(generation: int) -> int:
    """Which of the two slots a generation is in."""
    return (generation - 1) % 2


def _has_checksum(data: bytes) -> bool:
    return bool(CHECKSUM.unpack_from(data, CHECKSUM_AT)[0] == crc32c(data[:CHECKSUM_AT]))


def _is_known(data: bytes) -> bool:
    return bool(SLOT_HEAD.unpack_from(data)[1] == VERSION)


def _is_in_range(data: bytes) -> bool:
    """Whether the numbers can be: what follows relies on them."""
    _, _, state, keep, count, _, _, generation, pages = SLOT_HEAD.unpack_from(data)
    committed, after = _parse_root(data, COMMITTED_AT), _parse_root(data, NEXT_AT)
    if state not in (0, 1) or not LEAST_KEPT <= keep <= MOST_KEPT or not 1 <= generation <= MOST_GENERATION:
        return False
    if not _fits(committed, pages) or (count == 0) != (_parse_rolled_back(data) == ()):
        return False
    if state == 0:
        return not any(data[NEXT_AT:ROLLED_BACK_AT])
    return _fits(after, pages) and after.parent == committed.hash and after.sequence == committed.sequence + 1


SlotCheck = Callable[[bytes], bool]
SLOT_CHECKS: Mapping[str, SlotCheck] = MappingProxyType(
    {"checksum": _has_checksum, "version": _is_known, "ranges": _is_in_range}
)
"""What makes the 512 bytes of a slot valid, besides the magic. A value, so that a test can leave one out."""


def parse_slot(data: bytes, checks: Mapping[str, SlotCheck] = SLOT_CHECKS) -> Slot | None:
    """A slot from its 512 bytes; None when they are not a valid one."""
    if data[: len(SLOT_MAGIC)] != SLOT_MAGIC or not all(check(data) for check in checks.values()):
        return None
    _, _, state, keep, count, group, region, generation, pages = SLOT_HEAD.unpack_from(data)
    return Slot(
        UUID(bytes=group),
        UUID(bytes=region),
        generation,
        pages,
        keep,
        _parse_root(data, COMMITTED_AT),
        _parse_root(data, NEXT_AT) if state else None,
        _parse_rolled_back(data),
        count,
    )


class PageZero(Struct, frozen=True):
    """What page 0 says.

    :ivar data: its bytes. :ivar current: the current slot; None when neither is valid.
    :ivar problem: why it is damaged; "" when it is whole. With a current slot it can be mended.
    """

    data: bytes
    current: Slot | None = None
    problem: str = ""

    def with_slot(self, slot: Slot) -> bytes:
        """Page 0 with `slot` in its place, and the other slot as it was."""
        at = SLOT_OFFSETS[place_of(slot.generation)]
        return self.data[:at] + build_slot(slot) + self.data[at + SECTOR :]


def parse_page_zero(data: bytes, checks: Mapping[str, SlotCheck] = SLOT_CHECKS) -> PageZero | None:
    """What the 4096 bytes of page 0 say; None when the region is not formatted."""
    assert len(data) == PAGE
    raw = [data[at : at + SECTOR] for at in SLOT_OFFSETS]
    if not any(each.startswith(SLOT_MAGIC) for each in raw):
        return None
    slots = [parse_slot(each, checks) for each in raw]
    for place, slot in enumerate(slots):
        if slot is None and raw[place].startswith(SLOT_MAGIC) and _has_checksum(raw[place]):
            return PageZero(data, problem=_tell_strange(place, raw[place]))
        if slot is not None and place_of(slot.generation) != place:
            return PageZero(data, problem=f"slot {place} holds what belongs into the other one")
    found = sorted((slot for slot in slots if slot is not None), key=lambda slot: slot.generation, reverse=True)
    if not found:
        return PageZero(data, problem="neither slot is valid")
    current = found[0]
    if len(found) == 1:
        place = 1 - place_of(current.generation)
        if current.generation == 1 and not any(raw[place]):
            return PageZero(data, current)
        return PageZero(data, current, problem=f"slot {place} is not valid")
    if (current.group, current.region) != (found[1].group, found[1].region):
        return PageZero(data, problem="the slots are of two regions")
    if current.generation != found[1].generation + 1:
        return PageZero(data, problem="a slot that was written is not there")
    return PageZero(data, current)


def _tell_strange(place: int, data: bytes) -> str:
    """Why a slot is not valid that is as it was written."""
    version = SLOT_HEAD.unpack_from(data)[1]
    if version != VERSION:
        return f"slot {place} is of version {version} of the format, and version {VERSION} is read here"
    return f"slot {place} holds numbers that cannot be"


def first_page_zero(slot: Slot) -> bytes:
    """Page 0 of a region that has just been formatted."""
    return build_slot(slot).ljust(PAGE, b"\0")


def require_pages(slot: Slot, pages: int, name: str) -> None:
    """:raises DamagedError: the region was formatted with another size than the one it is said to have."""
    if slot.pages != pages:
        raise DamagedError(
            f"{name} has {pages} pages, and was formatted with {slot.pages}",
            hint="are begin and end what they were when it was formatted?",
        )


def _fits(root: Root, pages: int) -> bool:
    return 1 <= root.page < pages and root.length <= LONGEST_DATA


def _build_root(root: Root) -> bytes:
    return ROOT.pack(root.sequence, root.length, root.page, 0, root.hash, root.parent, root.digest)


def _parse_root(data: bytes, at: int) -> Root:
    sequence, length, page, _, hash_, parent, digest = ROOT.unpack_from(data, at)
    return Root(sequence, length, page, hash_, parent, digest)


def _parse_rolled_back(data: bytes) -> tuple[bytes, ...]:
    found = [data[at : at + DIGEST] for at in range(ROLLED_BACK_AT, ROLLED_BACK_AT + ROLLED_BACK_KEPT * DIGEST, DIGEST)]
    return tuple(each for each in found if each != NO_DIGEST)

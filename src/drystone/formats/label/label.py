"""A label as a value, from bytes that nobody has to trust and back.

A device carries two copies, in its first page and in its last whole page. They are written one after the other, each
flushed, so that a torn or lost one leaves the other; the one of the higher generation counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal
from uuid import UUID

from msgspec import Struct

from drystone.base.errors import DamagedError, DrystoneError, UnsupportedError, UsageError
from drystone.base.names import check_name
from drystone.formats.label.layout import (
    CHECKSUM,
    CHECKSUM_AT,
    EXTENT,
    HEADER,
    MAGIC,
    MEMBERS_AT,
    MOST_LISTED,
    MOST_NAME,
    MOST_REGIONS,
    NAME_AT,
    PAGE,
    REGIONS_AT,
    UUID_BYTES,
    VERSION,
)
from drystone.formats.pdata.native import crc32c

FIRST, LAST = 0, 1
"""The two copies."""

LEAST_SIZE = 3 * PAGE
"""Bytes: two copies, and a page between them."""

_NOT_ASCENDING = "the list of the group's devices is not ascending, or too long"
_NO_UUID = "{!r} is no uuid in its usual spelling"

CopyState = Literal["good", "none", "damaged", "unsupported", "elsewhere", "older"]
"""What a place holds: a label; nothing of ours; ours but wrong; a later version; a copy that belongs to another place
or a device of another size; one of a lower generation than the other copy."""


class Extent(Struct, frozen=True):
    """Pages [begin, end) of a device."""

    begin: int
    end: int

    def __str__(self) -> str:
        return f"{self.begin}:{self.end}"


class Label(Struct, frozen=True):
    """What a device says of itself.

    :ivar group: the group's uuid. :ivar name: the group's name. :ivar device: the device's own uuid.
    :ivar size: bytes of the device when it was labelled.
    :ivar regions: where its metadata is; ascending, none overlaps another.
    :ivar generation: of the set of devices: of two labels of a group the one with the higher generation knows better.
    :ivar members: how many devices the group has, this one included.
    :ivar listed: their uuids, ascending; empty when there are more than MOST_LISTED.
    """

    group: str
    name: str
    device: str
    size: int
    regions: tuple[Extent, ...] = ()
    generation: int = 1
    members: int = 1
    listed: tuple[str, ...] = ()


class Reading(Struct, frozen=True):
    """What a device carries.

    :ivar label: the one that counts, or None. :ivar first, last: the two places.
    :ivar problem: why there is none although something of ours is there; "" otherwise.
    """

    label: Label | None
    first: CopyState
    last: CopyState
    problem: str = ""

    @property
    def is_whole(self) -> bool:
        """Both copies are there and agree."""
        return self.first == self.last == "good"


def last_page(size: int) -> int:
    """The byte where the last whole page of a device of `size` bytes begins."""
    return size // PAGE * PAGE - PAGE


def check_label(label: Label) -> None:
    """:raises UsageError: a label that cannot be; the message says which field and why."""
    for text in (label.group, label.device, *label.listed):
        _check_uuid(text)
    if list(label.listed) != sorted(set(label.listed)):
        raise UsageError(_NOT_ASCENDING)
    _check_numbers(label)


def _check_numbers(label: Label) -> None:
    """`check_label` but for the uuids' spelling and order."""
    check_name(label.name, "group name")
    if label.size < LEAST_SIZE:
        raise UsageError(f"a device of {label.size} bytes has no room for a label", hint=f"{LEAST_SIZE} bytes or more")
    for number, what, most in (
        (label.size, "size", 1 << 63),
        (label.generation, "generation", 1 << 64),
        (label.members, "number of devices", 1 << 32),
    ):
        if not 0 < number < most:
            raise UsageError(f"{number} is no {what}")
    if len(label.listed) > MOST_LISTED:
        raise UsageError(_NOT_ASCENDING)
    if label.listed and (len(label.listed) != label.members or label.device not in label.listed):
        raise UsageError("the list of the group's devices does not fit their number, or lacks this one")
    check_regions(label.regions, label.size)


def check_regions(regions: Sequence[Extent], size: int) -> None:
    """:raises UsageError: they overlap, are not ascending, too many, or not between the labels of such a device."""
    if len(regions) > MOST_REGIONS:
        raise UsageError(f"{len(regions)} regions are more than the {MOST_REGIONS} that a label holds")
    room = last_page(size) // PAGE
    least = 1
    for each in regions:
        if not 1 <= each.begin < each.end <= room:
            raise UsageError(
                f"region {each} does not fit: pages 1 to {room} of the device are free for regions",
                hint="BEGIN:END in pages of 4096 bytes, END exclusive",
            )
        if each.begin < least:
            raise UsageError(f"region {each} overlaps the one before it, or stands before it")
        least = each.end


def build_label(label: Label, copy: int) -> bytes:
    """The page for one of the two places.

    :param copy: FIRST or LAST. :raises UsageError: as `check_label`.
    """
    check_label(label)
    name = label.name.encode("ascii")
    page = bytearray(PAGE)
    HEADER.pack_into(
        page,
        0,
        MAGIC,
        0,
        VERSION,
        copy,
        0,
        UUID(label.group).bytes,
        UUID(label.device).bytes,
        label.size,
        label.generation,
        label.members,
        len(name),
        len(label.regions),
        len(label.listed),
        bytes(6),
    )
    page[NAME_AT : NAME_AT + len(name)] = name
    for index, each in enumerate(label.regions):
        EXTENT.pack_into(page, REGIONS_AT + index * EXTENT.size, each.begin, each.end)
    listed = b"".join(UUID(text).bytes for text in label.listed)
    page[MEMBERS_AT : MEMBERS_AT + len(listed)] = listed
    CHECKSUM.pack_into(page, CHECKSUM_AT, crc32c(page))
    return bytes(page)


def is_label(page: bytes) -> bool:
    """Whether these bytes begin as a label does."""
    return page.startswith(MAGIC)


def parse_label(page: bytes) -> tuple[Label, int]:
    """The label, and which copy it is.

    :raises DamagedError: no label, or not as it was written. :raises UnsupportedError: a version that is not known.
    """
    if len(page) != PAGE or not is_label(page):
        raise DamagedError("there is no label")
    (stored,) = CHECKSUM.unpack_from(page, CHECKSUM_AT)
    plain = page[:CHECKSUM_AT] + bytes(CHECKSUM.size) + page[CHECKSUM_AT + CHECKSUM.size :]
    if stored != crc32c(plain):
        raise DamagedError("the label's checksum is wrong")
    version = HEADER.unpack_from(page)[2]
    if version != VERSION:
        raise UnsupportedError(f"label version {version} is not known", hint=f"this program knows {VERSION}")
    try:
        label, copy = _unpack(page)
        _check_numbers(label)
    except UsageError as error:
        raise DamagedError(f"the label is wrong: {error.message}") from error
    return label, copy


def _unpack(page: bytes) -> tuple[Label, int]:
    """The fields of a page that holds nothing else. Numbers are unchecked but for what would lead outside.

    :raises UsageError: a uuid that cannot be.
    """
    found = HEADER.unpack_from(page)
    copy, zero, group, device, size, generation, members, name_length, regions, listed, zeros = found[3:]
    if name_length > MOST_NAME or regions > MOST_REGIONS or listed > MOST_LISTED:
        raise DamagedError("the label counts more than it has room for")
    ends = (NAME_AT + name_length, REGIONS_AT + regions * EXTENT.size, MEMBERS_AT + listed * UUID_BYTES)
    unused = (page[ends[0] : REGIONS_AT], page[ends[1] : MEMBERS_AT], page[ends[2] :], zeros)
    if copy not in (FIRST, LAST) or zero or any(each.strip(b"\0") for each in unused):
        raise DamagedError("the label has bytes that nobody wrote")
    extents = (EXTENT.unpack_from(page, REGIONS_AT + index * EXTENT.size) for index in range(regions))
    label = Label(
        _spell(group),
        page[NAME_AT : NAME_AT + name_length].decode("ascii", "replace"),
        _spell(device),
        size,
        tuple(Extent(*each) for each in extents),
        generation,
        members,
        _spell_all(page[MEMBERS_AT : ends[2]]),
    )
    return label, copy


@lru_cache(maxsize=8)
def _spell_all(listed: bytes) -> tuple[str, ...]:
    """The uuids of a list, which all devices of a group have alike.

    :raises UsageError: one cannot be, or they are not ascending.
    """
    found = [listed[at : at + UUID_BYTES] for at in range(0, len(listed), UUID_BYTES)]
    if found != sorted(set(found)):
        raise UsageError(_NOT_ASCENDING)
    return tuple(map(_spell, found))


def _spell(uuid: bytes) -> str:
    """:raises UsageError: it is no uuid."""
    if not any(uuid):
        raise UsageError(_NO_UUID.format(str(UUID(bytes=uuid))))
    return str(UUID(bytes=uuid))


def choose_copy(first: bytes, last: bytes, size: int) -> Reading:
    """Which of the two places counts on a device of `size` bytes; never raises for what they hold.

    A last copy that was made for another size belongs to what this device is part of, or a partition of: it does not
    count. A first copy of another size counts: the device has grown or shrunk.
    """
    head, head_state, head_problem = _look(first, FIRST)
    tail, tail_state, tail_problem = _look(last, LAST)
    if tail is not None and tail.size != size:
        tail, tail_state = None, "elsewhere"
    if head is not None and tail is not None and head != tail:
        if head.device != tail.device or head.group != tail.group:
            # The first one was written first: the last one is what an interrupted change left behind.
            tail, tail_state = None, "elsewhere"
        elif head.generation >= tail.generation:
            tail, tail_state = None, "older"
        else:
            head, head_state = None, "older"
    label = head or tail
    return Reading(label, head_state, tail_state, "" if label else head_problem or tail_problem)


def _look(page: bytes, copy: int) -> tuple[Label | None, CopyState, str]:
    if not is_label(page):
        return None, "none", ""
    try:
        label, found = parse_label(page)
    except UnsupportedError as error:
        return None, "unsupported", error.message
    except DrystoneError as error:
        return None, "damaged", error.message
    return (label, "good", "") if found == copy else (None, "elsewhere", "the label was copied here from another place")


def _check_uuid(text: str) -> None:
    try:
        found = UUID(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no uuid") from error
    if str(found) != text or not found.int:
        raise UsageError(_NO_UUID.format(text))

"""Every text that is still on the devices, whether LVM2 would find it or not.

The ring keeps old texts until it comes round. Where the newest one is damaged, or the area's header, the ring is read
from end to end; where the label is lost, so is where the areas are, and the device is searched for their headers and,
beside them, for texts.

A text that no header points to has no checksum to be held against. What is known of each is its *proof*, the best
first:

    checksum       a header points to it, with its checksum
    copies         two areas hold the same bytes
    grammar        it parses to its end, and describes a group that can be
    contradicted   likewise, but a header that is sound points to it with another checksum: some byte was changed
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from drystone.base.errors import DamagedError, KernelError, NotFoundError, RefusedError, UsageError
from drystone.dvm.lvm2.survey import Device, GroupParser, Surveyed, read_bytes
from drystone.formats.lvm2 import layout
from drystone.formats.lvm2.area import Location, parse_area_header, parse_slots
from drystone.formats.lvm2.checksum import checksum
from drystone.formats.lvm2.group import Group
from drystone.formats.lvm2.label import Range
from drystone.formats.lvm2.ring import FoundText, find_texts

SEARCHED = 4 << 20
"""Bytes at the beginning and at the end of a device that are searched when its label is lost."""
MOST_READ = 64 << 20
"""Bytes of areas that are read on one device; LVM2's own have 1 MiB."""
_STEP, _PAGE = 1 << 16, 4096
_MOST_FAILURES = 64
DEFAULT_AREA = Range(4096, (1 << 20) - 4096)
"""Where LVM2 puts the area when it is not told otherwise."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text is: `offset` bytes into the area, or whatever was searched, that begins at byte `area` of `path`.

    :ivar slot: `committed` or `precommitted` when a header points to it; "" otherwise.
    :ivar checked: that header's checksum is that of the text.
    :ivar contradicted: the header is sound, and its checksum is another.
    """

    path: str
    area: int
    offset: int
    wrapped: bool = False
    slot: str = ""
    checked: bool = False
    contradicted: bool = False


@dataclass(frozen=True, slots=True)
class Rescued:
    """A whole text. `checksum`: of its bytes with the NUL, as a header would have it; it tells texts apart."""

    group: Group
    data: bytes
    checksum: int
    places: tuple[Place, ...]

    @property
    def proof(self) -> str:
        """How far it can be relied on: `checksum`, `copies`, `grammar` or `contradicted`."""
        if any(place.checked for place in self.places):
            return "checksum"
        if any(place.contradicted for place in self.places):
            return "contradicted"
        return "copies" if len({(place.path, place.area) for place in self.places}) > 1 else "grammar"


@dataclass(frozen=True, slots=True)
class Broken:
    """What begins as a text does, and is none."""

    place: Place
    problem: str


@dataclass(frozen=True, slots=True)
class Rescue:
    """All that was found: whole texts, the newest first within each group; broken ones; what could not be read."""

    texts: tuple[Rescued, ...]
    broken: tuple[Broken, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Searched:
    """Bytes to search.

    :ivar ring: where the ring begins in `data`. :ivar wraps: it ends where `data` does.
    :ivar slots: where the header says that texts are, by offset; (name, what it says).
    :ivar sound: the header is as it was written.
    """

    path: str
    begin: int
    data: bytes
    ring: int
    wraps: bool
    slots: dict[int, tuple[str, Location]] = field(default_factory=dict)
    sound: bool = False


def rescue(devices: Sequence[Device], surveyed: Sequence[Surveyed], *, searched: int = SEARCHED) -> Rescue:
    """Every text that is still there.

    :param surveyed: of the same devices, in the same order.
    :param searched: bytes at both ends of a device without a label that are searched.
    """
    parser = GroupParser()
    whole: dict[bytes, tuple[Group, list[Place]]] = {}
    broken: list[Broken] = []
    problems: list[str] = []
    for device, found in zip(devices, surveyed, strict=True):
        done: set[tuple[int, int]] = set()
        for bytes_ in _bytes_to_search(device, found, searched, problems):
            for text, place in _texts(bytes_):
                at = (place.area + place.offset, len(text.data))
                if at in done:
                    continue
                done.add(at)
                try:
                    group = parser.parse(text.data)
                except DamagedError as error:
                    broken.append(Broken(place, error.message))
                else:
                    whole.setdefault(text.data, (group, []))[1].append(place)
    texts = [Rescued(group, data, checksum(data, b"\0"), tuple(places)) for data, (group, places) in whole.items()]
    texts.sort(key=lambda each: (each.group.name, each.group.uuid, -each.group.number, each.checksum))
    known = {(place.path, place.area + place.offset) for text in texts for place in text.places}
    broken = [each for each in broken if (each.place.path, each.place.area + each.place.offset) not in known]
    return Rescue(tuple(texts), tuple(broken), tuple(problems))


def pick_text(found: Rescue, group: str | None, number: int | None, checksum_: int | None) -> Rescued:
    """The one text that is meant.

    :param group: as `select_texts`. :param number: its seqno. :param checksum_: its checksum.
    :raises NotFoundError: there is none. :raises UsageError: several are.
    :raises RefusedError: it is contradicted, and was not asked for by its checksum.
    """
    chosen = select_texts(found.texts, group, number, checksum_)
    if not chosen:
        raise NotFoundError("no such text is on these devices", hint="dvm lvm2 rescue lists what there is")
    sound = tuple(each for each in chosen if each.proof != "contradicted")
    if checksum_ is None and not sound:
        raise RefusedError(
            f"text {chosen[0].group.number} of {chosen[0].group.name} is not what was written: a header has another "
            "checksum of it",
            hint=f"take an older one, or this one with --checksum {chosen[0].checksum:08x}",
        )
    chosen = chosen if checksum_ is not None else sound
    if len(chosen) > 1:
        sums = ", ".join(f"{each.group.name} {each.group.number} is {each.checksum:08x}" for each in chosen[:4])
        raise UsageError(f"{len(chosen)} texts are meant: {sums}", hint="choose one with --checksum")
    return chosen[0]


def select_texts(
    texts: Iterable[Rescued], group: str | None, number: int | None, checksum_: int | None
) -> tuple[Rescued, ...]:
    """Those of a group (name, UUID, or else the beginning of one), with a seqno, with a checksum; None selects all."""
    found = tuple(texts)
    if group is not None:
        named = tuple(each for each in found if group in {each.group.name, each.group.uuid})
        found = named or tuple(each for each in found if each.group.uuid.startswith(group))
    return tuple(
        each
        for each in found
        if (number is None or number == each.group.number) and (checksum_ is None or checksum_ == each.checksum)
    )


def _bytes_to_search(device: Device, found: Surveyed, most: int, problems: list[str]) -> Iterator[_Searched]:
    if found.label is not None:
        yield from _read_areas(device, found.label.metadata_areas, problems)
        return
    size = device.size
    spans = [Range(0, min(size, most))]
    if size > most:
        spans.append(Range(max(most, size - most), size - max(most, size - most)))
    for span in spans:
        data = _read(device, span, problems)
        areas = [*_areas_in(data, span.offset)]
        if not areas and span.offset == 0:
            areas = [DEFAULT_AREA]
        yield from _read_areas(device, areas, problems)
        if data:
            yield _Searched(device.path, span.offset, data, 0, wraps=False)


def _areas_in(data: bytes, begin: int) -> Iterator[Range]:
    """Areas whose header is in `data`, which begins at byte `begin` of its device."""
    at = data.find(layout.AREA_MAGIC)
    while at >= 0:
        header = at - layout.CHECKED_AREA
        try:
            found = parse_area_header(data[header : header + layout.AREA_HEADER_SIZE], begin + header)
        except DamagedError:
            pass
        else:
            yield Range(found.begin, found.size)
        at = data.find(layout.AREA_MAGIC, at + 1)


def _read_areas(device: Device, areas: Iterable[Range], problems: list[str]) -> Iterator[_Searched]:
    """The areas, even when their headers are damaged: whatever the slots then say is held against the texts."""
    left = MOST_READ
    for area in areas:
        if not left:
            problems.append(f"{device.path}: further areas are not searched")
            return
        length = min(area.size, left, max(0, device.size - area.offset))
        left -= length
        if length < area.size:
            problems.append(f"{device.path}: of the area at byte {area.offset} only {length} bytes are searched")
        if length <= layout.AREA_HEADER_SIZE:
            continue
        data = _read(device, Range(area.offset, length), problems)
        header = data[: layout.AREA_HEADER_SIZE]
        slots: dict[int, tuple[str, Location]] = {}
        for name, location in zip(("committed", "precommitted"), parse_slots(header), strict=True):
            if location is not None:
                slots.setdefault(location.offset, (name, location))
        wraps, sound = length == area.size, _is_sound(header, area.offset)
        yield _Searched(device.path, area.offset, data, layout.AREA_HEADER_SIZE, wraps, slots, sound)


def _is_sound(header: bytes, begin: int) -> bool:
    try:
        parse_area_header(header, begin)
    except DamagedError:
        return False
    return True


def _read(device: Device, span: Range, problems: list[str]) -> bytes:
    """The bytes; where some of them cannot be read, zeros in the place of those pages."""
    try:
        return read_bytes(device, span.offset, span.size)
    except DamagedError as error:
        problems.append(error.message)
        return b""
    except KernelError as error:
        problems.append(error.message)
    found = bytearray(span.size)
    failures = 0
    # Large pieces first, then the pages of those that fail; a dead disk, which may take seconds to say so, ends it.
    waiting = [(at, min(_STEP, span.size - at)) for at in range(0, span.size, _STEP)][::-1]
    while waiting and failures < _MOST_FAILURES:
        at, length = waiting.pop()
        try:
            found[at : at + length] = read_bytes(device, span.offset + at, length)
        except KernelError:
            failures += 1
            if length > _PAGE:
                waiting += [(page, min(_PAGE, at + length - page)) for page in range(at, at + length, _PAGE)][::-1]
    if waiting:
        problems.append(f"{device.path}: {failures} reads failed; what follows byte {span.offset + at} is not searched")
    return bytes(found)


def _texts(searched: _Searched) -> Iterator[tuple[FoundText, Place]]:
    for text in find_texts(searched.data, begin=searched.ring, wraps=searched.wraps):
        slot, location = searched.slots.get(text.offset, ("", None))
        checked = (
            location is not None
            and location.size == len(text.data) + 1
            and location.checksum == checksum(text.data, b"\0")
        )
        contradicted = searched.sound and location is not None and not checked
        yield text, Place(searched.path, searched.begin, text.offset, text.wrapped, slot, checked, contradicted)

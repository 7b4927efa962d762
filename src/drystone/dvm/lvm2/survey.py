"""What LVM2 has on each device: label, metadata areas, the texts that their headers point to.

Nothing here raises for what is wrong on a device: it becomes a problem of that device, one line of text, and the others
are looked at all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from drystone.base.errors import DamagedError, DrystoneError, KernelError
from drystone.formats.lvm2 import layout
from drystone.formats.lvm2.area import AreaHeader, Location, parse_area_header
from drystone.formats.lvm2.group import Group, parse_group
from drystone.formats.lvm2.label import HEAD_SIZE, Label, Range, find_label
from drystone.formats.lvm2.ring import check_text, pieces


class Device(Protocol):
    """What is read: `kernel.ranges.RangeDevice`, or bytes in a test. It raises KernelError when a read fails."""

    @property
    def path(self) -> str:
        """Its path."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`, which are inside."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a slot of an area's header points to.

    :ivar data: its bytes, when they are what was written. :ivar group: what they say.
    :ivar problem: why there is no group; "" when there is one.
    """

    location: Location
    data: bytes = b""
    group: Group | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """A metadata area, as the label has it. `header` is None when it cannot be used, and `problem` says why."""

    range: Range
    header: AreaHeader | None = None
    committed: Text | None = None
    precommitted: Text | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A device. `label` is None when it has none, or none that can be used: `problem` tells the difference."""

    path: str
    size: int
    label: Label | None = None
    areas: tuple[Area, ...] = ()
    problem: str = ""


class GroupParser:
    """Parses each text once: all devices of a group hold the same one."""

    def __init__(self) -> None:
        self._known: dict[bytes, Group | DamagedError] = {}

    def parse(self, data: bytes) -> Group:
        """The group. :raises DamagedError: as `parse_group`."""
        found = self._known.get(data)
        if found is None:
            try:
                found = parse_group(data)
            except DamagedError as error:
                found = error
            self._known[data] = found
        if isinstance(found, DamagedError):
            raise found
        return found


def read_bytes(device: Device, offset: int, length: int) -> bytes:
    """`length` bytes at `offset`.

    :raises DamagedError: they are beyond the end of the device.
    """
    if not 0 <= offset <= offset + length <= device.size:
        raise DamagedError(f"bytes {offset} to {offset + length} are beyond the end of {device.path}")
    return device.read(offset, length)


def survey(devices: Iterable[Device], parser: GroupParser | None = None) -> tuple[Surveyed, ...]:
    """What is on each device, in the order given."""
    known = parser or GroupParser()
    return tuple(_survey_device(device, known) for device in devices)


def _survey_device(device: Device, parser: GroupParser) -> Surveyed:
    try:
        label = find_label(read_bytes(device, 0, min(HEAD_SIZE, device.size)))
    except (DamagedError, KernelError) as error:
        return Surveyed(device.path, device.size, problem=error.message)
    if label is None:
        return Surveyed(device.path, device.size)
    areas = tuple(_survey_area(device, each, parser) for each in label.metadata_areas)
    return Surveyed(device.path, device.size, label, areas)


def _survey_area(device: Device, place: Range, parser: GroupParser) -> Area:
    try:
        header = parse_area_header(read_bytes(device, place.offset, layout.AREA_HEADER_SIZE), place.offset)
    except (DamagedError, KernelError) as error:
        return Area(place, problem=error.message)
    if header.size != place.size:
        return Area(place, problem=f"the area has {header.size} bytes, {place.size} in the label")
    return Area(
        place,
        header,
        _read_text(device, header, header.committed, parser),
        _read_text(device, header, header.precommitted, parser),
    )


def _read_text(device: Device, header: AreaHeader, location: Location | None, parser: GroupParser) -> Text | None:
    if location is None:
        return None
    try:
        found = [read_bytes(device, header.begin + at, length) for at, length in pieces(location, header.size)]
        data = check_text(b"".join(found), location)
        return Text(location, data, parser.parse(data))
    except DrystoneError as error:
        return Text(location, problem=error.message)

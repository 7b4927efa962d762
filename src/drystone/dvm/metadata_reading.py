"""Metadata to read: that of an active device, by a snapshot of it, or a metadata device or file that nobody writes to.

What is read of an active device goes past the page cache (O_DIRECT), as the kernel's own writes do.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drystone.base.errors import BusyError, DrystoneError, KernelError, NotFoundError, UsageError
from drystone.base.sizes import SECTOR
from drystone.dvm.metadata_snapshot import LOCKS, Kind, Run, held_metadata
from drystone.kernel.blockdev import BlockDevice, device_path, open_device
from drystone.kernel.dm.abc import DeviceInfo, DeviceMapper, DeviceNumber, TableLine
from drystone.kernel.dm.nodes import leads_to
from drystone.kernel.dm.targets import Era, ThinPool, parse_target
from drystone.kernel.dm.text import parse_ref


@dataclass(frozen=True, slots=True)
class Place:
    """Where metadata is.

    :ivar path: the metadata device, or a file.
    :ivar live: the active device whose metadata it is; None when it belongs to none.
    :ivar size: bytes of the active device; None when it is not known.
    """

    path: str
    live: DeviceInfo | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """Metadata that is open.

    :ivar location: the block of the superblock to go by; 0 for the live one of metadata that nobody writes to.
    """

    reader: BlockDevice
    location: int
    place: Place


def find_metadata(dm: DeviceMapper, text: str, kind: Kind) -> Place:
    """Where the metadata is that `text` means: a dm name, or the path of a dm device of that kind, or of a metadata
    device or file. A name that a device has is that device, even if there is a file of the same name.

    :raises UsageError: a device of another kind, or no text. :raises NotFoundError: neither a device nor a file.
    :raises KernelError: device-mapper cannot be asked.
    """
    if not text:
        raise UsageError(f"a name or a path is wanted: of the {kind.noun} or its metadata")
    number = leads_to(text) if text.startswith("/") else None
    if text.startswith("/") and number is None:
        return Place(text)
    try:
        found = _find_active(dm, number or text, kind)
    except DrystoneError as error:
        if number is None and Path(text).exists():
            return Place(text)
        if isinstance(error, KernelError) and error.errno == errno.ENXIO:
            raise NotFoundError(f"there is no {kind.noun} {text}, and no file of that name") from error
        raise
    if found is None:
        if number is None and not Path(text).exists():
            raise UsageError(f"{text} is no {kind.noun}", hint=f"drystone dm table {text}")
        return Place(text)
    return found


def _find_active(dm: DeviceMapper, ref: DeviceNumber | str, kind: Kind) -> Place | None:
    """The metadata of an active device of that kind; None: it is none."""
    try:
        info = dm.info(parse_ref(ref) if isinstance(ref, str) else ref)
        table = dm.table(info.number)
    except KernelError:
        if isinstance(ref, DeviceNumber):
            return None  # a block device that is not device-mapper's
        raise
    if len(table) != 1 or table[0].target != kind.target:
        return None
    return Place(device_path(_metadata_of(table[0])), info, table[0].length * SECTOR)


def _metadata_of(line: TableLine) -> DeviceNumber:
    target = parse_target(line)
    assert isinstance(target, Era | ThinPool)
    return DeviceNumber.parse(target.metadata)


@contextlib.contextmanager
def opened_metadata(
    dm: DeviceMapper,
    place: Place,
    kind: Kind,
    *,
    held: int | None = None,
    drain: bool = False,
    run: Run | None = None,
    locks: Path = LOCKS,
) -> Iterator[Opened]:
    """Open metadata for reading. Of an active device a snapshot is held for as long as the block runs.

    :param held: read the snapshot that is held at this block, and take none: its superblock tells where it is.
    :param drain: see `metadata_snapshot.take_snapshot`.
    :raises BusyError: the metadata device belongs to an active device. And as `held_metadata` and `open_device`.
    """
    if held is not None:
        with open_device(place.path) as reader:
            yield Opened(reader, held, place)
    elif place.live is not None:
        with (
            held_metadata(dm, place.live.number, kind, drain=drain, run=run, locks=locks) as location,
            open_device(place.path) as reader,
        ):
            yield Opened(reader, location, place)
    else:
        with _open_alone(place.path, kind) as reader:
            yield Opened(reader, 0, place)


def _open_alone(path: str, kind: Kind) -> BlockDevice:
    try:
        return open_device(path, exclusive=True)
    except BusyError as error:
        raise BusyError(
            f"{path} is in use",
            hint=f"name the {kind.noun} whose metadata it is, or read the snapshot that is held with -m",
            device=path,
        ) from error

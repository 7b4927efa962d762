"""Reads the labels of this machine's devices: the edge of `discover`. Nothing is written here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from drystone.base.errors import BusyError, DrystoneError, NotFoundError, UsageError
from drystone.dvm.discovery.filters import Filter, judge
from drystone.formats.label.label import LEAST_SIZE, Reading, choose_copy, last_page
from drystone.formats.label.layout import PAGE
from drystone.kernel.pages import PageDevice, open_pages
from drystone.kernel.together import run_together

if TYPE_CHECKING:
    from drystone.kernel.devices import BlockEntry

OWN_VOLUMES = "DRYSTONE-"
"""How the dm UUIDs of our own volumes begin. What is inside belongs to whoever uses the volume."""


class Place(msgspec.Struct, frozen=True):
    """Where labels are looked for.

    :ivar files: plain files that stand for devices. :ivar filters: of paths, files too.
    :ivar is_deep: whether our own volumes are looked into.
    """

    files: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    is_deep: bool = False
    has_devices: bool = True


class Found(msgspec.Struct, frozen=True):
    """A device or file, and what it says of itself.

    :ivar reading: None when it could not be read, or has no room for a label. :ivar problem: then, why.
    """

    path: str
    aliases: tuple[str, ...]
    size: int
    reading: Reading | None = None
    problem: str = ""


def scan(place: Place, *, entries: Callable[[], Sequence[BlockEntry]] | None = None) -> list[Found]:
    """Every device and file that the filters accept, with what is in its label's places. By path.

    :param entries: lists the block devices; this machine's when None.

    A device that cannot be read has its problem told; the others are found all the same.
    """
    found = _scan_files(list(_accepted_files(place)))
    for entry in (entries or _list_devices)() if place.has_devices else ():
        if not judge(place.filters, entry.aliases).is_accepted:
            continue
        if entry.mapper_uuid.startswith(OWN_VOLUMES) and not place.is_deep:
            continue
        if entry.is_suspended:
            problem = "it is suspended: reading it would wait"
            found.append(Found(entry.path, entry.aliases[1:], entry.size, problem=problem))
        else:
            found.append(_read(entry.path, entry.aliases[1:], entry.size))
    return sorted(found, key=lambda each: each.path)


def _list_devices() -> Sequence[BlockEntry]:
    from drystone.kernel.devices import list_block_devices

    return list_block_devices()


def read_reading(device: PageDevice) -> Reading:
    """What an open device carries. :raises UsageError: it is too small for a label."""
    if device.size < LEAST_SIZE:
        raise UsageError(f"{device.path} has {device.size} bytes, a labelled device has {LEAST_SIZE} or more")
    return choose_copy(device.read(0, 1), device.read(last_page(device.size) // PAGE, 1), device.size)


def to_absolute(path: str) -> str:
    """The whole path, links and `..` as they are."""
    whole = path if path.startswith("/") else f"{os.getcwd()}/{path}"  # noqa: PTH109  # as below
    if "//" not in whole and "/./" not in whole and not whole.endswith(("/", "/.")):
        return whole
    from pathlib import Path  # a tool that is given plain paths starts without it

    return str(Path(path).absolute())


def _accepted_files(place: Place) -> Iterable[str]:
    """Each file once, by its whole path."""
    paths = dict.fromkeys(to_absolute(file) for file in place.files)
    return [path for path in paths if judge(place.filters, [path]).is_accepted]


def _scan_files(paths: Sequence[str]) -> list[Found]:
    """At once, where they are slow."""
    found: dict[str, Found] = {}

    def note(path: str) -> None:
        found[path] = _scan_file(path)

    run_together([[partial(note, path)] for path in paths])
    return [found[path] for path in paths]


def _scan_file(path: str) -> Found:
    found = _read(path, (), 0)
    if not found.problem:
        return found
    try:
        size = os.stat(path).st_size  # noqa: PTH116  # as above
    except OSError as error:
        return Found(path, (), 0, problem=f"it cannot be read: {error.strerror}")
    return msgspec.structs.replace(found, size=size)


def _read(path: str, aliases: tuple[str, ...], size: int) -> Found:
    try:
        with open_pages(path) as device:
            if device.size < LEAST_SIZE:
                return Found(path, aliases, device.size)
            return Found(path, aliases, device.size, read_reading(device))
    except (NotFoundError, BusyError, UsageError) as error:
        return Found(path, aliases, size, problem=error.message)
    except DrystoneError as error:
        return Found(path, aliases, size, problem=f"it cannot be read: {error.message}")

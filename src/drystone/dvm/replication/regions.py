"""Regions: which pages of which devices or plain files hold a group's metadata, and reading and writing them.

    [{"path": "/dev/sda", "begin": 1, "end": 257}, ...]

Pages of 4096 bytes, `end` exclusive.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Protocol

import msgspec

from drystone.base.documents import decode
from drystone.base.errors import BusyError, DrystoneError, KernelError, NotFoundError, UsageError

PAGE = 4096
"""Bytes in a page."""
MOST_PAGES = 1 << 48
"""Where a region may end: at 1 EiB."""

_AHEAD = 32
"""Pages: eight versions of a hundred volumes lie in little more."""

_EXAMPLE = 'regions look so: [{"path": "/dev/sda", "begin": 1, "end": 257}]'


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pages [begin, end) of the device or plain file at `path`."""

    path: str
    begin: int
    end: int

    @property
    def pages(self) -> int:
        """Pages of 4096 bytes."""
        return self.end - self.begin

    @property
    def name(self) -> str:
        """For messages: `/dev/sda[1:257]`."""
        return f"{self.path}[{self.begin}:{self.end}]"


class RegionDevice(Protocol):
    """A region that can be read and written. Pages are 4096 bytes and count from the region's beginning.

    Methods raise a DrystoneError where the device fails: KernelError with errno as a rule.

    :ivar name: for messages. :ivar pages: of the region.
    :ivar is_cached: whether there is a page cache between: reads may show what a failed flush did not write.
    """

    @property
    def name(self) -> str: ...

    @property
    def pages(self) -> int: ...

    @property
    def is_cached(self) -> bool: ...

    def read(self, page: int, count: int) -> bytes:
        """`count` pages from `page` on."""

    def write(self, page: int, data: bytes) -> None:
        """Write whole pages from `page` on; durable after `flush`."""

    def flush(self) -> None:
        """fdatasync: all that was written before is durable when this returns."""


def parse_regions(data: bytes | str, what: str = "regions") -> tuple[Region, ...]:
    """Regions from their JSON text, checked by `check_regions`.

    :raises UsageError: no JSON, another schema, or regions that cannot be.
    """
    try:
        regions = decode(data, tuple[Region, ...], what)
    except UsageError as error:
        raise UsageError(error.message, hint=_EXAMPLE) from error
    check_regions(regions, what)
    return regions


def check_regions(regions: Sequence[Region], what: str = "regions") -> None:
    """Check what the schema cannot say: there is one at least, each has pages, none overlaps another of its path.

    :raises UsageError: naming the region and what is wrong with it.
    """
    if not regions:
        raise UsageError(f"{what}: there is none", hint=_EXAMPLE)
    for region in regions:
        if not region.path or "\0" in region.path:
            raise UsageError(f"{what}: {region.path!r} is no path", hint=_EXAMPLE)
        if not 0 <= region.begin < region.end <= MOST_PAGES:
            raise UsageError(f"{what}: {region.name} has no pages", hint="0 <= begin < end, in pages of 4096 bytes")
    _refuse_overlaps([((region.path,), region) for region in regions])


@contextlib.contextmanager
def open_regions(
    regions: Sequence[Region], *, write: bool = False, tolerant: bool = False
) -> Iterator[tuple[RegionDevice, ...]]:
    """The regions, open, in the order given. A device is opened once, whatever number of regions it has.

    Nothing is locked: whoever changes regions holds `drystone.kernel.pages.locked_paths` around it.

    :param write: else `write` fails. :param tolerant: a device that cannot be opened fails at each call, instead of
        now.
    :raises UsageError: a region is not within its device, or two overlap (also by other paths of one device).
    :raises NotFoundError: no such device. :raises KernelError: other refusals.
    """
    from drystone.kernel.pages import PageDevice, open_pages

    check_regions(regions)
    places = [_place_of(region.path) for region in regions]
    _refuse_overlaps(list(zip(places, regions, strict=True)))
    opened: dict[tuple[object, ...], PageDevice] = {}
    devices: list[RegionDevice] = []
    with contextlib.ExitStack() as stack:
        for place, region in zip(places, regions, strict=True):
            try:
                if place not in opened:
                    opened[place] = stack.enter_context(open_pages(region.path, write=write))
                devices.append(_within(region, opened[place]))
            except (NotFoundError, KernelError, BusyError) as error:
                if not tolerant:
                    raise
                devices.append(AbsentRegion(region, error))
        yield tuple(devices)


class Pages(Protocol):
    """What a region needs of its device, as drystone.kernel.pages.PageDevice has it; `pages` counts the whole ones."""

    pages: int
    is_cached: bool

    def read(self, page: int, count: int) -> bytes: ...

    def viewed(self, page: int, count: int) -> AbstractContextManager[memoryview]: ...

    def write(self, page: int, data: bytes) -> None: ...

    def flush(self) -> None: ...


class FileRegion:
    """A region of an open device or file."""

    def __init__(self, region: Region, file: Pages) -> None:
        self.region = region
        self.file = file
        self._ahead = memoryview(b"")

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """In the block, which writes nothing, the region's first pages are read by one call: metadata begin there."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(DrystoneError):  # one bad page among them: whoever wants that one is told
                self._ahead = stack.enter_context(self.file.viewed(self.region.begin, min(_AHEAD, self.region.pages)))
            try:
                yield
            finally:
                self._ahead = memoryview(b"")

    @property
    def name(self) -> str:
        return self.region.name

    @property
    def pages(self) -> int:
        return self.region.pages

    @property
    def is_cached(self) -> bool:
        return self.file.is_cached

    def read(self, page: int, count: int) -> bytes:
        self._check(page, count)
        if (page + count) * PAGE <= len(self._ahead):
            return bytes(self._ahead[page * PAGE : (page + count) * PAGE])
        return self.file.read(self.region.begin + page, count)

    def write(self, page: int, data: bytes) -> None:
        self._check(page, len(data) // PAGE)
        self._ahead = memoryview(b"")
        self.file.write(self.region.begin + page, data)

    def flush(self) -> None:
        self.file.flush()

    def _check(self, page: int, count: int) -> None:
        """Nothing outside the region is touched, whatever a caller believes."""
        if page < 0 or count < 1 or page + count > self.region.pages:
            raise UsageError(f"pages {page} to {page + count} are not within {self.name}")


class AbsentRegion:
    """A region whose device could not be opened: every call tells why."""

    def __init__(self, region: Region, reason: DrystoneError) -> None:
        self.region = region
        self.reason = reason

    @property
    def name(self) -> str:
        return self.region.name

    @property
    def pages(self) -> int:
        return self.region.pages

    @property
    def is_cached(self) -> bool:
        return False

    def read(self, page: int, count: int) -> bytes:  # noqa: ARG002  # the Protocol's
        raise self.reason

    def write(self, page: int, data: bytes) -> None:  # noqa: ARG002  # likewise
        raise self.reason

    def flush(self) -> None:
        raise self.reason


def _within(region: Region, file: Pages) -> FileRegion:
    """:raises UsageError: it is not within its device."""
    if region.end > file.pages:
        raise UsageError(
            f"{region.name} ends behind its device, which has {file.pages} pages", hint="pages have 4096 bytes"
        )
    return FileRegion(region, file)


def _refuse_overlaps(placed: Sequence[tuple[tuple[object, ...], Region]]) -> None:
    """:raises UsageError: two regions share a page of one device."""
    ordered = sorted(placed, key=lambda each: (str(each[0]), each[1].begin))
    for (place, one), (other_place, other) in pairwise(ordered):
        if place == other_place and other.begin < one.end:
            raise UsageError(f"regions {one.name} and {other.name} overlap", hint="name every page once, by one path")


def _place_of(path: str) -> tuple[object, ...]:
    """Equal for two paths that lead to one device or one file."""
    try:
        found = os.stat(path)  # noqa: PTH116  # a tool that reads a few pages starts without pathlib
    except OSError:
        return "path", path
    return ("device", found.st_rdev) if stat.S_ISBLK(found.st_mode) else ("file", found.st_dev, found.st_ino)

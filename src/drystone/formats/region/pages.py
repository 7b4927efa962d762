"""The pages behind page 0: data, tables, roots. Who refers to a page holds its digest, so heads are only for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from drystone.base.errors import DamagedError
from drystone.formats.region.layout import (
    ENTRIES,
    ENTRY,
    LONGEST_DATA,
    MOST_KEPT,
    NO_DIGEST,
    PAGE,
    PAGE_HEAD,
    PAGE_MAGIC,
    RECORD,
    ROOM,
    VERSION,
    count_levels,
)
from drystone.formats.region.transactions import Change, digest, digest_chunk

DATA, TABLE, ROOT_PAGE = 1, 2, 3
"""Kinds of pages."""

_PAGES_AT_ONCE = 256


class PageReader(Protocol):
    """Reads whole pages of 4096 bytes.

    :ivar name: for messages. :ivar pages: how many there are.
    """

    @property
    def name(self) -> str: ...

    @property
    def pages(self) -> int: ...

    def read(self, page: int, count: int) -> bytes:
        """`count` pages from `page` on."""


class Entry(Struct, frozen=True):
    """What a table says of one page: a data page by the digest of its chunk, a table by that of the whole page."""

    page: int
    digest: bytes


class Version(Struct, frozen=True):
    """A transaction, and where its data are in this region.

    :ivar top: the top table; None when there are no data.
    """

    change: Change
    top: Entry | None

    @property
    def levels(self) -> int:
        """Levels of tables."""
        return count_levels(self.change.length)


def build_page(kind: int, change: Change, body: bytes, *, used: int, level: int = 0, first: int = 0) -> bytes:
    """A whole page.

    :param change: the transaction that writes it. :param used: bytes of data, or entries.
    :param first: number of the first chunk below it.
    """
    head = PAGE_HEAD.pack(
        PAGE_MAGIC, VERSION, kind, level, used, change.group.bytes, change.sequence, first, change.hash
    )
    return (head + body).ljust(PAGE, b"\0")


def build_table(entries: Sequence[Entry]) -> bytes:
    """The body of a table."""
    return b"".join(ENTRY.pack(entry.page, entry.digest) for entry in entries)


def build_versions(versions: Sequence[Version]) -> bytes:
    """The body of a root page."""
    return b"".join(
        RECORD.pack(
            each.change.sequence,
            each.change.length,
            each.top.page if each.top else 0,
            each.levels,
            each.change.content,
            each.change.parent,
            each.top.digest if each.top else NO_DIGEST,
        )
        for each in versions
    )


def _is_chunk(data: bytes, expected: bytes) -> bool:
    return digest_chunk(data) == expected


def _is_page(data: bytes, expected: bytes) -> bool:
    return digest(data) == expected


PageCheck = Callable[[bytes, bytes], bool]
PAGE_CHECKS: Mapping[str, PageCheck] = MappingProxyType({"chunk": _is_chunk, "table": _is_page, "root": _is_page})
"""What makes the content of a page the expected one, by what it is. A value, so that a test can leave one out."""


class Pages:
    """Reads and checks the pages of one region. No page outside it is asked for.

    :param group: whose region it is.
    """

    def __init__(self, reader: PageReader, group: UUID, checks: Mapping[str, PageCheck] = PAGE_CHECKS) -> None:
        self.reader = reader
        self.group = group
        self._checks = checks

    def read_page(self, page: int) -> bytes:
        """:raises DamagedError: it is not within the region."""
        if not 0 < page < self.reader.pages:
            raise self.damaged(page, "is referred to, and is not within the region")
        return self.reader.read(page, 1)

    def read_chunks(self, lengths: Mapping[Entry, int]) -> Iterator[tuple[Entry, bytes]]:
        """The chunks in data pages, in the order of these; neighbours are read together.

        :param lengths: bytes of each chunk.
        """
        run: list[Entry] = []
        for entry in sorted(lengths, key=lambda each: each.page):
            if run and (entry.page != run[-1].page + 1 or len(run) == _PAGES_AT_ONCE):
                yield from self._read_run(run, lengths)
                run = []
            run.append(entry)
        if run:
            yield from self._read_run(run, lengths)

    def _read_run(self, run: Sequence[Entry], lengths: Mapping[Entry, int]) -> Iterator[tuple[Entry, bytes]]:
        """Chunks in neighbouring pages."""
        for entry in (run[0], run[-1]):
            if not 0 < entry.page < self.reader.pages:
                raise self.damaged(entry.page, "is referred to, and is not within the region")
        data = self.reader.read(run[0].page, len(run))
        for number, entry in enumerate(run):
            begin = number * PAGE + PAGE_HEAD.size
            chunk = data[begin : begin + lengths[entry]]
            self._require("chunk", entry, chunk)
            yield entry, chunk

    def read_table(self, entry: Entry, count: int) -> tuple[Entry, ...]:
        """The `count` entries of a table."""
        data = self.read_page(entry.page)
        self._require("table", entry, data)
        if not 0 < count <= ENTRIES:
            raise self.damaged(entry.page, "should hold an impossible number of entries")
        return _unpack_entries(data[PAGE_HEAD.size :][: count * ENTRY.size])

    def read_versions(self, entry: Entry) -> tuple[Version, ...]:
        """The versions of a root page, newest first; each one is the parent of the one before it."""
        data = self.read_page(entry.page)
        self._require("root", entry, data)
        used = PAGE_HEAD.unpack_from(data)[4]
        if not 0 < used <= MOST_KEPT:
            raise self.damaged(entry.page, f"holds {used} versions")
        versions, problem = _unpack_versions(data[PAGE_HEAD.size :][: used * RECORD.size], self.group)
        if problem:
            raise self.damaged(entry.page, problem)
        return versions

    def damaged(self, page: int, what: str) -> DamagedError:
        """The error that tells of a page."""
        return DamagedError(f"{self.reader.name}: page {page} {what}", device=self.reader.name, page=page)

    def _require(self, kind: str, entry: Entry, data: bytes) -> None:
        check = self._checks.get(kind)
        if check is not None and not check(data, entry.digest):
            raise self.damaged(entry.page, f"is not the {kind} that was written")


@lru_cache(maxsize=64)
def _unpack_entries(body: bytes) -> tuple[Entry, ...]:
    """The entries of a table. All regions of a group have the same ones as a rule: they are taken apart once."""
    return tuple(Entry(page, digest_) for page, digest_ in ENTRY.iter_unpack(body))


@lru_cache(maxsize=8)
def _unpack_versions(body: bytes, group: UUID) -> tuple[tuple[Version, ...], str]:
    """The versions of a root page, and what is wrong with them. All regions have the same ones, as above."""
    versions: list[Version] = []
    for sequence, length, page, levels, content, parent, digest_ in RECORD.iter_unpack(body):
        version = Version(Change(group, sequence, length, parent, content), Entry(page, digest_) if length else None)
        if length > LONGEST_DATA or levels != version.levels:
            return (), f"holds a version of {length} bytes in {levels} levels"
        if versions and (
            versions[-1].change.parent != version.change.hash or versions[-1].change.sequence != sequence + 1
        ):
            return (), "holds versions of two lines"
        versions.append(version)
    return tuple(versions), ""


def chunk_length(length: int, number: int) -> int:
    """Bytes of chunk `number` of a version of `length` bytes."""
    return min(ROOM, length - number * ROOM)

"""The pages of a new version, and where they go: into pages that nothing refers to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from drystone.base.errors import ExhaustedError
from drystone.formats.region.layout import ENTRIES, PAGE
from drystone.formats.region.pages import (
    DATA,
    ROOT_PAGE,
    TABLE,
    Entry,
    Version,
    build_page,
    build_table,
    build_versions,
)
from drystone.formats.region.slots import Root
from drystone.formats.region.transactions import Change, cut, digest, digest_chunk
from drystone.formats.region.trees import Reached


class Common(Struct):
    """What drafts of the same versions for several regions have alike, made once and kept once: whatever is not about
    places. Threads may share it.
    """

    _chunks: dict[Change, tuple[tuple[bytes, bytes], ...]] = field(default_factory=dict)
    _pages: dict[tuple[int, Change, bytes, int, int, int], bytes] = field(default_factory=dict)

    def cut(self, change: Change, data: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """The chunks of a transaction's data, each behind its digest."""
        found = self._chunks.get(change)
        if found is None:
            found = self._chunks[change] = tuple((digest_chunk(chunk), chunk) for chunk in cut(data))
        return found

    def build_page(self, kind: int, change: Change, body: bytes, *, used: int, level: int = 0, first: int = 0) -> bytes:
        """As the function of that name."""
        key = kind, change, body, used, level, first
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = build_page(kind, change, body, used=used, level=level, first=first)
        return page


class Draft(Struct):
    """Pages to be written to one region; nothing is written here.

    :ivar reached: what is there already, and what was drafted.
    :ivar shared: data pages that are used again, by page: (digest, bytes). Whoever writes the draft reads them first.
    :ivar versions: what was drafted, newest first. :ivar pages: new pages by number.
    :ivar common: what it has alike with the drafts for other regions.
    """

    name: str
    region_pages: int
    reached: Reached
    shared: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)
    pages: dict[int, bytes] = field(default_factory=dict)
    common: Common = field(default_factory=Common)
    _next: int = 1

    def add_version(self, change: Change, data: bytes) -> Version:
        """Draft the data and tables of a transaction.

        :raises ExhaustedError: the region is full.
        """
        entries = [self._add_chunk(change, number, *each) for number, each in enumerate(self.common.cut(change, data))]
        level, span = 0, 1
        while len(entries) > 1 or (entries and not level):
            level, span = level + 1, span * ENTRIES
            entries = [
                self._add_table(change, level, at * span // ENTRIES, entries[at : at + ENTRIES])
                for at in range(0, len(entries), ENTRIES)
            ]
        version = Version(change, entries[0] if entries else None)
        self.versions.insert(0, version)
        return version

    def add_root(self, versions: Sequence[Version]) -> Root:
        """Draft the root page over these versions, newest first.

        :raises ExhaustedError: the region is full.
        """
        newest = versions[0].change
        page = self._take_page()
        self.pages[page] = self.common.build_page(ROOT_PAGE, newest, build_versions(versions), used=len(versions))
        return Root(newest.sequence, newest.length, page, newest.hash, newest.parent, digest(self.pages[page]))

    def _add_chunk(self, change: Change, number: int, known: bytes, chunk: bytes) -> Entry:
        page = self.reached.chunks.get(known)
        if page is None:
            page = self._take_page()
            self.pages[page] = self.common.build_page(DATA, change, chunk, used=len(chunk), first=number)
            self.reached.chunks[known] = page
        elif page not in self.pages:
            self.shared[page] = known, len(chunk)
        return Entry(page, known)

    def _add_table(self, change: Change, level: int, first: int, entries: Sequence[Entry]) -> Entry:
        body = build_table(entries)
        known = self.reached.tables.get((level, body))
        if known is not None:
            return known
        page = self._take_page()
        self.pages[page] = self.common.build_page(TABLE, change, body, used=len(entries), level=level, first=first)
        entry = Entry(page, digest(self.pages[page]))
        self.reached.tables[level, body] = entry
        return entry

    def _take_page(self) -> int:
        """The lowest free page."""
        while self._next in self.reached.used:
            self._next += 1
        if self._next >= self.region_pages:
            raise ExhaustedError(
                f"{self.name} is full: its {self.region_pages} pages do not hold the versions that are kept",
                hint="give the group larger regions, or keep fewer versions",
                device=self.name,
            )
        self.reached.used.add(self._next)
        return self._next


def list_runs(pages: dict[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """Neighbouring pages together: (first page, bytes), ascending."""
    first, parts = 0, list[bytes]()
    for page in sorted(pages):
        if parts and page != first + len(parts):
            yield first, b"".join(parts)
            parts = []
        if not parts:
            first = page
        parts.append(pages[page])
    if parts:
        yield first, b"".join(parts)


def first_root(change: Change) -> tuple[Root, bytes]:
    """The root of a new region, and its page, which is page 1."""
    data = build_page(ROOT_PAGE, change, build_versions([Version(change, None)]), used=1)
    assert len(data) == PAGE
    return Root(change.sequence, change.length, 1, change.hash, change.parent, digest(data)), data

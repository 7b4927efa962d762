"""Pages are read within their region alone, neighbours together, and are what was written or are refused."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from uuid import UUID

import pytest
from blake3 import blake3
from msgspec.structs import replace

from drystone.base.errors import DamagedError
from drystone.formats.region.layout import PAGE
from drystone.formats.region.pages import DATA, ROOT_PAGE, Entry, Pages, Version, build_page, build_versions
from drystone.formats.region.slots import Root
from drystone.formats.region.transactions import Change, digest, digest_chunk, first_change, next_change
from drystone.formats.region.trees import read_root

GROUP = UUID(int=1)
FIRST = first_change(GROUP)
SECOND = next_change(FIRST, b"a")
THIRD = next_change(SECOND, b"")


class Memory:
    """Pages in a dict, zeros elsewhere; notes what is read."""

    name = "memory"

    def __init__(self, pages: int, content: dict[int, bytes]) -> None:
        self.pages = pages
        self.content = content
        self.reads: list[tuple[int, int]] = []

    def read(self, page: int, count: int) -> bytes:
        assert 0 < page < page + count <= self.pages
        self.reads.append((page, count))
        return b"".join(self.content.get(at, bytes(PAGE)) for at in range(page, page + count))


def with_data(numbers: Sequence[int], size: int = 1000) -> tuple[Memory, dict[Entry, int]]:
    """Data pages at these places, each with a chunk of one byte; and the length of each."""
    chunk = {number: bytes([number % 251]) for number in numbers}
    content = {number: build_page(DATA, SECOND, data, used=1) for number, data in chunk.items()}
    return Memory(size, content), {Entry(number, digest_chunk(data)): 1 for number, data in chunk.items()}


def test_pages_within_the_region_alone() -> None:
    memory = Memory(16, {1: b"a" * PAGE, 15: b"z" * PAGE})
    pages = Pages(memory, GROUP)
    assert (pages.read_page(1)[:1], pages.read_page(15)[:1]) == (b"a", b"z")
    for page in (0, 16, 1 << 63):
        with pytest.raises(DamagedError, match=f"page {page} is referred to, and is not within the region"):
            pages.read_page(page)
        with pytest.raises(DamagedError, match="is not within the region"):
            list(pages.read_chunks({Entry(page, b""): 1}))
    assert memory.reads == [(1, 1), (15, 1)]


def test_neighbours_are_read_together_and_not_without_end() -> None:
    memory, lengths = with_data([9, 3, 5, 4])
    found = list(Pages(memory, GROUP).read_chunks(lengths))
    assert [(entry.page, chunk) for entry, chunk in found] == [(page, bytes([page])) for page in (3, 4, 5, 9)]
    assert memory.reads == [(3, 3), (9, 1)]
    memory, lengths = with_data(range(1, 601))
    assert len(list(Pages(memory, GROUP).read_chunks(lengths))) == 600
    assert memory.reads == [(1, 256), (257, 256), (513, 88)]


def test_a_chunk_that_is_another_is_refused() -> None:
    memory, lengths = with_data([3, 4])
    memory.content[4] = memory.content[3]
    with pytest.raises(DamagedError, match="page 4 is not the chunk that was written"):
        list(Pages(memory, GROUP).read_chunks(lengths))


def test_as_many_entries_as_a_table_has_room_for() -> None:
    body = b"".join(struct.pack("<Q32s", number, bytes([number]) * 32) for number in range(100))
    table = build_page(2, SECOND, body, used=100, level=1)
    pages = Pages(Memory(16, {5: table}), GROUP)
    entry = Entry(5, blake3(table).digest())
    assert pages.read_table(entry, 100)[99] == Entry(99, bytes([99]) * 32)
    assert pages.read_table(entry, 1) == (Entry(0, bytes(32)),)
    for count in (0, 101):
        with pytest.raises(DamagedError, match="impossible number of entries"):
            pages.read_table(entry, count)
    with pytest.raises(DamagedError, match="page 5 is not the table that was written"):
        pages.read_table(Entry(5, bytes(32)), 1)


def versions_of(*changes: Change, used: int | None = None) -> tuple[Version, ...]:
    """What is read of a root page that holds these."""
    versions = [Version(change, Entry(9, b"t" * 32) if change.length else None) for change in changes]
    page = build_page(ROOT_PAGE, changes[0], build_versions(versions), used=len(versions) if used is None else used)
    return Pages(Memory(16, {1: page}), GROUP).read_versions(Entry(1, digest(page)))


def test_versions_of_one_line() -> None:
    assert [version.change for version in versions_of(THIRD, SECOND, FIRST)] == [THIRD, SECOND, FIRST]
    assert [version.levels for version in versions_of(THIRD, SECOND)] == [0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ((THIRD, FIRST), "holds versions of two lines"),
        ((replace(SECOND, sequence=2), FIRST), "holds versions of two lines"),
        ((replace(SECOND, parent=b"p" * 32), FIRST), "holds versions of two lines"),
        ((replace(SECOND, length=(64 << 20) + 1),), "holds a version of 67108865 bytes"),
    ],
)
def test_versions_that_cannot_be(changes: tuple[Change, ...], message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        versions_of(*changes)


def test_as_many_versions_as_a_root_page_has_room_for() -> None:
    line = [FIRST]
    for _ in range(30):
        line.insert(0, next_change(line[0], b""))
    assert len(versions_of(*line)) == 31
    for used in (0, 32):
        with pytest.raises(DamagedError, match=f"holds {used} versions"):
            versions_of(*line, used=used)


def test_the_depth_of_a_version_is_that_of_its_length() -> None:
    page = bytearray(build_page(ROOT_PAGE, SECOND, build_versions([Version(SECOND, Entry(9, b"t" * 32))]), used=1))
    page[96 + 24] = 2
    with pytest.raises(DamagedError, match="holds a version of 1 bytes in 2 levels"):
        Pages(Memory(16, {1: bytes(page)}), GROUP).read_versions(Entry(1, digest(bytes(page))))


@pytest.mark.parametrize("change", [{"hash": b"x" * 32}, {"sequence": 2}, {"length": 2}])
def test_a_root_page_is_that_of_its_slot(change: dict[str, object]) -> None:
    page = build_page(ROOT_PAGE, SECOND, build_versions([Version(SECOND, Entry(9, b"t" * 32))]), used=1)
    root = Root(1, 1, 1, SECOND.hash, FIRST.hash, digest(page))
    pages = Pages(Memory(16, {1: page}), GROUP)
    assert read_root(pages, root)[0].change == SECOND
    with pytest.raises(DamagedError, match="page 1 holds another transaction than the slot"):
        read_root(pages, replace(root, **change))
    with pytest.raises(DamagedError, match="page 1 is not the root that was written"):
        read_root(pages, replace(root, digest=bytes(32)))

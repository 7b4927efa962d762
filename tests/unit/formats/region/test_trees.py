"""What is drafted is reached again, and a tree that leads to other data than its transaction's is refused."""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec.structs import replace

from drystone.base.errors import DamagedError, ExhaustedError
from drystone.formats.region.drafts import Common, Draft, list_runs
from drystone.formats.region.layout import PAGE, PAGE_HEAD
from drystone.formats.region.pages import PAGE_CHECKS, TABLE, Entry, Pages, Version, build_page, build_table
from drystone.formats.region.transactions import Change, digest, digest_chunk, digest_content, first_change, next_change
from drystone.formats.region.trees import Reached, list_chunks, reach, read_data, walk_tables

GROUP = UUID(int=1)
FIRST = first_change(GROUP)
LONG = b"".join(bytes([number]) * 4000 for number in range(250)) + b"end"
"""251 chunks: three tables, and one above them."""


class Memory:
    """Pages in a dict."""

    name = "memory"

    def __init__(self, content: dict[int, bytes]) -> None:
        self.pages = 400
        self.content = content

    def read(self, page: int, count: int) -> bytes:
        return b"".join(self.content[at] for at in range(page, page + count))


def draft_of(data: bytes, reached: Reached | None = None, *, pages: int = 400) -> tuple[Draft, Version]:
    draft = Draft("memory", pages, Reached() if reached is None else reached)
    return draft, draft.add_version(next_change(FIRST, data), data)


def test_a_tree_of_two_levels() -> None:
    draft, version = draft_of(LONG)
    pages = Pages(Memory(draft.pages), GROUP)
    assert (version.levels, len(draft.pages)) == (2, 251 + 3 + 1)
    assert read_data(pages, version) == LONG
    walked = [(level, len(entries)) for _, _, level, entries in walk_tables(pages, version)]
    assert walked == [(2, 3), (1, 100), (1, 100), (1, 51)]
    assert list(walk_tables(pages, Version(FIRST, None))) == []


def test_heads_say_which_chunks_are_below() -> None:
    draft, _ = draft_of(LONG)
    heads = [PAGE_HEAD.unpack_from(draft.pages[page]) for page in sorted(draft.pages)]
    told = [(kind, level, used, first) for _, _, kind, level, used, _, _, first, _ in heads]
    assert told[:251] == [(1, 0, 4000 if number < 250 else 3, number) for number in range(251)]
    assert told[251:] == [(2, 1, 100, 0), (2, 1, 100, 100), (2, 1, 51, 200), (2, 2, 3, 0)]


def test_drafts_for_several_regions_have_their_pages_in_common() -> None:
    """Wherever they go; what says where something is, is each region's own."""
    common, change = Common(), next_change(FIRST, LONG)
    one, same, other = (Draft("memory", 400, Reached(used={0, *range(1, free)}), common=common) for free in (1, 1, 50))
    versions = [draft.add_version(change, LONG) for draft in (one, same, other)]
    roots = [draft.add_root([version]) for draft, version in zip((one, same, other), versions, strict=True)]
    assert len(one.pages) == 251 + 3 + 1 + 1
    assert all(one.pages[page] is same.pages[page] for page in one.pages)
    assert sum(one.pages[page] is other.pages[page + 49] for page in one.pages) == 251
    assert roots[0] == roots[1] != roots[2]
    for draft, version in zip((one, same, other), versions, strict=True):
        assert read_data(Pages(Memory(draft.pages), GROUP), version) == LONG
    later = next_change(change, b"x")
    assert one.add_version(later, b"x").change == later
    assert draft_of(LONG)[0].pages == {page: one.pages[page] for page in list(one.pages)[:255]}


def test_all_that_a_root_leads_to_is_used() -> None:
    draft, version = draft_of(LONG)
    old = Version(FIRST, None)
    root = draft.add_root([version, old])
    found = reach(Pages(Memory(draft.pages), GROUP), [root, root])
    assert found.used == {0, *draft.pages}
    assert found.chunks[digest_chunk(b"end")] in draft.pages
    assert set(found.tables) == {
        (level, body) for _, body, level, _ in walk_tables(Pages(Memory(draft.pages), GROUP), version)
    }
    assert set(found.chunks) == {digest_chunk(LONG[at : at + 4000]) for at in range(0, len(LONG), 4000)}


def test_what_is_there_is_used_again_and_told() -> None:
    first, version = draft_of(b"a" * 4000 + b"b" * 4000)
    reached = reach(Pages(Memory(first.pages), GROUP), [first.add_root([version])])
    second, _ = draft_of(b"b" * 4000 + b"c" * 4000 + b"c" * 4000, reached)
    assert len(second.pages) == 2, "one chunk and one table"
    assert second.shared == {reached.chunks[digest_chunk(b"b" * 4000)]: (digest_chunk(b"b" * 4000), 4000)}
    same, again = draft_of(b"a" * 4000 + b"b" * 4000, reached)
    assert same.pages == {}
    assert again.top == version.top


def test_a_region_that_is_full() -> None:
    draft, _ = draft_of(b"a", pages=3)
    assert set(draft.pages) == {1, 2}
    with pytest.raises(ExhaustedError, match="memory is full: its 3 pages do not hold"):
        draft.add_root([Version(FIRST, None)])


def changed(change: Change, **fields: object) -> Change:
    return replace(change, **fields)


def test_a_tree_of_other_data_is_refused() -> None:
    draft, version = draft_of(LONG)
    _, other = draft_of(LONG[::-1])
    pages = Pages(Memory(draft.pages), GROUP)
    wrong = Version(changed(version.change, content=other.change.content), version.top)
    assert version.top is not None
    for read in (list_chunks, read_data):
        with pytest.raises(DamagedError, match=f"page {version.top.page} leads to other data than the transaction's"):
            read(pages, wrong)


def test_two_chunks_of_one_page_have_one_length() -> None:
    """The last chunk may be shorter: one that is said to be the same as a whole one would leave bytes out."""
    digests = [digest_chunk(b"a" * 4000)] * 2
    table = build_page(TABLE, FIRST, build_table([Entry(1, each) for each in digests]), used=2, level=1)
    memory = Memory({1: bytes(96) + b"a" * 4000, 2: table})
    change = changed(FIRST, length=4001, content=digest_content(digests))
    version = Version(change, Entry(2, digest(table)))
    with pytest.raises(DamagedError, match="page 1 is not the chunk that was written"):
        read_data(Pages(memory, GROUP), version)
    trusting = {name: check for name, check in PAGE_CHECKS.items() if name != "chunk"}
    with pytest.raises(DamagedError, match="page 2 leads to 2 bytes instead of 4001"):
        read_data(Pages(memory, GROUP, trusting), version)


def test_neighbouring_pages_are_written_together() -> None:
    pages = {number: bytes([number]) * PAGE for number in (7, 2, 3, 9, 8, 5)}
    assert [(first, [data[at] for at in range(0, len(data), PAGE)]) for first, data in list_runs(pages)] == [
        (2, [2, 3]),
        (5, [5]),
        (7, [7, 8, 9]),
    ]
    assert list(list_runs({})) == []

"""What is reached from a root: versions, their tables, their data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from drystone.formats.region.layout import ENTRIES, count_chunks
from drystone.formats.region.pages import Entry, Pages, Version, build_table, chunk_length
from drystone.formats.region.slots import Root
from drystone.formats.region.transactions import digest_content


def read_root(pages: Pages, root: Root) -> tuple[Version, ...]:
    """The versions that a slot's root leads to, newest first. The first one is the slot's transaction.

    :raises DamagedError: the page is not what was written, or holds another transaction.
    """
    versions = pages.read_versions(Entry(root.page, root.digest))
    newest = versions[0].change
    if (newest.hash, newest.sequence, newest.length) != (root.hash, root.sequence, root.length):
        raise pages.damaged(root.page, "holds another transaction than the slot")
    return versions


def read_data(pages: Pages, version: Version) -> bytes:
    """All bytes of a version.

    :raises DamagedError: a page is not what was written.
    """
    length = version.change.length
    entries = list_chunks(pages, version)
    lengths = {entry: chunk_length(length, number) for number, entry in enumerate(entries)}
    chunks = dict(pages.read_chunks(lengths))
    data = b"".join(chunks[entry] for entry in entries)
    if len(data) != length:
        raise pages.damaged(version.top.page if version.top else 0, f"leads to {len(data)} bytes instead of {length}")
    return data


def list_chunks(pages: Pages, version: Version) -> list[Entry]:
    """The data pages of a version, in order.

    :raises DamagedError: a table is not what was written, or the chunks are not the transaction's.
    """
    found = [entry for _, _, level, entries in walk_tables(pages, version) if level == 1 for entry in entries]
    if digest_content(entry.digest for entry in found) != version.change.content:
        raise pages.damaged(version.top.page if version.top else 0, "leads to other data than the transaction's")
    return found


def walk_tables(pages: Pages, version: Version) -> Iterator[tuple[Entry, bytes, int, tuple[Entry, ...]]]:
    """Every table of a version, parents first, those of a level in order: itself, its body, its level, its entries."""
    if version.top is None:
        return
    level, tables = version.levels, [version.top]
    chunks = count_chunks(version.change.length)
    while level:
        below = -(-chunks // ENTRIES ** (level - 1))
        children: list[Entry] = []
        for number, table in enumerate(tables):
            entries = pages.read_table(table, min(ENTRIES, below - number * ENTRIES))
            yield table, build_table(entries), level, entries
            children.extend(entries)
        tables, level = children, level - 1


class Reached(Struct):
    """What is reached from roots.

    :ivar used: pages that must not be written. :ivar chunks: data pages by the digest of their chunk.
    :ivar tables: tables by (level, body).
    """

    used: set[int] = field(default_factory=lambda: {0})
    chunks: dict[bytes, int] = field(default_factory=dict)
    tables: dict[tuple[int, bytes], Entry] = field(default_factory=dict)

    def add_version(self, pages: Pages, version: Version) -> None:
        """Add all that a version leads to.

        :raises DamagedError: a table is not what was written.
        """
        for table, body, level, entries in walk_tables(pages, version):
            self.used.add(table.page)
            self.tables.setdefault((level, body), table)
            if level == 1:
                self.used.update(entry.page for entry in entries)
                for entry in entries:
                    self.chunks.setdefault(entry.digest, entry.page)


def reach(pages: Pages, roots: Iterable[Root]) -> Reached:
    """What is reached from these roots. Every version is walked once.

    :raises DamagedError: a page that leads on is not what was written.
    """
    reached = Reached()
    done: set[Version] = set()
    for root in dict.fromkeys(roots):
        reached.used.add(root.page)
        for version in read_root(pages, root):
            if version not in done:
                done.add(version)
                reached.add_version(pages, version)
    return reached

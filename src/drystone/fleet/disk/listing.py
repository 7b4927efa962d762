"""Pages of the keys of a placement, as they are listed. The cost is that of the page.

Keys come in the order of their UTF-8 bytes. A common prefix is skipped with one search of the index, however many
keys it has.
"""

from __future__ import annotations

import heapq
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

from drystone.fleet.disk import rows
from drystone.fleet.disk.changes import Entry
from drystone.fleet.objects import ObjectInfo, Page

_Scan = Callable[[bytes], Iterator[ObjectInfo]]


def end_of(prefix: bytes) -> bytes | None:
    """The least key above all that begin with `prefix` (UTF-8, so no byte is 255); None when there is none."""
    return prefix[:-1] + bytes((prefix[-1] + 1,)) if prefix else None


def list_objects(
    connection: sqlite3.Connection, number: int, prefix: str, delimiter: str, after: str, limit: int
) -> Page:
    """Latest versions that are no delete markers, at most `limit` keys and common prefixes together.

    :param after: a key, or a common prefix of the page before: greater ones are wanted.
    """
    start = _start(prefix, delimiter, after)

    def scan(least: bytes) -> Iterator[ObjectInfo]:
        for entry in _scan(connection, "objects", number, least, prefix):
            yield entry.info

    return _fill(scan, start, prefix, delimiter, limit, lambda info: info.key)


def list_versions(
    connection: sqlite3.Connection, number: int, prefix: str, delimiter: str, after: str, limit: int
) -> Page:
    """All versions and delete markers, of a key the latest first.

    :param after: KEY + NUL + VERSION_ID, or with an empty version id: after all versions of KEY. A common prefix of
        the page before comes in the second form.
    """
    key, _, version = after.rpartition("\0") if "\0" in after else (after, "", "")
    skip = sys.maxsize
    if not version:
        start = _start(prefix, delimiter, key)
    else:
        start = key.encode()
        row = rows.read_version(connection, number, start, version)
        if row is not None:  # else it was removed since, and its place among the others with it: all are listed
            skip = row.entry.made
    resumed = key if version else ""

    def scan(least: bytes) -> Iterator[ObjectInfo]:
        for info in _scan_versions(connection, number, least, prefix):
            if info[0].key != resumed or info[1] < skip:
                yield info[0]

    return _fill(scan, start, prefix, delimiter, limit, lambda info: f"{info.key}\0{info.version_id}", "\0")


def find_newest(connection: sqlite3.Connection, number: int, count: int) -> list[ObjectInfo]:
    """The latest versions that were stored last, the newest first, at most `count`.

    SQLite looks at every row: 0.2 s of a processor for a million, a thirtieth of going through pages of them.
    """
    query = f"{rows.select_entries('objects')} ORDER BY modified DESC, key LIMIT ?"
    return [rows.unpack_entry(row, latest=True).info for row in connection.execute(query, (number, count))]


def find_large(connection: sqlite3.Connection, number: int, least: int, count: int) -> list[ObjectInfo]:
    """The latest versions of `least` bytes or more, in the order of their keys, at most `count`.

    SQLite looks at every row, and makes a value of those only.
    """
    query = f"{rows.select_entries('objects')} AND size >= ? ORDER BY key LIMIT ?"
    return [rows.unpack_entry(row, latest=True).info for row in connection.execute(query, (number, least, count))]


def _start(prefix: str, delimiter: str, after: str) -> bytes:
    """The least key that is wanted."""
    if not after or after < prefix:
        return prefix.encode()
    if delimiter and after.endswith(delimiter) and len(after) > len(prefix):
        return end_of(after.encode()) or b""
    return after.encode() + b"\0"


def _fill(
    scan: _Scan,
    start: bytes,
    prefix: str,
    delimiter: str,
    limit: int,
    name: Callable[[ObjectInfo], str],
    ending: str = "",
) -> Page:
    found: list[ObjectInfo] = []
    prefixes: list[str] = []
    last, at = "", start
    if limit <= 0:
        return Page((), (), "")
    while True:
        for info in scan(at):
            if len(found) + len(prefixes) == limit:
                return Page(tuple(found), tuple(prefixes), last)
            cut = info.key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                common = info.key[: cut + len(delimiter)]
                prefixes.append(common)
                last, at = common + ending, end_of(common.encode()) or b""
                break
            found.append(info)
            last = name(info)
        else:
            return Page(tuple(found), tuple(prefixes), "")


def _scan(
    connection: sqlite3.Connection, table: str, number: int, least: bytes, prefix: str, *, latest: bool = True
) -> Iterator[Entry]:
    """Entries of a table from key `least` on that begin with `prefix`."""
    end = end_of(prefix.encode())
    query = rows.select_entries(table) + " AND key >= ?" + ("" if end is None else " AND key < ?") + " ORDER BY key"
    if table == "versions":
        query += ", made DESC"
    values = (number, least) if end is None else (number, least, end)
    for row in connection.execute(query, values):
        yield rows.unpack_entry(row, latest=latest)


def _scan_versions(
    connection: sqlite3.Connection, number: int, least: bytes, prefix: str
) -> Iterator[tuple[ObjectInfo, int]]:
    """All versions with what made them, of a key the latest first."""
    objects = _scan(connection, "objects", number, least, prefix)
    others = _scan(connection, "versions", number, least, prefix, latest=False)
    before = b""
    for entry in heapq.merge(objects, others, key=lambda each: (each.info.key.encode(), -each.made)):
        key = entry.info.key.encode()
        is_latest = key != before
        before = key
        info = entry.info
        yield (info if info.latest == is_latest else replace(info, latest=is_latest)), entry.made

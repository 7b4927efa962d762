"""Two copies of a placement compared, a page of the leader's keys at a time.

Of each row only what is compared is read, and a row becomes a value only where something follows from it: placements
have millions of keys, nearly all of which are the same on both sides.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from drystone.base.errors import DamagedError
from drystone.fleet.disk.changes import Compared, ComparedPage

_COLUMNS = "key, version, seq, made, size, digest"


def compare_page(connection: sqlite3.Connection, number: int, after: str, limit: int, as_of: int) -> ComparedPage:
    """Versions of whole keys above `after`: at least one key, and no more than `limit` versions beside its.

    :param as_of: of what was taken before the connection's state was. :raises DamagedError: a row is none of ours.
    """
    entries: list[Compared] = []
    whole = 0
    for row in _read(connection, number, after, ""):
        each = _unpack(row)
        if entries and each.key != entries[-1].key:
            whole = len(entries)
        if whole and len(entries) >= limit:
            return ComparedPage(tuple(entries[:whole]), as_of, entries[whole - 1].key)
        entries.append(each)
    return ComparedPage(tuple(entries), as_of, "")


def find_differing(
    connection: sqlite3.Connection, number: int, after: str, page: ComparedPage
) -> tuple[tuple[Compared, ...], set[str]]:
    """Of a leader's page: versions that we lack, or have older; and keys of which we have something newer that the
    leader could know, and does not.

    :param after: what the page was asked for with.
    """
    lacking = {(each.key.encode(), each.version_id): each for each in page.entries}
    newer: set[str] = set()
    if page.entries:
        for key, version, seq, *_ in _read(connection, number, after, page.entries[-1].key):
            each = lacking.get((key, version))
            if each is not None and seq >= each.seq:
                del lacking[key, version]
                if each.seq < seq <= page.as_of:
                    newer.add(each.key)
    return tuple(lacking.values()), newer


def find_absent(
    connection: sqlite3.Connection, number: int, after: str, page: ComparedPage, limit: int
) -> tuple[tuple[Compared, ...], str]:
    """Versions that a leader's page lacks: their keys are above `after` and not above the page's end, their `seq` is
    not above `page.as_of`. All of the first keys that have any, until they are `limit` or more.

    :param after: what the page was asked for with, or what the search before came to. :returns: and how far this one
        came: a key, or "" when that is the end.
    """
    there = {(each.key.encode(), each.version_id) for each in page.entries}
    absent: list[Compared] = []
    for row in _read(connection, number, after, page.after):
        key, version, seq = row[:3]
        if seq <= page.as_of and (key, version) not in there:
            each = _unpack(row)
            if len(absent) >= limit and each.key != absent[-1].key:
                return tuple(absent), absent[-1].key
            absent.append(each)
    return tuple(absent), ""


def _read(connection: sqlite3.Connection, number: int, after: str, last: str) -> sqlite3.Cursor:
    """_COLUMNS of all versions whose keys are above `after` and not above `last` ("": no end), in the order of keys, of
    a key the latest first."""
    least = after.encode() + b"\0" if after else b""
    which = "placement = ?1 AND key >= ?2" + (" AND key <= ?3" if last else "")
    query = " UNION ALL ".join(f"SELECT {_COLUMNS} FROM {table} WHERE {which}" for table in ("objects", "versions"))  # noqa: S608  # our names
    values = (number, least, last.encode()) if last else (number, least)
    return connection.execute(f"{query} ORDER BY key, made DESC", values)


def _unpack(row: tuple[Any, ...]) -> Compared:
    key, version, seq, made, size, digest = row
    try:
        return Compared(key.decode(), version, seq, made, size, digest.hex())
    except UnicodeDecodeError as error:
        raise DamagedError(f"the index has a damaged row: {error}") from error

"""Rows of the index as values, and back."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from drystone.base.errors import DamagedError, UsageError
from drystone.fleet.disk.changes import Entry
from drystone.fleet.objects import ObjectInfo

_SEEN = "key, version, made, seq, size, modified, etag, digest, place, extra"
COLUMNS = f"{_SEEN}, pieces"


class _Extra(msgspec.Struct, omit_defaults=True):
    """What few objects have much of."""

    headers: dict[str, str] = {}
    user: dict[str, str] = {}
    checksums: dict[str, str] = {}
    checksum_type: str = ""
    parts: tuple[int, ...] = ()
    tags: dict[str, str] = {}
    lock: dict[str, str] = {}


_NO_EXTRA = _Extra()
_decoder = msgspec.json.Decoder(_Extra)


@dataclass(frozen=True, slots=True)
class Row:
    """A version as the index has it. :ivar place: PLAIN, an odd place, or "" for a delete marker.

    :ivar pieces: BLAKE3 of each piece.
    """

    entry: Entry
    place: str
    pieces: bytes


def encode_key(key: str) -> bytes:
    """The key's UTF-8.

    :raises UsageError: it has lone surrogates, or is empty.
    """
    if not key:
        raise UsageError("an object's key is empty")
    try:
        return key.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"key {key!r} is no UTF-8") from error


def pack_extra(info: ObjectInfo) -> bytes | None:
    """The column `extra`."""
    extra = _Extra(info.headers, info.user, info.checksums, info.checksum_type, info.parts, info.tags, info.lock)
    return None if extra == _NO_EXTRA else msgspec.json.encode(extra)


def pack_row(number: int, row: Row) -> tuple[Any, ...]:
    """Values for `placement` and COLUMNS."""
    info = row.entry.info
    return (
        number, info.key.encode(), info.version_id, row.entry.made, info.seq, info.size, info.modified, info.etag,
        bytes.fromhex(info.digest), row.place, pack_extra(info), row.pieces,
    )  # fmt: skip


def unpack_entry(values: tuple[Any, ...], *, latest: bool) -> Entry:
    """An Entry of a row of the columns before `pieces`.

    :raises DamagedError: the row is none of ours.
    """
    key, version, made, seq, size, modified, etag, digest, place, packed = values[:10]
    try:
        extra = _Extra() if packed is None else _decoder.decode(packed)
        name = key.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"the index has a damaged row: {error}") from error
    info = ObjectInfo(
        name, size, modified, etag, digest.hex(), seq, version, latest, not place,
        extra.headers, extra.user, extra.checksums, extra.checksum_type, extra.parts, extra.tags, extra.lock,
    )  # fmt: skip
    return Entry(info, made)


def unpack_row(values: tuple[Any, ...], *, latest: bool) -> Row:
    """A Row of a row of COLUMNS."""
    return Row(unpack_entry(values, latest=latest), values[8], values[10])


def insert_row(connection: sqlite3.Connection, table: str, number: int, row: Row) -> None:
    """Put it into `objects` or `versions`."""
    connection.execute(
        f"INSERT INTO {table} (placement, {COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608  # our names
        pack_row(number, row),
    )


def read_current(connection: sqlite3.Connection, number: int, key: bytes) -> Row | None:
    """The latest version, unless it is a delete marker."""
    found = connection.execute(
        f"SELECT {COLUMNS} FROM objects WHERE placement = ? AND key = ?",  # noqa: S608
        (number, key),
    ).fetchone()
    return None if found is None else unpack_row(found, latest=True)


def read_other(connection: sqlite3.Connection, number: int, key: bytes, version: str | None) -> Row | None:
    """A noncurrent version or delete marker: of that id, or the one that was made last. `latest` is left False."""
    found = connection.execute(
        f"SELECT {COLUMNS} FROM versions WHERE placement = ? AND key = ? AND (? IS NULL OR version = ?) "  # noqa: S608
        "ORDER BY made DESC LIMIT 1",
        (number, key, version, version),
    ).fetchone()
    return None if found is None else unpack_row(found, latest=False)


def read_version(connection: sqlite3.Connection, number: int, key: bytes, version: str | None) -> Row | None:
    """One version by its id; the latest, also when it is a delete marker, for None."""
    current = read_current(connection, number, key)
    if current is not None and version in {None, current.entry.info.version_id}:
        return current
    row = read_other(connection, number, key, version)
    if row is None or current is not None:
        return row
    last = row if version is None else read_other(connection, number, key, None)
    if last is None or last.entry.made != row.entry.made:
        return row
    return replace(row, entry=Entry(replace(row.entry.info, latest=True), row.entry.made))


def select_entries(table: str) -> str:
    """The beginning of a query of entries without their pieces, which may be long."""
    return f"SELECT {_SEEN} FROM {table} WHERE placement = ?"  # noqa: S608

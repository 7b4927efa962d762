"""Versions opened for reading, and mended."""

from __future__ import annotations

import errno
import os

from drystone.base.errors import DamagedError, MismatchError, NotFoundError
from drystone.fleet.disk import places, rows, sums
from drystone.fleet.disk.changes import Entry
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.disk.ledger import Home
from drystone.fleet.disk.reader import Reader
from drystone.fleet.disk.rows import Row
from drystone.fleet.disk.workings import Workings

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
"""No file is there, but nothing, a folder, or a link, which is not followed."""


def find_row(disk: Workings, home: Home, key: str, version_id: str | None) -> Row | None:
    """The row of a version; of the latest when none is named."""
    encoded = rows.encode_key(key)
    with disk.looking("find") as connection:
        row = rows.read_current(connection, home.number, encoded)
    if row is not None and version_id in {None, row.entry.info.version_id}:
        return row  # as nearly always: one statement instead of four
    with disk.reading("find") as connection:
        return rows.read_version(connection, home.number, encoded, version_id)


def open_version(disk: Workings, home: Home, key: str, version_id: str | None, *, seq: int | None = None) -> Reader:
    """A version's file, held open with the row that belongs to it.

    :raises NotFoundError: there is no such version, or it is a delete marker. :raises MismatchError: its `seq` is
        another one. :raises DamagedError: its file is gone; the fact `piece` is -1.
    """
    with disk.hold(home, key):
        row = _need_row(disk, home, key, version_id, seq)
        with disk.trouble.told("open"):
            try:
                handle = disk.files.open(disk.mover.where(home.place_of(row)))
            except OSError as error:
                if error.errno not in _GONE or not disk.files.exists(places.IDENTITY):
                    raise
                info = row.entry.info
                raise DamagedError(
                    f"the file of {key!r} on disk {disk.name} is gone",
                    key=key,
                    version_id=info.version_id,
                    piece=-1,
                    offset=0,
                ) from error
    return Reader(row, handle, disk.trouble)


def _need_row(disk: Workings, home: Home, key: str, version_id: str | None, seq: int | None) -> Row:
    row = find_row(disk, home, key, version_id)
    if row is None or row.entry.info.delete_marker:
        raise NotFoundError(f"there is no object {key!r}", key=key)
    if seq is not None and row.entry.info.seq != seq:
        raise MismatchError(f"{key!r} is version {row.entry.info.seq} by now, not {seq}", key=key)
    return row


def repair_piece(disk: Workings, home: Home, entry: Entry, number: int, data: bytes | memoryview) -> bool:
    """Write the right bytes of a piece into the file, durably; False: the version was changed or its file is gone.

    :raises MismatchError: `data` is not what the piece was. :raises UnavailableError: the disk is bad.
    """
    info = entry.info
    with disk.hold(home, info.key):
        row = find_row(disk, home, info.key, info.version_id)
        if row is None or not row.place or row.entry.info.digest != info.digest:
            return False
        if not sums.is_piece(data, row.pieces, number):
            raise MismatchError(f"the bytes for piece {number} of {info.key!r} are not those", key=info.key)
        disk.trouble.check()
        with disk.trouble.told("repair"):
            try:
                handle = disk.files.open(disk.mover.where(home.place_of(row)), write=True)
            except OSError as error:
                if error.errno not in _GONE or not disk.files.exists(places.IDENTITY):
                    raise
                return False
            try:
                disk.files.write_at(handle, data, number * sums.PIECE)
                disk.files.sync(handle)
            finally:
                os.close(handle)
    return True


def restore_file(disk: Workings, home: Home, entry: Entry, body: Incoming) -> bool:
    """Put a whole right file in the place of a lost or damaged one, durably; False: the version was changed.

    :raises MismatchError: the body is not what the version was.
    """
    body.check(disk.trouble)
    info, found = entry.info, body.finish()
    if found.digest != info.digest:
        raise MismatchError(f"the bytes for {info.key!r} are not those", key=info.key)
    with disk.hold(home, info.key):
        row = find_row(disk, home, info.key, info.version_id)
        if row is None or not row.place or row.entry.info.digest != info.digest:
            return False
        disk.trouble.check()
        body.secure(row.entry.info.modified)
        with disk.trouble.told("restore"):
            disk.mover.put_back(body.place, home.place_of(row))
    return True

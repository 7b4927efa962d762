"""A lost index made again: from the files that are there and the rows of a peer, or from the files alone."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from drystone.base import documents, names
from drystone.base.files import replace_file, sync_folder
from drystone.fleet.disk import ledger, places, rows, scrub
from drystone.fleet.disk.changes import Entry
from drystone.fleet.disk.identity import Identity, read_identity
from drystone.fleet.disk.ledger import Home
from drystone.fleet.disk.places import PLAIN
from drystone.fleet.disk.rows import Row
from drystone.fleet.disk.sums import PIECE, Summing, Sums
from drystone.fleet.disk.workings import Workings
from drystone.fleet.objects import ObjectInfo


def start_over(root: Path) -> Identity:
    """Give up the index of a disk that is not open: it is set aside, and the disk gets a new identity.

    Its objects' files stay, for `adopt_row` and `adopt_files`. For the fleet it is another disk: nobody takes it for
    one that holds every acknowledged write.

    :raises UnavailableError: there is no disk. :raises OSError: the file system refuses.
    """
    identity = msgspec.structs.replace(read_identity(root), disk_id=names.new_uuid(), made=time.time())
    replace_file(root / places.IDENTITY, documents.encode(identity, indent=2) + b"\n", mode=0o644)
    mark = os.urandom(4).hex()
    for suffix in ("", "-wal", "-shm"):
        path = root / f"{places.INDEX}{suffix}"
        if path.exists():
            path.rename(path.with_name(f"given-up-{mark}-{path.name}"))
    sync_folder(root / places.OWN)
    return identity


def adopt_row(disk: Workings, home: Home, entry: Entry, pieces: bytes) -> bool:
    """Take over a peer's row for a file that lies at its plain place and is what the row says; False: it is not.

    All of the file is read. Durable when it returns.
    """
    info = entry.info
    place = places.plain_place(home.placement, home.slot, info.key)
    if place is None or info.delete_marker:
        return False
    with disk.hold(home, info.key):
        found = _sum_file(disk, place, md5=False)
        if found is None or found[0].pieces != pieces or found[0].digest != info.digest:
            return False
        return disk.write("adopt", lambda each: _insert(each, home, Row(entry, PLAIN, pieces)))


def adopt_files(disk: Workings, home: Home) -> Iterator[str]:
    """Make rows for the files of a placement that have none, as objects that were put when the file says; their keys.

    To be used when no other copy is left: `seq` and `made` are 0, so anything that a peer has is newer.
    """
    for place in list(scrub.find_strays(disk)):
        folder = places.folder_of(home.placement, home.slot)
        if folder is None or not place.startswith(f"{folder}/"):
            continue
        path = place[len(folder) + 1 :]
        key = f"{home.placement.host}/{path}" if home.placement.host else path
        try:
            key.encode()
        except UnicodeEncodeError:
            continue
        with disk.hold(home, key):
            found = _sum_file(disk, place, md5=True)
            if found is None:
                continue
            sums, modified = found
            entry = Entry(ObjectInfo(key, sums.size, modified, sums.md5, sums.digest, 0), 0)
            row = Row(entry, PLAIN, sums.pieces)
            if disk.write("adopt", lambda each, row=row: _insert(each, home, row)):  # type: ignore[misc]
                yield key


def _insert(connection: sqlite3.Connection, home: Home, row: Row) -> bool:
    info = row.entry.info
    key = info.key.encode()
    if rows.read_version(connection, home.number, key, None) is not None:
        return False
    if ledger.known_seq(connection, home.number, key, info.version_id) >= info.seq:
        return False
    rows.insert_row(connection, "objects", home.number, row)
    connection.execute(
        "UPDATE placements SET objects = objects + 1, size = size + ?, newest = max(newest, ?) WHERE number = ?",
        (info.size, info.modified, home.number),
    )
    return True


def _sum_file(disk: Workings, place: str, *, md5: bool) -> tuple[Sums, float] | None:
    """Sums of a file and when it was changed; None when there is none."""
    with disk.trouble.told("adopt"):
        try:
            handle = disk.files.open(place)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            summing = Summing(md5=md5, beside=disk.beside)
            buffer = memoryview(bytearray(PIECE))
            while count := os.preadv(handle, [buffer], summing.size):
                summing.update(buffer[:count])
            return summing.finish(), os.fstat(handle).st_mtime
        except IsADirectoryError:
            return None
        finally:
            os.close(handle)

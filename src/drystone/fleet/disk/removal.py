"""The deletion of a placement that does not belong to a disk any more, in pieces and at a pace; and of single versions
that a copy has and its leader has not."""

from __future__ import annotations

import contextlib
import os
import sqlite3

from drystone.fleet.disk import places
from drystone.fleet.disk.changes import Compared
from drystone.fleet.disk.ledger import Home
from drystone.fleet.disk.pace import Pace
from drystone.fleet.disk.reading import find_row
from drystone.fleet.disk.uploads import drop_upload, list_uploads
from drystone.fleet.disk.workings import Workings
from drystone.fleet.disk.writing import Changes

_ROWS = 256
_CUT = 64 << 20


def leave_placement(disk: Workings, home: Home, pace: Pace) -> bool:
    """Remove all objects, versions and uploads of a placement, then the placement; False when it was stopped.

    Each batch of rows goes durably before its files do; called again after a stop or a crash it goes on.

    :raises UnavailableError: the disk is bad.
    """

    def take(connection: sqlite3.Connection) -> list[tuple[str, int]]:
        """Take some rows out, noting their files; (place, size) of these."""
        taken: list[tuple[str, int]] = []
        objects = 0
        for table in ("objects", "versions"):
            found = connection.execute(
                f"SELECT key, made, place, size FROM {table} WHERE placement = ? LIMIT ?",  # noqa: S608  # our names
                (home.number, _ROWS - len(taken)),
            ).fetchall()
            for key, made, noted, size in found:
                connection.execute(
                    f"DELETE FROM {table} WHERE placement = ? AND key = ? AND made = ?",  # noqa: S608
                    (home.number, key, made),
                )
                plain = places.plain_place(home.placement, home.slot, key.decode())
                taken.append((noted if noted != places.PLAIN else plain or "", size))
                objects += table == "objects"
        files = [(place,) for place, _ in taken if place]
        connection.executemany("DELETE FROM moves WHERE target = ?", files)
        connection.executemany("INSERT OR REPLACE INTO garbage VALUES (?, -1)", files)
        connection.execute(
            "UPDATE placements SET objects = objects - ?, size = size - ? WHERE number = ?",
            (objects, sum(size for _, size in taken), home.number),
        )
        return taken

    for upload in list_uploads(disk, home, ""):
        drop_upload(disk, home, upload.upload_id)
    while taken := disk.write("leave", take, makes_room=True):
        gone: list[tuple[str]] = []
        for place, size in taken:
            if place and not _remove_file(disk, place, size, pace):
                _clear_notes(disk, gone)
                return False
            gone.append((place,))
        _clear_notes(disk, gone)
        if not pace.spend(0):
            return False
    _remove_folders(disk, home)
    with disk.trouble.told("leave"):
        disk.homes.forget(home)
    return True


def _remove_file(disk: Workings, place: str, size: int, pace: Pace) -> bool:
    """A long file is cut from its end, so that the file system is never busy with one for long."""
    with disk.trouble.told("leave"):
        if size > _CUT:
            with contextlib.suppress(FileNotFoundError):
                handle = disk.files.open(place, write=True)
                try:
                    for left in range(size - _CUT, 0, -_CUT):
                        disk.files.truncate(handle, left)
                        if not pace.spend(_CUT):
                            return False
                finally:
                    os.close(handle)
        disk.files.unlink(place)
    return pace.spend(min(size, _CUT) + 4096)


def _clear_notes(disk: Workings, gone: list[tuple[str]]) -> None:
    disk.write("leave", lambda each: each.executemany("DELETE FROM garbage WHERE place = ? AND seq = -1", gone))


def _remove_folders(disk: Workings, home: Home) -> None:
    """The placement's folders, as far as they are empty: files that nobody knows stay where they are."""
    top = places.folder_of(home.placement, home.slot)
    if top is None:
        return
    root = os.fsencode(disk.root)
    for folder, _, _ in os.walk(root + b"/" + top.encode(), topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106  # bytes


def remove_compared(disk: Workings, writes: Changes, home: Home, each: Compared, epoch: int | None) -> bool:
    """See Disk.remove_compared."""
    row = find_row(disk, home, each.key, each.version_id)
    if row is None or row.entry.info.seq != each.seq:
        return False
    return writes.remove_exactly(home.placement.id, row.entry, epoch)

"""Uploads in parts, of which each part waits as a file of its own. How they become one file: assembling.py."""

from __future__ import annotations

import sqlite3

from drystone.base import documents
from drystone.base.errors import ExhaustedError, MismatchError, NotFoundError
from drystone.fleet.disk import places, rows
from drystone.fleet.disk.changes import PartRecord
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.disk.ledger import FileSteps, Home
from drystone.fleet.disk.workings import Workings
from drystone.fleet.objects import UploadInfo


def begin_upload(disk: Workings, home: Home, upload: UploadInfo, epoch: int | None) -> None:
    """Note an upload, durably. One that is there already stays as it is.

    :raises MismatchError: the placement is in another epoch.
    """
    values = (home.number, upload.upload_id, rows.encode_key(upload.key), documents.encode(upload))

    def step(connection: sqlite3.Connection) -> None:
        disk.homes.check_epoch(home, epoch)
        connection.execute("INSERT OR IGNORE INTO uploads VALUES (?, ?, ?, ?)", values)

    disk.write("begin upload", step)


def list_uploads(disk: Workings, home: Home, prefix: str) -> tuple[UploadInfo, ...]:
    """Those under way whose key begins with `prefix`, in the order of keys, then of their beginning."""
    with disk.reading("uploads") as connection:
        found = connection.execute("SELECT document FROM uploads WHERE placement = ?", (home.number,)).fetchall()
    uploads = [documents.decode(data, UploadInfo, "upload") for (data,) in found]
    wanted = [each for each in uploads if each.key.startswith(prefix)]
    return tuple(sorted(wanted, key=lambda each: (each.key, each.begun, each.upload_id)))


def read_upload(connection: sqlite3.Connection, home: Home, upload_id: str) -> UploadInfo:
    """:raises NotFoundError: there is none."""
    found = connection.execute(
        "SELECT document FROM uploads WHERE placement = ? AND upload = ?", (home.number, upload_id)
    ).fetchone()
    if found is None:
        raise NotFoundError(f"there is no upload {upload_id}", upload=upload_id)
    return documents.decode(found[0], UploadInfo, "upload")


def list_parts(disk: Workings, home: Home, upload_id: str) -> tuple[UploadInfo, tuple[PartRecord, ...]]:
    """An upload and its parts in the order of their numbers.

    :raises NotFoundError: there is none.
    """
    with disk.reading("parts") as connection:
        upload = read_upload(connection, home, upload_id)
        found = connection.execute(
            "SELECT record FROM parts WHERE placement = ? AND upload = ? ORDER BY number", (home.number, upload_id)
        ).fetchall()
    return upload, tuple(documents.decode(data, PartRecord, "part") for (data,) in found)


def put_part(disk: Workings, home: Home, upload_id: str, part: PartRecord, body: Incoming, epoch: int | None) -> None:
    """Keep a part, durably, in the place of an earlier one of its number.

    :raises NotFoundError: there is no such upload. :raises MismatchError: the body is not what `part` says (size,
        digest), or the placement is in another epoch.
    """
    body.check(disk.trouble)
    sums = body.finish()
    if (sums.size, sums.digest) != (part.size, part.digest):
        raise MismatchError(
            f"part {part.number}: {sums.size} bytes with digest {sums.digest[:16]} came, "
            f"{part.size} with {part.digest[:16]} were to come"
        )
    body.secure(part.modified)
    place = places.new_place(places.PARTS)

    def step(connection: sqlite3.Connection) -> FileSteps:
        disk.homes.check_epoch(home, epoch)
        read_upload(connection, home, upload_id)
        old = connection.execute(
            "SELECT place FROM parts WHERE placement = ? AND upload = ? AND number = ?",
            (home.number, upload_id, part.number),
        ).fetchall()
        connection.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)",
            (home.number, upload_id, part.number, documents.encode(part), place, sums.pieces),
        )
        connection.execute("INSERT INTO moves VALUES (?, ?, 0, ?, x'')", (place, body.place, home.number))
        connection.executemany("INSERT OR REPLACE INTO garbage VALUES (?, 0)", old)
        unlinks = tuple((each, 0) for (each,) in old)
        return FileSteps(home.number, b"", (), ((body.place, place),), unlinks)

    with disk.locks.hold((home.number, "", upload_id)):
        with disk.trouble.told("put part"):
            disk.syncs.sync(places.TEMP)
        try:
            steps = disk.write("put part", step)
        except (NotFoundError, MismatchError, ExhaustedError):
            with disk.trouble.told("put part"):
                disk.files.unlink(body.place)
            raise
        with disk.trouble.told("put part"):
            disk.mover.carry_out(steps)


def drop_upload(disk: Workings, home: Home, upload_id: str, epoch: int | None = None) -> None:
    """Forget an upload and remove its parts. Harmless when there is none.

    :raises MismatchError: the placement is in another epoch.
    """

    def step(connection: sqlite3.Connection) -> FileSteps:
        disk.homes.check_epoch(home, epoch)
        values = (home.number, upload_id)
        found = connection.execute("SELECT place FROM parts WHERE placement = ? AND upload = ?", values).fetchall()
        connection.execute("DELETE FROM parts WHERE placement = ? AND upload = ?", values)
        connection.execute("DELETE FROM uploads WHERE placement = ? AND upload = ?", values)
        connection.executemany("DELETE FROM moves WHERE target = ?", found)
        connection.executemany("INSERT OR REPLACE INTO garbage VALUES (?, 0)", found)
        return FileSteps(home.number, b"", (), (), tuple((place, 0) for (place,) in found))

    with disk.locks.hold((home.number, "", upload_id)):
        steps = disk.write("drop upload", step, makes_room=True)
        with disk.trouble.told("drop upload"):
            disk.mover.carry_out(steps)

"""Uploads in parts: the parts wait as files of their own, and become one file that shares their blocks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

import msgspec

from drystone.base import documents
from drystone.base.errors import DamagedError, ExhaustedError, MismatchError, NotFoundError
from drystone.fleet.disk import places, rows
from drystone.fleet.disk.changes import PartRecord
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.disk.ledger import FileSteps, Home
from drystone.fleet.disk.sums import PIECE, Summing, Sums, is_piece
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


def _read_upload(connection: sqlite3.Connection, home: Home, upload_id: str) -> UploadInfo:
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
        upload = _read_upload(connection, home, upload_id)
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
        _read_upload(connection, home, upload_id)
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


def assemble(disk: Workings, home: Home, upload_id: str, numbers: Sequence[int], body: Incoming) -> None:
    """Fill `body` with the parts of these numbers, in this order; its sums are known then, but no MD5.

    The sums of the parts are used again where all parts but the last are of whole MiB; else everything is read once.

    :raises NotFoundError: there is no such upload or part. :raises DamagedError: a part's file is gone.
    """
    handles: list[int] = []
    try:
        with disk.locks.hold((home.number, "", upload_id)):
            parts: list[tuple[PartRecord, bytes]] = []
            with disk.reading("assemble") as connection:
                _read_upload(connection, home, upload_id)
                for number in numbers:
                    record, place, pieces = _read_part(connection, home, upload_id, number)
                    parts.append((record, pieces))
                    handles.append(_open_part(disk, place, record))
        sizes = [record.size for record, _ in parts]
        joined = Sums(sum(sizes), b"".join(pieces for _, pieces in parts))
        sources = list(zip(handles, sizes, strict=True))
        if all(size % PIECE == 0 for size in sizes[:-1]):
            body.take_over(sources, joined)
        else:
            body.take_over(sources, _sum_again(disk, sources, [pieces for _, pieces in parts]))
    finally:
        for handle in handles:
            os.close(handle)


def _read_part(
    connection: sqlite3.Connection, home: Home, upload_id: str, number: int
) -> tuple[PartRecord, str, bytes]:
    found = connection.execute(
        "SELECT record, place, pieces FROM parts WHERE placement = ? AND upload = ? AND number = ?",
        (home.number, upload_id, number),
    ).fetchone()
    if found is None:
        raise NotFoundError(f"upload {upload_id} has no part {number}", upload=upload_id, part=number)
    return msgspec.json.decode(found[0], type=PartRecord), found[1], found[2]


def _open_part(disk: Workings, place: str, record: PartRecord) -> int:
    with disk.trouble.told("assemble"):
        try:
            handle = disk.files.open(disk.mover.where(place))
        except FileNotFoundError as error:
            raise DamagedError(f"part {record.number} is gone", part=record.number) from error
        size = os.fstat(handle).st_size
        if size != record.size:
            os.close(handle)
            raise DamagedError(f"part {record.number} has {size} bytes, not {record.size}", part=record.number)
        return handle


def _sum_again(disk: Workings, sources: list[tuple[int, int]], pieces: list[bytes]) -> Sums:
    """Sums of files one after another, each piece of which is compared with its own sum on the way."""
    summing = Summing(md5=False)
    buffer = bytearray(PIECE)
    for (handle, size), known in zip(sources, pieces, strict=True):
        for at in range(0, size, PIECE):
            view = memoryview(buffer)[: min(PIECE, size - at)]
            with disk.trouble.told("assemble"):
                got = os.preadv(handle, [view], at)
            if got != len(view) or not is_piece(view, known, at // PIECE):
                raise DamagedError("a part is not what was put", offset=at)
            summing.update(view)
    return summing.finish()

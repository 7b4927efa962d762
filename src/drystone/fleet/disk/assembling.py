"""Parts of an upload put together as one body, in short steps.

A file system that can has the body share the blocks of the parts (xfs, btrfs). On others (ext4) all bytes are copied,
which takes long where there are many: so nobody waits for more than one step.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence

import msgspec

from drystone.base.errors import DamagedError, NotFoundError, UnavailableError
from drystone.fleet.disk.changes import PartRecord
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.disk.ledger import Home
from drystone.fleet.disk.sums import PIECE, Summing, Sums, is_piece
from drystone.fleet.disk.uploads import read_upload
from drystone.fleet.disk.workings import Workings

STEP = 256 << 20
"""Bytes that are copied, or read, in one step: some seconds on a slow disk."""


LEFT = 64 << 20
"""Bytes that may be left to the sync at the end, which comes with the change: that has seconds."""


class Assembly:
    """An assembly that goes on. Nothing is done before the first `step`; for one thread at a time.

    The sums of the parts are used again where all parts but the last are of whole MiB; else everything is read once.

    :ivar body: has the parts, and their sums but for MD5, once `step` has said that there is no more.
    """

    def __init__(self, disk: Workings, home: Home, upload_id: str, numbers: Sequence[int], body: Incoming) -> None:
        self.body = body
        self._steps: Iterator[None] | None = _assemble(disk, home, upload_id, numbers, body)
        self._using = threading.Lock()

    def step(self) -> bool:
        """Go on for STEP bytes at most, and make what came before durable; whether there is more to do.

        :raises NotFoundError: there is no such upload or part. :raises DamagedError: a part is not what was put.
        :raises ExhaustedError: the disk is full. :raises UnavailableError: it is bad, or this was given up.
        """
        with self._using:
            if self._steps is None:
                raise UnavailableError("the parts are put together no more", hint="send the request again")
            try:
                next(self._steps)
            except StopIteration:
                return False
            return True

    def finish(self) -> Incoming:
        """All steps, one after another: the body. :raises DrystoneError: as `step`; then nothing is left of it."""
        try:
            while self.step():
                pass
        except BaseException:
            self.give_up()
            raise
        return self.body

    def give_up(self) -> None:
        """Remove what there is of the body, once a step that another thread makes has ended. Harmless when repeated."""
        with self._using:
            self._steps = None  # its files are closed with it
            self.body.abandon()


def _assemble(disk: Workings, home: Home, upload_id: str, numbers: Sequence[int], body: Incoming) -> Iterator[None]:
    handles: list[int] = []
    try:
        with disk.locks.hold((home.number, "", upload_id)):
            parts: list[tuple[PartRecord, bytes]] = []
            with disk.reading("assemble") as connection:
                read_upload(connection, home, upload_id)
                for number in numbers:
                    record, place, pieces = _read_part(connection, home, upload_id, number)
                    parts.append((record, pieces))
                    handles.append(_open_part(disk, place, record))
        sizes = [record.size for record, _ in parts]
        done = 0
        for handle, begin, count in _cut(zip(handles, sizes, strict=True)):
            if done + count > STEP:
                body.write_back()
                yield
                done = 0
            body.copy(handle, begin, count)
            done += count
        if done > LEFT:
            body.write_back()
        sums = Sums(sum(sizes), b"".join(pieces for _, pieces in parts))
        if any(size % PIECE for size in sizes[:-1]):
            summing = Summing(md5=False)
            for (record, known), handle in zip(parts, handles, strict=True):
                yield from _sum_again(disk, handle, record.size, known, summing)
            sums = summing.finish()
        body.take_over(sums)
    finally:
        for handle in handles:
            os.close(handle)


def _cut(files: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Handle, offset and number of bytes, STEP at most, for all bytes of files (handle, bytes)."""
    for handle, size in files:
        for begin in range(0, size, STEP):
            yield handle, begin, min(STEP, size - begin)


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


def _sum_again(disk: Workings, handle: int, size: int, known: bytes, summing: Summing) -> Iterator[None]:
    """Sum a file that is one of several; each piece is compared with its own sum on the way."""
    buffer, begun = bytearray(PIECE), summing.size // STEP
    for at in range(0, size, PIECE):
        view = memoryview(buffer)[: min(PIECE, size - at)]
        with disk.trouble.told("assemble"):
            got = os.preadv(handle, [view], at)
        if got != len(view) or not is_piece(view, known, at // PIECE):
            raise DamagedError("a part is not what was put", offset=at)
        summing.update(view)
        if summing.size // STEP > begun:
            begun = summing.size // STEP
            yield

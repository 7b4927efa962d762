"""The audit log's older entries, moved from the database to files, so that the database grows no more.

An entry is deleted only once the file that has it is durable. Whoever is killed in between leaves it in both, and the
next file has it again: entries have numbers, by which that is seen. Nothing ever deletes or changes a file that has its
name; what a killed process was making is swept. The newest entry stays in the database: SQLite gives the next one a
number above the highest that is there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from drystone.base.errors import DrystoneError
from drystone.base.files import replace_file, sync_folder
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.desk import Desk
from drystone.kernel.naming import give_free_name

log = logging.getLogger(__name__)

BATCH = 10_000
"""Entries of one file, at most."""
_DAY = 86_400.0
_PASSING = ".passing."
"""How the name of a file begins that is being made."""
_EVERY = 3600.0
_FIRST = 60.0
_LEFT_SECONDS = _DAY
"""Mappers of other machines may write to the same folder, whose clock may be another: so old is nobody's any more."""


class ArchivedEntry(msgspec.Struct, frozen=True):
    """A line of a file: an AuditEntry with its number. :ivar at: seconds since 1970."""

    id: int
    at: float
    term: int
    what: str
    subject: str
    why: str


class AuditTable(Protocol):
    """The audit log in the database. Methods raise UnavailableError when that does not answer."""

    def oldest_audit(self, limit: int) -> tuple[list[ArchivedEntry], int]:
        """The oldest entries in their order, at most `limit`, and the number of the newest; 0: there is none."""

    def drop_audit(self, term: int, entries: Sequence[ArchivedEntry]) -> None:
        """Delete these, which are the oldest.

        :raises NotLeadingError: the lease is in another term. :raises MismatchError: they are not the oldest any more.
        """


class Archive:
    """Where older entries go. The constructor has no effects.

    :param days: that an entry stays in the database, 0: for ever. :param most: entries that stay there, 0: any number.
    """

    def __init__(self, folder: Path, days: float, most: int) -> None:
        self._folder = folder
        self._days = days
        self._most = most

    def choose(self, oldest: Sequence[ArchivedEntry], newest: int, wall: float) -> Sequence[ArchivedEntry]:
        """Those of the oldest entries that are to go now; none until a file is worth it: a day's entries, a tenth of
        those that stay, or as many as one file has.

        :param newest: number of the newest entry, which stays. :param wall: seconds since 1970.
        """
        before = wall - self._days * _DAY if self._days else 0.0
        last = newest - self._most if self._most else 0
        due = [
            number for number, each in enumerate(oldest) if (each.at < before or each.id <= last) and each.id < newest
        ]
        chosen = oldest[: due[-1] + 1] if due else ()  # what lies between was written by a clock that went ahead
        worth = (
            any(each.at < before - _DAY for each in chosen)
            or len(chosen) == BATCH
            or sum(each.id <= last for each in chosen) > self._most // 10
        )
        return chosen if worth else ()

    def write(self, entries: Sequence[ArchivedEntry]) -> Path:
        """Make a file of them, a JSON object a line; durable when it returns. One that is there is left as it is.

        :raises OSError: it cannot be written.
        """
        for folder in reversed([self._folder, *self._folder.parents]):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                sync_folder(folder.parent)
        data = b"".join(msgspec.json.encode(each) + b"\n" for each in entries)
        begun = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(entries[0].at))
        passing = self._folder / f"{_PASSING}{os.getpid()}.{os.urandom(4).hex()}"
        replace_file(passing, data)
        number = 1
        try:
            while True:
                again = f"-{number}" if number > 1 else ""
                path = self._folder / f"audit-{begun}-{entries[0].id}{again}.jsonl"
                try:
                    give_free_name(passing, path)
                    return path
                except FileExistsError:
                    if path.read_bytes() == data:
                        return path
                number += 1
        finally:
            passing.unlink(missing_ok=True)
            sync_folder(self._folder)  # whose name for it may be a killed process's, and not on the disk yet

    def sweep(self, wall: float) -> int:
        """Remove what killed processes left of files that they were making, a day later; how many there were.

        :param wall: seconds since 1970. :raises OSError: the folder refuses.
        """
        removed = 0
        for pattern in (f"{_PASSING}*", f".{_PASSING}*"):  # the other name is of `replace_file`
            for path in self._folder.glob(pattern):
                try:
                    if path.stat().st_mtime < wall - _LEFT_SECONDS:
                        path.unlink()
                        removed += 1
                except FileNotFoundError:  # another mapper did it
                    continue
                except OSError as error:  # entries are moved all the same
                    log.warning("%s is left: %s", path, error)
        return removed


class Archiver:
    """Moves entries while this process's mapper leads."""

    def __init__(self, desk: Desk, table: AuditTable, archive: Archive) -> None:
        self._desk = desk
        self._table = table
        self._archive = archive

    async def run(self) -> None:
        """Once an hour, for ever."""
        await asyncio.sleep(_FIRST)
        while True:
            try:
                await asyncio.to_thread(self._archive.sweep, time.time())
                while await self.move():
                    pass
            except NotLeadingError:
                pass
            except (DrystoneError, OSError) as error:
                log.warning("the audit log was not moved to its folder: %s", error)
            await asyncio.sleep(_EVERY)

    async def move(self) -> int:
        """Move as many entries as one file has; how many there were.

        :raises NotLeadingError: another mapper leads. :raises DrystoneError, OSError: they are in the database still.
        """
        mapper = self._desk.mapper

        def find() -> tuple[int, Sequence[ArchivedEntry]]:
            mapper.check_leads()
            oldest, newest = self._table.oldest_audit(BATCH)
            return mapper.term, self._archive.choose(oldest, newest, mapper.clock.now().timestamp())

        term, entries = await self._desk.do(find)
        if entries:
            path = await asyncio.to_thread(self._archive.write, entries)
            await self._desk.do(lambda: self._table.drop_audit(term, entries))
            log.info("%d entries of the audit log are in %s now", len(entries), path)
        return len(entries)

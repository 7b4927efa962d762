"""The index of a disk: SQLite with a write-ahead log, one thread that writes, and many writers in each commit.

`Index.write` returns when what its step did is durable (synchronous=FULL syncs the log at every commit). Steps that
wait while a commit is being synced go into the next one together, so the number of syncs does not grow with the
number of callers. Readers have connections of their own and see the last commit.

Places (disk/places.py), keys as UTF-8 bytes: SQLite compares them as listings order them.
"""

from __future__ import annotations

import collections
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from drystone.base.errors import DamagedError, UnavailableError

T = TypeVar("T")
Step = Callable[[sqlite3.Connection], T]

FORMAT = 1
_MOST = 512
_LOST = "'drystone fleet disk start-over FOLDER' makes it a new disk: what it had is copied from the other copies"
_ROW = """
    placement INTEGER NOT NULL, key BLOB NOT NULL, version TEXT NOT NULL, made INTEGER NOT NULL, seq INTEGER NOT NULL,
    size INTEGER NOT NULL, modified REAL NOT NULL, etag TEXT NOT NULL, digest BLOB NOT NULL, place TEXT NOT NULL,
    extra BLOB, pieces BLOB NOT NULL
"""
_SCHEMA = f"""
-- a number is never used again: what is kept in memory goes by it
CREATE TABLE placements (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, slot TEXT NOT NULL,
    document BLOB NOT NULL, objects INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0,
    newest REAL NOT NULL DEFAULT 0);
-- the latest version of each key that is not deleted
CREATE TABLE objects ({_ROW}, PRIMARY KEY (placement, key)) WITHOUT ROWID;
-- all others: noncurrent ones, and delete markers (which have no place)
CREATE TABLE versions ({_ROW}, PRIMARY KEY (placement, key, made DESC)) WITHOUT ROWID;
-- removals that are remembered while the placement is copied to this disk
CREATE TABLE tombstones (placement INTEGER NOT NULL, key BLOB NOT NULL, version TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (placement, key, version)) WITHOUT ROWID;
-- changes that a leader prepared and has not decided: taken back at open, so what they are need not be known
CREATE TABLE intents (number INTEGER PRIMARY KEY, placement INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL);
-- files that are to be at target and may still be at source: done again at open; is_link: source may stay
CREATE TABLE moves (target TEXT PRIMARY KEY, source TEXT NOT NULL, is_link INTEGER NOT NULL,
    placement INTEGER NOT NULL, key BLOB NOT NULL) WITHOUT ROWID;
-- files that nothing refers to any more: unlinked again at open
CREATE TABLE garbage (place TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE uploads (placement INTEGER NOT NULL, upload TEXT NOT NULL, key BLOB NOT NULL, document BLOB NOT NULL,
    PRIMARY KEY (placement, upload)) WITHOUT ROWID;
CREATE TABLE parts (placement INTEGER NOT NULL, upload TEXT NOT NULL, number INTEGER NOT NULL, record BLOB NOT NULL,
    place TEXT NOT NULL, pieces BLOB NOT NULL, PRIMARY KEY (placement, upload, number)) WITHOUT ROWID;
-- keys whose members may have another state than this disk's leader
CREATE TABLE dirty (placement INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (placement, key)) WITHOUT ROWID;
-- counts up to which version numbers of an epoch may have been given out
CREATE TABLE counters (placement INTEGER NOT NULL, epoch INTEGER NOT NULL, reserved INTEGER NOT NULL,
    PRIMARY KEY (placement, epoch)) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
"""


class Index:
    """The index in one file. The constructor has no effects.

    :param path: of the file. :param on_commit: called in the writing thread after every commit, for tests.
    """

    def __init__(self, path: Path, on_commit: Callable[[sqlite3.Connection], None] | None = None) -> None:
        self._path = path
        self._on_commit = on_commit
        self._steps: queue.SimpleQueue[tuple[Step[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._idle: collections.deque[sqlite3.Connection] = collections.deque()  # its steps are whole for all threads
        self._guard = threading.Lock()
        self._is_open = False

    def create(self) -> None:
        """Make the file with its tables, unless it has them. Durable, but for its name, when this returns.

        :raises sqlite3.Error: the file system refuses, or another file is there.
        """
        connection = self._connect()
        try:
            if _version_of(connection) == 0:
                connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        finally:
            connection.close()

    def open(self) -> None:
        """Open the file; SQLite finishes what a crash left.

        :raises sqlite3.Error: it cannot be opened, or is damaged. :raises DamagedError: it is not there, or empty: what
            the disk had is not known any more, and an index without it would pass for that of a disk that never had it.
        :raises UnavailableError: a later version's.
        """
        if not self._path.exists():
            raise DamagedError(f"{self._path} is gone", hint=_LOST)
        connection = self._connect()
        try:
            version = _version_of(connection)
            if version == 0:
                raise DamagedError(f"{self._path} is empty", hint=_LOST)
            if version != FORMAT:
                raise UnavailableError(f"{self._path} has format {version}, which this version does not know")
        except BaseException:
            connection.close()
            raise
        self._writer = connection
        self._is_open = True
        self._thread = threading.Thread(target=self._run, args=(connection,), name=f"index {self._path}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the steps that wait, and close the connections. Harmless when it is closed."""
        with self._guard:
            was_open, self._is_open = self._is_open, False
        if not was_open:
            return
        self._steps.put(None)
        if self._thread is not None:
            self._thread.join()
        for connection in (*self._readers, self._writer):
            if connection is not None:
                connection.close()
        self._readers.clear()
        self._idle = collections.deque()

    def write(self, step: Step[T]) -> T:
        """What `step` returns; all it did is durable. When it raises, nothing of it is done.

        :raises sqlite3.Error: the commit failed; what was done of it is known after the next open only.
        """
        return self.begin(step).result()

    def begin(self, step: Step[T]) -> Future[T]:
        """As `write`, for who has something else to do meanwhile: it is done once there is a result."""
        future: Future[T] = Future()
        with self._guard:
            if not self._is_open:
                raise UnavailableError(f"{self._path} is closed")
            self._steps.put((step, future))
        return future

    def shorten_log(self) -> None:
        """Take what is in the log over into the file, so that the next commits need no more room; as far as it goes.

        :raises sqlite3.Error: the file system refuses.
        """
        with self.looking() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state, the last one committed, as long as the block lasts."""
        connection = self._take()
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
        finally:
            self._idle.append(connection)

    @contextlib.contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """A connection for single statements."""
        connection = self._take()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def _take(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        with self._guard:
            if not self._is_open:
                raise UnavailableError(f"{self._path} is closed")
            connection = self._connect()
            self._readers.append(connection)
            return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=60)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -2048")
            connection.execute("PRAGMA journal_size_limit = 67108864")
        except BaseException:
            connection.close()
            raise
        return connection

    def _run(self, connection: sqlite3.Connection) -> None:
        goes_on = True
        while goes_on:
            batch: list[tuple[Step[Any], Future[Any]]] = []
            item = self._steps.get()
            while item is not None:
                batch.append(item)
                if len(batch) == _MOST or self._steps.empty():
                    break
                item = self._steps.get()
            goes_on = item is not None
            if batch:
                self._commit(connection, batch)

    def _commit(self, connection: sqlite3.Connection, batch: list[tuple[Step[Any], Future[Any]]]) -> None:
        """One transaction of all steps of `batch`; each that fails is undone on its own and told so.

        Where there is no room SQLite undoes all of them, and all are told.
        """
        done: list[tuple[Future[Any], Any]] = []
        failed: list[tuple[Future[Any], BaseException]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for step, future in batch:
                connection.execute("SAVEPOINT step")
                try:
                    done.append((future, step(connection)))
                except Exception as error:  # the thread that serves all callers: told to the step's
                    if not connection.in_transaction:
                        raise  # SQLite took everything back by itself, as it does when there is no room
                    connection.execute("ROLLBACK TO step")
                    failed.append((future, error))
                connection.execute("RELEASE step")
            connection.execute("COMMIT")
            if self._on_commit is not None:
                self._on_commit(connection)
        except Exception as error:  # noqa: BLE001  # the same: the whole batch failed, and every caller is told
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for _, future in batch:
                future.set_exception(error)
            return
        for future, reason in failed:
            future.set_exception(reason)
        for future, result in done:
            future.set_result(result)


def _version_of(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)

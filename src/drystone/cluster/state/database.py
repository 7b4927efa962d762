"""Transactions: what is changed in one is durable when it returns, or was not done.

SQLite: WAL with synchronous=FULL, BEGIN IMMEDIATE. PostgreSQL: synchronous_commit=on. MariaDB: as its
innodb_flush_log_at_trx_commit says, which is 1, durable, unless somebody changed it. Changes run at READ COMMITTED and
compare versions; reads at REPEATABLE READ, so that a dlv and its legs are of one moment.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import create_engine, event, insert, select, update
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError

from drystone.base.clock import Clock, SystemClock, format_instant
from drystone.base.errors import BusyError, UnavailableError, UsageError
from drystone.cluster.state import schema
from drystone.cluster.state.migrations.apply import bring_up_to_date

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Result = TypeVar("Result")

_BUSY_SECONDS = 10.0
_TRIES = 8
_PAUSE = 0.005
"""Seconds, at most, after the first race that was lost; twice that after each other one."""
_DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql", "mysql": "mysql+pymysql"}
_CONFLICTS = {"40001", "40P01", 1205, 1213, 1020}
"""What a database says of a transaction that another one was in the way of: SQLSTATEs, and MariaDB's numbers."""


Told = Callable[[Sequence[Mapping[str, str]]], None]
"""Is called with events (`kind`, `subject`, ...) that have just been committed. It must neither wait nor raise."""


class LostRaceError(Exception):
    """Another transaction changed what this one was made from: it is undone and made anew."""


@dataclass(slots=True)
class Work:
    """A transaction under way. :ivar caller: who asked, :ivar request: the id of the request: for events."""

    connection: Connection
    at: str
    caller: str = ""
    request: str = ""
    events: list[dict[str, str]] = field(default_factory=list)

    def tell(self, what: str, kind: str, subject: str, text: str = "") -> None:
        """Have an event written with the transaction. `kind` and `subject` name what it is of."""
        self.events.append({"what": what, "kind": kind, "subject": subject, "text": text[:1000]})


class Database:
    """The database at `url`: `sqlite:///PATH`, `postgresql://USER@HOST/NAME` or `mariadb://USER:PASSWORD@HOST/NAME`.

    Its methods may be called by several threads.

    :param told: of each transaction's events, after its commit.
    :raises UsageError: another kind of URL.
    """

    def __init__(self, url: str, *, clock: Clock | None = None, told: Told | None = None) -> None:
        self.url = url
        self._told = told
        self.clock = SystemClock() if clock is None else clock
        kind, _, place = url.partition("://")
        self._sqlite = kind == "sqlite" and place.startswith("/") and place not in {"/", "/:memory:"}
        if not self._sqlite and kind not in _DRIVERS:
            raise UsageError(
                f"database {kind}://... is not known", hint="sqlite:///PATH, postgresql://... or mariadb://..."
            )
        self._kind = kind
        self._writing: Engine | None = None
        self._reading: Engine | None = None

    def open(self) -> None:
        """Connect, and bring the tables up to date.

        :raises UsageError: the URL is malformed. :raises UnavailableError: the database does not answer.
        :raises UnsupportedError: a newer Drystone wrote it, or the driver is not installed.
        """
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        with self._translated():
            if self._sqlite:
                self._writing = self._make_engine()
                self._reading = self._writing.execution_options(reads=True)
            else:
                self._writing = self._make_engine(isolation_level="READ COMMITTED")
                self._reading = self._make_engine(isolation_level="REPEATABLE READ")
            bring_up_to_date(self._writing)

    def close(self) -> None:
        """Give the connections back."""
        for engine in (self._writing, self._reading):
            if engine is not None:
                engine.dispose()
        self._writing = self._reading = None

    def read(self, action: Callable[[Connection], Result]) -> Result:
        """What `action` finds, in one moment. :raises UnavailableError: the database does not answer."""
        assert self._reading is not None, "open"
        with self._translated(), self._reading.connect() as connection:
            return action(connection)

    def change(self, action: Callable[[Work], Result], *, caller: str = "", request: str = "") -> Result:
        """Do `action` in a transaction, with the events that it tells; it is done anew when another was in the way.

        :raises BusyError: others were in the way again and again; nothing was changed.
        :raises UnavailableError: the database does not answer. When it went away while committing, whether the change
            was made is not known: ask again with the same idempotency key.
        """
        result, work = self._attempt(action, caller, request, keep=True)
        if self._told is not None and work.events:
            self._told(work.events)
        return result

    def rehearse(self, action: Callable[[Work], Result], *, caller: str = "") -> tuple[Result, list[dict[str, str]]]:
        """What `action` would return now, and the events it would tell; all of it is undone. Raises as `change`."""
        result, work = self._attempt(action, caller, "", keep=False)
        return result, work.events

    def _attempt(
        self, action: Callable[[Work], Result], caller: str, request: str, *, keep: bool
    ) -> tuple[Result, Work]:
        assert self._writing is not None, "open"
        for turn in range(_TRIES):
            try:
                with self._translated(), self._writing.connect() as connection, connection.begin() as transaction:
                    work = Work(connection, format_instant(self.clock.now()), caller, request)
                    result = action(work)
                    if keep:
                        _write_events(work)
                    else:
                        transaction.rollback()
                return result, work
            except LostRaceError:
                self.clock.sleep(random.uniform(0, _PAUSE * 2**turn))  # noqa: S311  # so that they do not meet again
        raise BusyError("others change the same all the time", hint="try again")

    def _make_engine(self, **settings: str) -> Engine:
        try:
            if self._sqlite:
                return _sqlite_engine(self.url)
            url = self.url.replace(self._kind, _DRIVERS[self._kind], 1)
            options: dict[str, object] = {"connect_timeout": 5}
            if self._kind == "postgresql":
                options["options"] = "-c statement_timeout=20000 -c lock_timeout=10000 -c synchronous_commit=on"
            else:
                options |= {"read_timeout": 20, "write_timeout": 20, "init_command": "SET innodb_lock_wait_timeout=10"}
            return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=8, connect_args=options, **settings)
        except (ArgumentError, NoSuchModuleError, ValueError) as error:
            raise UsageError(f"the database's URL: {error}") from error
        except ModuleNotFoundError as error:
            raise UsageError(f"the driver is not installed: {error}", hint="pip install drystone[cluster]") from error

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """:raises LostRaceError: it is to be done anew. :raises UnavailableError: the database failed."""
        try:
            yield
        except IntegrityError as error:
            raise LostRaceError(str(error.orig)) from error
        except DBAPIError as error:
            if _is_conflict(error):
                raise LostRaceError(str(error.orig)) from error
            if not isinstance(error, ProgrammingError | DataError):
                raise UnavailableError(
                    f"the cluster's database failed: {str(error.orig).strip()}",
                    hint="whether the change was made is not known; the same idempotency key tells",
                ) from error
            raise


def _sqlite_engine(url: str) -> Engine:
    path = Path(url.removeprefix("sqlite:///"))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The secrets of legs are in it. SQLite gives the mode of the file to those that it makes beside it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UnavailableError(f"database {path}: {error.strerror or error}") from error
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _is_conflict(error: DBAPIError) -> bool:
    """Whether another transaction was in the way: a deadlock, or a lock that took too long."""
    found = error.orig
    if isinstance(found, sqlite3.OperationalError):
        return found.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return getattr(found, "sqlstate", None) in _CONFLICTS or (
        found is not None and bool(found.args) and found.args[0] in _CONFLICTS
    )


def _write_events(work: Work) -> None:
    """Number and write the transaction's events, as the last thing before its commit.

    Who reads events beyond a number misses none: the row of the counter is locked until the commit, so that events
    become visible in the order of their numbers.
    """
    if not work.events:
        return
    counter = schema.event_counter
    work.connection.execute(update(counter).values(value=counter.c.value + len(work.events)))
    last = work.connection.execute(select(counter.c.value)).scalar_one()
    first = last - len(work.events) + 1
    common = {"at": work.at, "caller": work.caller, "request": work.request}
    rows = [{"number": first + offset, **common, **each} for offset, each in enumerate(work.events)]
    work.connection.execute(insert(schema.events), rows)

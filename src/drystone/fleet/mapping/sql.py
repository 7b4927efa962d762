"""The mapper's database in SQL, by SQLAlchemy Core: SQLite (synchronous=FULL, BEGIN IMMEDIATE) or PostgreSQL.

Every change is one transaction that also locks and checks the row of the lease: a mapper that lost it changes nothing.
One that hangs in the middle of one is ended: by PostgreSQL its connection, with SQLite its process (mapping.presence).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import create_engine, delete, event, func, insert, select, text, update
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from drystone.base.errors import MismatchError, UnavailableError, UsageError
from drystone.base.names import new_uuid
from drystone.fleet.documents import Bucket, Key, Placement
from drystone.fleet.mapping import schema
from drystone.fleet.mapping.archive import ArchivedEntry
from drystone.fleet.mapping.audit import describe
from drystone.fleet.mapping.database import AuditEntry, Lease, NotLeadingError
from drystone.fleet.mapping.model import Change, DiskRecord, DrillRecord, Leftover, Model, ServerRecord
from drystone.fleet.mapping.presence import Presence
from drystone.fleet.mapping.statements import write_change

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_BUSY_SECONDS = 5.0


class SqlDatabase:
    """The database at `url`: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`. Satisfies Database.

    :param busy_seconds: how long a SQLite file may be locked by another mapper until that one is taken to hang.
    :raises UsageError: another kind of URL.
    """

    def __init__(self, url: str, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        self.url = url
        self._busy_seconds = busy_seconds
        kind, _, place = url.partition(":///")
        self._sqlite = kind == "sqlite" and place not in {"", ":memory:"}
        if not self._sqlite and not url.startswith(("postgresql://", "postgresql+psycopg://")):
            raise UsageError(f"database {url!r} is neither sqlite:///PATH nor postgresql://...")
        self._file = Path(place)
        self._presence = Presence(self._file) if self._sqlite else None
        self._engine: Engine | None = None

    def open(self) -> None:
        with self._translated():
            engine = self._make_engine()
            self._engine = engine
            if self._presence is not None:
                self._presence.begin()
            with self._transaction() as connection:
                if not self._sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(20261121)"))
                schema.migrate(connection, new_uuid())

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._presence is not None:
            self._presence.end()

    def _make_engine(self) -> Engine:
        """:raises UsageError: the URL is malformed."""
        try:
            if not self._sqlite:
                return create_engine(
                    self.url.replace("postgresql://", "postgresql+psycopg://", 1),
                    pool_pre_ping=True,
                    pool_size=1,
                    max_overflow=1,
                    connect_args={
                        "connect_timeout": 3,
                        "options": "-c statement_timeout=5000 -c lock_timeout=3000 -c synchronous_commit=on",
                    },
                )
            self._file.parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(self.url, connect_args={"timeout": self._busy_seconds, "check_same_thread": False})
        except (ArgumentError, NoSuchModuleError, ValueError) as error:
            raise UsageError(f"database {self.url!r}: {error}") from error

        @event.listens_for(engine, "connect")
        def set_up(connection: object, _record: object) -> None:
            connection.isolation_level = None  # type: ignore[attr-defined]  # we say BEGIN ourselves
            cursor = connection.cursor()  # type: ignore[attr-defined]
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.close()

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, or undone when it fails."""
        assert self._engine is not None, "open"
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """:raises UnavailableError: the database failed."""
        try:
            yield
        except DBAPIError as error:
            if self._presence is not None and _is_locked(error.orig):
                self._presence.end_hung()
            raise UnavailableError(f"the mapper's database: {error.orig}") from error
        except SQLAlchemyError as error:
            raise UnavailableError(f"the mapper's database: {error}") from error
        except OSError as error:
            raise UnavailableError(f"the mapper's database: {error.strerror or error}") from error

    def _now(self, connection: Connection) -> float:
        """Seconds since 1970 by the clock that all mappers share: the database server's, or this machine's."""
        if self._sqlite:
            return time.time()
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def _locked_lease(self, connection: Connection) -> tuple[Lease, float]:
        """The lease, and until when it lasts. Nobody else changes it before our transaction ends."""
        row = connection.execute(select(schema.lease).with_for_update()).one()
        return Lease(row.term, row.holder, row.url), row.until

    def take_lease(self, holder: str, url: str, seconds: float) -> Lease:
        with self._transaction() as connection:
            lease, until = self._locked_lease(connection)
            now = self._now(connection)
            if lease.holder != holder and now < until <= now + 10 * seconds:
                return lease
            term = lease.term if lease.holder == holder else lease.term + 1
            connection.execute(update(schema.lease).values(term=term, holder=holder, url=url, until=now + seconds))
            return Lease(term, holder, url)

    def release_lease(self, holder: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                update(schema.lease).where(schema.lease.c.holder == holder).values(holder="", url="", until=0.0)
            )

    def raise_term(self, holder: str, term: int) -> None:
        with self._transaction() as connection:
            lease, _ = self._locked_lease(connection)
            if lease.holder != holder:
                raise NotLeadingError(lease.url)
            connection.execute(update(schema.lease).values(term=max(term, lease.term)))

    def load(self) -> Model:
        with self._transaction() as connection:
            return _load(connection)

    def commit(self, term: int, version: int, changes: Sequence[Change], at: float) -> int:
        try:
            with self._transaction() as connection:
                lease, _ = self._locked_lease(connection)
                if lease.term != term:
                    raise NotLeadingError(lease.url)
                found = connection.execute(select(schema.fleet.c.version)).scalar_one()
                if found != version:
                    raise MismatchError(f"the map has version {found} in the database, not {version}")
                for change in changes:
                    write_change(connection, change)
                entries = [
                    {"at": at, "term": term, "what": what, "subject": subject, "why": why}
                    for what, subject, why in map(describe, changes)
                ]
                if entries:
                    connection.execute(insert(schema.audit), entries)
                connection.execute(update(schema.fleet).values(version=version + 1))
                return version + 1
        except UnavailableError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise MismatchError(f"what was to be made is there already: {error.__cause__.orig}") from error
            raise

    def audit(self, limit: int) -> list[AuditEntry]:
        with self._transaction() as connection:
            rows = connection.execute(select(schema.audit).order_by(schema.audit.c.id.desc()).limit(limit))
            return [AuditEntry(row.at, row.term, row.what, row.subject, row.why) for row in rows]

    def oldest_audit(self, limit: int) -> tuple[list[ArchivedEntry], int]:
        with self._transaction() as connection:
            newest = connection.execute(select(func.max(schema.audit.c.id))).scalar()
            rows = connection.execute(select(schema.audit).order_by(schema.audit.c.id).limit(limit))
            found = [ArchivedEntry(row.id, row.at, row.term, row.what, row.subject, row.why) for row in rows]
            return found, newest or 0

    def drop_audit(self, term: int, entries: Sequence[ArchivedEntry]) -> None:
        with self._transaction() as connection:
            lease, _ = self._locked_lease(connection)
            if lease.term != term:
                raise NotLeadingError(lease.url)
            gone = connection.execute(delete(schema.audit).where(schema.audit.c.id <= entries[-1].id)).rowcount
            if gone != len(entries):
                raise MismatchError(f"the audit log has {gone} entries up to {entries[-1].id}, not {len(entries)}")


def _is_locked(error: BaseException | None) -> bool:
    """Whether another process had SQLite's file locked for longer than we wait."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _load(connection: Connection) -> Model:
    row = connection.execute(select(schema.fleet)).one()
    model = Model(row.id, row.version, row.recovering)
    for each in connection.execute(select(schema.servers)):
        model.servers[each.id] = ServerRecord(each.id, each.url, each.alive)
    for each in connection.execute(select(schema.disks)):
        model.disks[each.disk_id] = DiskRecord(each.disk_id, each.server, each.name, each.mark, each.reason)
    for each in connection.execute(select(schema.placements.c.document)):
        model.put_placement(msgspec.json.decode(each.document, type=Placement))
    for each in connection.execute(select(schema.removed)):
        model.removed.add(each.id)
        model.folders.setdefault(each.folder, each.id)
    model.led_past.update(connection.execute(select(schema.led_past.c.placement)).scalars())
    for each in connection.execute(select(schema.leftovers)):
        model.leftovers[each.placement, each.disk_id] = Leftover(each.placement, each.disk_id, each.since, each.due)
    for each in connection.execute(select(schema.buckets.c.document)):
        bucket = msgspec.json.decode(each.document, type=Bucket)
        model.buckets[bucket.name] = bucket
    for each in connection.execute(select(schema.keys.c.document)):
        key = msgspec.json.decode(each.document, type=Key)
        model.keys[key.access_key] = key
    for each in connection.execute(select(schema.drills)):
        model.drills[each.placement] = DrillRecord(*each)
    for each in connection.execute(select(schema.groups)):
        model.groups[each.namespace, each.host] = tuple(json.loads(each.vbuckets))
    return model

"""The catalogue: which volumes and snapshots there are, the pools' transactions, and the journal.

SQLite, write-ahead log, synchronous=FULL: every method that changes something is one transaction and is durable,
through a power cut too, when it returns. Readers see the last committed state and never wait for a writer.

The journal. Each operation is written down before its first effect (`begin_*`, which also reserves the name) and
struck out in the same transaction that records its result (`finish_*`). What is in the journal when the daemon starts
was cut short; reconcile.py ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from drystone.base.clock import Clock
from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    NotFoundError,
    UnsupportedError,
)
from drystone.base.files import sync_folder
from drystone.volumes.audit import Entry, acting
from drystone.volumes.driver import Snapshot, Volume
from drystone.volumes.pools import Pool
from drystone.volumes.queries import migrations, named

_BUSY_SECONDS = 30.0
_ENTRY = Entry.__struct_fields__

AUDIT_ENTRIES = 100_000
"""How many the trail keeps, some 20 MB; older ones go."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the journal.

    :ivar action: create, delete, snapshot-create, snapshot-delete, mount, resize or rollback.
    :ivar volume: as it will be (create, mount, resize, rollback) or was (the others).
    :ivar holder: who wants it mounted; "" for whoever does so by hand.
    :ivar filesystem: of a resize: the file system grows with the volume.
    :ivar was: of a rollback: the volume as it was.
    """

    id: int
    action: str
    volume: Volume
    snapshot: Snapshot | None
    begun: str
    holder: str = ""
    filesystem: bool = False
    was: Volume | None = None


class Catalogue:
    """The database at `path`. `open` before use; safe to use from several threads."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._writing = threading.Lock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._guard = threading.Lock()

    def open(self) -> None:
        """Make or migrate the file. Durable when it returns.

        :raises UnsupportedError: a newer Drystone wrote it. :raises DamagedError: it is no database, or is corrupt.
        """
        try:
            connection = self._connection()
            self._migrate(connection)
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise DamagedError(f"the catalogue {self.path} is corrupt", hint="restore the file from a copy")
        except sqlite3.DatabaseError as error:
            raise _translate(error, self.path) from error
        sync_folder(self.path.parent)

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    # Reading

    def list_volumes(self) -> list[Volume]:
        """Oldest first."""
        return [_volume(row) for row in self._read("list_volumes")]

    def get_volume(self, uuid: str) -> Volume:
        """:raises NotFoundError: there is none."""
        for row in self._read("get_volume", uuid=uuid):
            return _volume(row)
        raise NotFoundError(f"there is no volume {uuid}")

    def list_snapshots(self, volume: str | None = None) -> list[Snapshot]:
        """Oldest first; of one volume, or of all."""
        rows = self._read("list_snapshots") if volume is None else self._read("list_snapshots_of", volume=volume)
        return [_snapshot(row) for row in rows]

    def get_snapshot(self, uuid: str) -> Snapshot:
        """:raises NotFoundError: there is none."""
        for row in self._read("get_snapshot", uuid=uuid):
            return _snapshot(row)
        raise NotFoundError(f"there is no snapshot {uuid}")

    def list_holders(self, volume: str) -> list[str]:
        """Who wants the volume of a UUID mounted: ids of Docker's requests, "" for whoever mounted it by hand."""
        return [str(holder) for (holder,) in self._read("list_holders", volume=volume)]

    def list_operations(self) -> list[Operation]:
        """What has begun and not ended, oldest first."""
        found = []
        for id_, action, document, begun in self._read("list_operations"):
            assert isinstance(id_, int)
            content = json.loads(str(document))
            snapshot = Snapshot(**content["snapshot"]) if content["snapshot"] else None
            # These three are not in a journal of an older Drystone.
            holder, was = str(content.get("holder", "")), content.get("was")
            volume, filesystem = Volume(**content["volume"]), bool(content.get("filesystem", False))
            before = Volume(**was) if was else None
            found.append(Operation(id_, str(action), volume, snapshot, str(begun), holder, filesystem, before))
        return found

    def list_audit(self, subject: str = "", most: int = 1000) -> list[Entry]:
        """The newest entries of the trail, oldest first. :param subject: only of this name or UUID."""
        rows = self._read("list_audit", subject=subject, most=most)
        return [msgspec.convert(row, Entry) for row in (dict(zip(_ENTRY, each, strict=True)) for each in rows)]

    def check_idle(self, volume: Volume) -> None:
        """:raises BusyError: the journal has an operation of it, under way or cut short."""
        if any(each.volume.uuid == volume.uuid for each in self.list_operations()):
            raise BusyError(
                f"something else is done to volume {volume.name}, or was cut short",
                hint="wait for it; drystone volume fsck --repair ends what was cut short",
            )

    def check_content(self, volume: Volume) -> None:
        """:raises BusyError: it may have, uncommitted, what it was to go back to; what is written to that will go."""
        for each in self.list_operations():
            if each.action == "rollback" and each.volume.uuid == volume.uuid and each.volume.facts != volume.facts:
                raise BusyError(
                    f"volume {volume.name} was going back to a snapshot, and that is neither done nor undone",
                    hint="drystone volume fsck --repair, or the daemon's next start, undoes it",
                )

    def get_pool(self, name: str) -> Pool | None:
        """The record of a pool, None for one that this root never made."""
        for row in self._read("get_pool", name=name):
            return _pool(row)
        return None

    def check_volume_name(self, name: str) -> None:
        """:raises ExistsError: it is taken, or being taken."""
        if self._read("taken_volume_name", name=name):
            raise ExistsError(f"there is a volume {name!r} already", hint="pick another name, or delete it")

    def check_snapshot_name(self, name: str) -> None:
        """:raises ExistsError: it is taken, or being taken."""
        if self._read("taken_snapshot_name", name=name):
            raise ExistsError(f"there is a snapshot {name!r} already", hint="pick another name")

    # Writing: each durable when it returns

    def put_pool(self, pool: Pool) -> None:
        """Write down a pool's transaction."""
        with self._write() as connection:
            connection.execute(named()["put_pool"], asdict(pool))

    def begin_create(self, volume: Volume) -> Operation:
        """Reserve the name. :raises ExistsError: it is taken, or being taken."""
        with self._write() as connection:
            self.check_volume_name(volume.name)
            return self._begin(connection, "create", volume, None)

    def finish_create(self, operation: Operation) -> None:
        """The volume exists."""
        with self._write() as connection:
            row = asdict(operation.volume)
            connection.execute(named()["insert_volume"], {**row, "facts": json.dumps(operation.volume.facts)})
            self._end(connection, operation)

    def begin_delete(self, volume: Volume) -> Operation:
        """The volume is shown until it is gone."""
        with self._write() as connection:
            return self._begin(connection, "delete", volume, None)

    def finish_delete(self, operation: Operation) -> None:
        """The volume and its snapshots are gone."""
        with self._write() as connection:
            connection.execute(named()["delete_volume"], {"uuid": operation.volume.uuid})
            self._end(connection, operation)

    def forget_volume(self, volume: Volume) -> None:
        """The volume and its snapshots are not ours any more."""
        with self._write() as connection:
            connection.execute(named()["delete_volume"], {"uuid": volume.uuid})
            self._note(connection, "forget", volume.name, volume.uuid)

    def begin_create_snapshot(self, volume: Volume, snapshot: Snapshot) -> Operation:
        """Reserve the name. :raises ExistsError: it is taken, or being taken."""
        return self.begin_create_snapshots([(volume, snapshot)])[0]

    def begin_create_snapshots(self, pairs: Sequence[tuple[Volume, Snapshot]]) -> list[Operation]:
        """Reserve all the names, or none. :raises ExistsError: one is taken, or being taken."""
        with self._write() as connection:
            operations = []
            for volume, snapshot in pairs:
                self.check_snapshot_name(snapshot.name)
                operations.append(self._begin(connection, "snapshot-create", volume, snapshot))
            return operations

    def finish_create_snapshot(self, operation: Operation) -> None:
        """The snapshot exists."""
        self.finish_create_snapshots([operation])

    def finish_create_snapshots(self, operations: Sequence[Operation]) -> None:
        """The snapshots exist: all of them from one moment on."""
        with self._write() as connection:
            for operation in operations:
                snapshot = operation.snapshot
                assert snapshot is not None
                row = asdict(snapshot)
                connection.execute(named()["insert_snapshot"], {**row, "facts": json.dumps(snapshot.facts)})
                self._end(connection, operation)

    def begin_delete_snapshot(self, volume: Volume, snapshot: Snapshot) -> Operation:
        """The snapshot is shown until it is gone."""
        with self._write() as connection:
            return self._begin(connection, "snapshot-delete", volume, snapshot)

    def finish_delete_snapshot(self, operation: Operation) -> None:
        """The snapshot is gone."""
        assert operation.snapshot is not None
        with self._write() as connection:
            connection.execute(named()["delete_snapshot"], {"uuid": operation.snapshot.uuid})
            self._end(connection, operation)

    def begin_mount(self, volume: Volume, holder: str = "") -> Operation:
        """`volume.mount_point` is where it is going to be; it may become known only at `finish_mount`."""
        with self._write() as connection:
            return self._begin(connection, "mount", volume, None, holder)

    def finish_mount(self, operation: Operation, mount_point: str) -> None:
        """It is mounted there for its holder, and shall be after every restart."""
        uuid = operation.volume.uuid
        with self._write() as connection:
            connection.execute(named()["set_mount_point"], {"uuid": uuid, "mount_point": mount_point})
            connection.execute(named()["add_holder"], {"volume": uuid, "holder": operation.holder})
            self._end(connection, operation)

    def begin_rollback(self, volume: Volume, after: Volume) -> Operation:
        """The volume as it is, and as it will be."""
        with self._write() as connection:
            return self._begin(connection, "rollback", after, None, was=volume)

    def commit_rollback(self, operation: Operation) -> None:
        """The volume is now what it was to be. The operation goes on: what it was is there still."""
        volume = operation.volume
        with self._write() as connection:
            row = {"uuid": volume.uuid, "size": volume.size, "facts": json.dumps(volume.facts)}
            connection.execute(named()["set_content"], row)

    def finish_rollback(self, operation: Operation) -> None:
        """What the volume was is gone."""
        with self._write() as connection:
            self._end(connection, operation)

    def add_holder(self, volume: Volume, holder: str) -> None:
        """One more wants it mounted, as it is."""
        with self._write() as connection:
            connection.execute(named()["add_holder"], {"volume": volume.uuid, "holder": holder})
            self._note(connection, "hold", volume.name, volume.uuid)

    def drop_holders(self, volume: Volume, holders: Collection[str]) -> None:
        """They do not want it mounted any more; others do."""
        with self._write() as connection:
            rows = [{"volume": volume.uuid, "holder": each} for each in holders]
            connection.executemany(named()["drop_holder"], rows)
            self._note(connection, "release", volume.name, volume.uuid)

    def set_umounted(self, volume: Volume) -> None:
        """It is not mounted, and shall not be after a restart; nobody holds it."""
        with self._write() as connection:
            connection.execute(named()["set_mount_point"], {"uuid": volume.uuid, "mount_point": ""})
            connection.execute(named()["drop_holders"], {"volume": volume.uuid})
            self._note(connection, "umount", volume.name, volume.uuid)

    def begin_resize(self, volume: Volume, *, filesystem: bool) -> Operation:
        """The volume has its new size from now on: who is cut short must go on, and not back (resizing.py)."""
        with self._write() as connection:
            connection.execute(named()["set_size"], {"uuid": volume.uuid, "size": volume.size})
            return self._begin(connection, "resize", volume, None, filesystem=filesystem)

    def finish_resize(self, operation: Operation) -> None:
        """It has that size, and so has its file system if it was to."""
        with self._write() as connection:
            connection.execute(named()["set_size"], {"uuid": operation.volume.uuid, "size": operation.volume.size})
            self._end(connection, operation)

    def set_size(self, volume: Volume) -> None:
        """It has that size after all."""
        with self._write() as connection:
            connection.execute(named()["set_size"], {"uuid": volume.uuid, "size": volume.size})

    def drop(self, operation: Operation) -> None:
        """Strike out an operation that left nothing behind."""
        with self._write() as connection:
            self._end(connection, operation, "undone")

    @contextlib.contextmanager
    def noting(self, action: str, subject: str) -> Iterator[None]:
        """The entry of a change of something that is no volume and no snapshot, around that change."""
        with self._write() as connection:
            entry = self._note(connection, action, subject, "", "begun")
        outcome = "undone"
        try:
            yield
            outcome = "done"
        finally:
            with self._write() as connection:
                connection.execute(named()["end_entry"], {"id": entry, "outcome": outcome})

    # For records that are kept beside these

    def read(self, query: str, **parameters: object) -> list[tuple[object, ...]]:
        """The rows of a named query."""
        return self._read(query, **parameters)

    def change(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """One transaction: durable when the block ends, or as if it had never been."""
        return self._write()

    def note(self, connection: sqlite3.Connection, action: str, subject: str, uuid: str) -> None:
        """Have what a transaction of `change` does in the trail."""
        self._note(connection, action, subject, uuid)

    # Underneath

    def _begin(
        self,
        connection: sqlite3.Connection,
        action: str,
        volume: Volume,
        snapshot: Snapshot | None,
        holder: str = "",
        *,
        filesystem: bool = False,
        was: Volume | None = None,
    ) -> Operation:
        begun = self._clock.now().isoformat(timespec="seconds")
        document = {
            "volume": asdict(volume),
            "snapshot": asdict(snapshot) if snapshot else None,
            "holder": holder,
            "filesystem": filesystem,
            "was": asdict(was) if was else None,
        }
        cursor = connection.execute(
            named()["begin_operation"],
            {
                "action": action,
                "volume_uuid": volume.uuid,
                "volume_name": volume.name,
                "snapshot_uuid": snapshot.uuid if snapshot else "",
                "snapshot_name": snapshot.name if snapshot else "",
                "document": json.dumps(document),
                "begun": begun,
            },
        )
        assert cursor.lastrowid is not None
        subject = snapshot or volume
        self._note(connection, action, subject.name, subject.uuid, "begun", cursor.lastrowid)
        return Operation(cursor.lastrowid, action, volume, snapshot, begun, holder, filesystem, was)

    def _end(self, connection: sqlite3.Connection, operation: Operation, outcome: str = "done") -> None:
        connection.execute(named()["end_operation"], {"id": operation.id})
        connection.execute(named()["end_audit"], {"operation": operation.id, "outcome": outcome})

    def _note(
        self,
        connection: sqlite3.Connection,
        action: str,
        subject: str,
        uuid: str,
        outcome: str = "done",
        operation: int | None = None,
    ) -> int:
        """An entry of the trail, on behalf of whoever this thread works for; its number."""
        actor = msgspec.structs.asdict(acting.get())
        at = self._clock.now().isoformat(timespec="seconds")
        row = {"operation": operation, "at": at, "action": action, "subject": subject, "uuid": uuid, "outcome": outcome}
        entry = connection.execute(named()["add_audit"], {**row, **actor}).lastrowid
        connection.execute(named()["trim_audit"], {"keep": AUDIT_ENTRIES})
        assert entry is not None
        return entry

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
            with self._guard:
                self._connections.append(connection)
        return connection

    def _read(self, query: str, **parameters: object) -> list[tuple[object, ...]]:
        try:
            return self._connection().execute(named()[query], parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise _translate(error, self.path) from error

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and durable, or as if it had never been."""
        with self._writing:
            try:
                connection = self._connection()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    # SQLite may have rolled back by itself (a full disk); a second rollback would be an error.
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.DatabaseError as error:
                raise _translate(error, self.path) from error

    def _migrate(self, connection: sqlite3.Connection) -> None:
        scripts = migrations()
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(scripts):
            raise UnsupportedError(
                f"the catalogue {self.path} has version {version}, this Drystone knows up to {len(scripts)}",
                hint="run the newer Drystone that wrote it",
            )
        for number, script in enumerate(scripts[version:], version + 1):
            try:
                connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _volume(row: tuple[object, ...]) -> Volume:
    uuid, name, driver, size, created, mount_point, facts = row
    assert isinstance(size, int)
    content: dict[str, str] = json.loads(str(facts))
    return Volume(str(uuid), str(name), str(driver), size, str(created), str(mount_point), content)


def _snapshot(row: tuple[object, ...]) -> Snapshot:
    uuid, name, volume, created, size, facts, schedule = row
    assert isinstance(size, int)
    content: dict[str, str] = json.loads(str(facts))
    return Snapshot(str(uuid), str(name), str(volume), str(created), size, content, str(schedule))


def _pool(row: tuple[object, ...]) -> Pool:
    name, uuid, *numbers = row
    whole = [each for each in numbers if isinstance(each, int)]
    return Pool(str(name), str(uuid), *whole)


def _translate(error: sqlite3.DatabaseError, path: Path) -> DrystoneError:
    """SQLite's error as one of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return ExhaustedError(f"no room for the catalogue {path}", hint="make room on that file system")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DamagedError(f"the catalogue {path} is damaged: {error}", hint="restore the file from a copy")
    return DrystoneError(f"the catalogue {path}: {error}")

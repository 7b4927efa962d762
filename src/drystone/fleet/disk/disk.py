"""One disk: what other rooms of the fleet see of it. docs/explanation/fleet.md says why it works this way.

Everything here is synchronous and may be called by many threads at once. Each call may wait for the disk; one that
hangs hangs its callers only.

Errors: ExhaustedError: the disk is full. UnavailableError: it is missing or bad (`report` says so too), or not open.
DamagedError: stored bytes are wrong. NotFoundError: no such placement on this disk, or no such version. UsageError: a
key that is empty, no UTF-8, or of another host.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drystone.base.errors import BusyError, RefusedError, UnavailableError
from drystone.fleet.disk import comparing, health, listing, places, reading, removal, rows, uploads
from drystone.fleet.disk.assembling import Assembly
from drystone.fleet.disk.ballast import Ballast
from drystone.fleet.disk.changes import Change, Compared, ComparedPage, Dirty, Entry, PartRecord
from drystone.fleet.disk.counters import Counters
from drystone.fleet.disk.files import DiskFiles, Files
from drystone.fleet.disk.health import Trouble
from drystone.fleet.disk.homes import Homes
from drystone.fleet.disk.identity import Identity, mount_of, read_identity
from drystone.fleet.disk.incoming import Incoming, check_room
from drystone.fleet.disk.index import Index
from drystone.fleet.disk.locks import KeyLocks, SharedSyncs
from drystone.fleet.disk.moving import Mover
from drystone.fleet.disk.pace import Pace
from drystone.fleet.disk.reader import Reader
from drystone.fleet.disk.scrub import ScrubFinding, ScrubPlace, find_strays, scrub
from drystone.fleet.disk.workings import Workings
from drystone.fleet.disk.writing import Changes, Terms
from drystone.fleet.documents import DiskReport, Held, Placement, Slot
from drystone.fleet.objects import ObjectInfo, Page, UploadInfo

RESERVE = 64 << 20
_NEEDED = 1 << 20
"""Bytes that opening an index takes at most."""


def _never() -> bool:
    return False


class Disk:
    """A disk by its folder. The constructor has no effects; `open` first.

    :param root: where it is mounted. :param name: as in `Member.disk`. :param files: another file system, for tests.
    :param reserve: bytes of the file system that bodies leave free, for the index.
    :param on_commit: called after every commit of the index, for tests.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        *,
        files: Files | None = None,
        reserve: int = RESERVE,
        on_commit: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self.root = root
        self.name = name
        self._files: Files = files or DiskFiles(root)
        self._reserve = reserve
        self._on_commit = on_commit
        self._identity: Identity | None = None
        self._mount = -1
        self._lock = -1
        self._probing = threading.Lock()
        self._trouble = Trouble(name, root)
        self._workings: Workings | None = None
        self._changes: Changes | None = None

    def open(self, fleet: str) -> None:
        """Check the identity, open the index and finish what a crash left. The cost does not grow with the objects.

        Intents that were prepared and not decided are taken back, and their keys are dirty.

        One that is open is closed first.

        :raises UnavailableError: the disk is missing or bad. :raises RefusedError: it is another fleet's.
        :raises BusyError: another process has it open.
        :raises DamagedError: its index is damaged or gone.
        """
        self.close()
        identity = read_identity(self.root)
        if identity.fleet != fleet:
            raise RefusedError(f"{self.root} is a disk of fleet {identity.fleet}, not of {fleet}")
        self._identity = identity
        self._trouble = Trouble(self.name, self.root)
        index = Index(self.root / places.INDEX, self._on_commit)
        syncs = SharedSyncs(self._files.sync_folder)
        beside = ThreadPoolExecutor(4, f"md5 {self.name}")
        workings = Workings(
            self.root, self.name, self._files, index, syncs, KeyLocks(), self._trouble,
            Mover(self._files, index, syncs, self._trouble), Homes(index), Counters(index), beside, Ballast(self.root),
        )  # fmt: skip
        changes = Changes(workings)
        try:
            with self._trouble.told("open"):
                self._lock = _take_lock(self.root)
                self._mount = mount_of(self.root)
                for folder in places.FOLDERS:
                    self._files.make_folders(folder)
                if health.free_bytes(self.root) < _NEEDED:
                    workings.ballast.let_go()
                index.open()
                self._files.sync_folder(places.OWN)
                workings.homes.load()
                workings.mover.recover()
                changes.recover()
                _clear_folders(workings)
        except BaseException:
            index.close()
            beside.shutdown()
            self._let_go()
            raise
        workings.mover.start()
        if self._reserve:
            workings.ballast.keep()
        self._workings, self._changes = workings, changes

    def close(self) -> None:
        """Finish what is under way and let go of the disk. Harmless when it is not open."""
        workings, self._workings, self._changes = self._workings, None, None
        if workings is not None:
            workings.mover.close()
            workings.index.close()
            workings.beside.shutdown()
        self._let_go()

    def _let_go(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    @property
    def identity(self) -> Identity:
        """Of the disk that was opened last."""
        if self._identity is None:
            raise UnavailableError(f"disk {self.name} is not open")
        return self._identity

    # ------------------------------------------------------------------------------------------------ health

    def report(self) -> DiskReport:
        """The disk as it is now. Never raises; waits where the disk hangs."""
        if self._identity is None or self._workings is None:
            identity = self._identity or Identity("", "", 0.0)
            return DiskReport(self.name, identity.disk_id, "missing", 0, 0, "not open")
        return health.report_disk(self.root, self.name, self._identity, self._mount, self._trouble)

    def probe(self) -> None:
        """Write, sync and read a small file; what is found shows in `report`.

        :raises UnavailableError: the disk is bad. :raises ExhaustedError: it is full.
        """
        with self._probing, self._trouble.told("probe"):  # one at a time: all use one file
            health.probe_disk(self.root)

    # ------------------------------------------------------------------------------------------------ placements

    def hold(self, placement: Placement, slot: Slot) -> None:
        """Keep what is known of a placement, durably. It may have data in `slot` of this disk from now on.

        :raises MismatchError: a newer epoch of it is kept.
        """
        self._disk.trouble.check()
        with self._trouble.told("hold"):
            self._disk.homes.hold(placement, slot)

    def placements(self) -> dict[str, Placement]:
        """All that were held and not left, by id."""
        return {each: home.placement for each, home in self._disk.homes.all().items()}

    def slot_of(self, placement_id: str) -> Slot:
        """The slot in which its data lie."""
        return self._disk.homes.find(placement_id).slot

    def held(self) -> tuple[Held, ...]:
        """What the disk has of each placement, from kept counts; noncurrent versions count in its size only."""
        with self._trouble.told("held"):
            return self._disk.homes.held(self.identity.disk_id)

    def leave(self, placement_id: str, *, rate: float = math.inf, stop: Callable[[], bool] = _never) -> bool:
        """Delete all of a placement, in pieces, at `rate` bytes a second; False when `stop` said so.

        Called again it goes on. Harmless when there is nothing of it.
        """
        home = self._disk.homes.all().get(placement_id)
        return home is None or removal.leave_placement(self._disk, home, Pace(rate, stop))

    # ------------------------------------------------------------------------------------------------ version numbers

    def take_seq(self, placement_id: str, epoch: int) -> int:
        """A new version number for the leader's next change in `epoch`, never given out before, also by earlier starts.

        It is open until `commit`, `abort` or `release`: pages for copying say what is below the open ones only.
        """
        home = self._disk.homes.find(placement_id)
        self._disk.trouble.check()
        with self._trouble.told("take number"):
            return self._disk.counters.take(home.number, epoch)

    def release(self, placement_id: str, seq: int) -> None:
        """It was not used, or `prepare` failed. Harmless when repeated."""
        home = self._disk.homes.all().get(placement_id)
        if home is not None:
            self._disk.counters.end(home.number, seq)

    # ------------------------------------------------------------------------------------------------ changes

    def receive(self, *, md5: bool = True, size: int | None = None) -> Incoming:
        """A body that is to come. :param size: bytes, when it is known: they must fit.

        :raises ExhaustedError: they do not.
        """
        self._disk.trouble.check()
        with self._trouble.told("receive"):
            free = health.free_bytes(self.root)
        if self._reserve:
            self._disk.ballast.keep()
        check_room(free, size or 0, self._reserve, self.name)
        return Incoming(self._files, self._trouble, md5=md5, beside=self._disk.beside)

    def prepare(self, change: Change, body: Incoming | None = None) -> int:
        """The body and the intent of a change are durable when it returns; nobody sees it yet. The intent's number.

        After a crash it is taken back and the key is dirty.

        :param body: the bytes of a put that is no delete marker.
        :raises MismatchError: the body is not what change.info says (size, digest).
        """
        return self._writes.prepare(change, body)

    def commit(self, intent: int) -> None:
        """Make a prepared change so; durable when it returns.

        When it fails the intent is still there, to be committed or aborted, except where the disk is bad.
        """
        self._writes.commit(intent)

    def abort(self, intent: int, *, dirty: bool) -> None:
        """Take a prepared change back, durably, and in the same step mark its key dirty when members may have it."""
        self._writes.abort(intent, dirty=dirty)

    def apply(self, change: Change, body: Incoming | None = None, *, epoch: int | None = None, floor: int = 0) -> bool:
        """Make a change so at once; durable when it returns. False: something as new is known, nothing was done.

        :param epoch: the placement must be kept in this one when the index takes the change; None: in any.
        :param floor: changes of the placement with a lower `seq` are refused from now on, until the next `open`: their
            leader has given them up.
        :raises MismatchError: as `prepare`; or the epoch is another (fact `epoch`: the kept one), or `seq` is below
            the highest floor (fact `floor`). :raises NotFoundError: an update of a version that is not here.
        """
        return self._writes.apply(change, body, Terms(epoch, floor))

    # ------------------------------------------------------------------------------------------------ reading

    def find(self, placement_id: str, key: str, version_id: str | None = None) -> Entry | None:
        """A version; the latest, also when it is a delete marker, when none is named."""
        row = reading.find_row(self._disk, self._disk.homes.find(placement_id), key, version_id)
        return None if row is None else row.entry

    def open_version(
        self, placement_id: str, key: str, version_id: str | None = None, *, seq: int | None = None
    ) -> Reader:
        """A version's bytes; close the reader.

        :raises NotFoundError: there is none, or it is a delete marker. :raises MismatchError: its `seq` is another.
        :raises DamagedError: its file is gone (fact `piece` is -1).
        """
        return reading.open_version(self._disk, self._disk.homes.find(placement_id), key, version_id, seq=seq)

    def list(
        self, placement_id: str, prefix: str, delimiter: str, after: str, limit: int, *, versions: bool = False
    ) -> Page:
        """A page of this placement's keys: see drystone.fleet.disk.listing for `after`."""
        home = self._disk.homes.find(placement_id)
        fill = listing.list_versions if versions else listing.list_objects
        with self._disk.reading("list") as connection:
            return fill(connection, home.number, prefix, delimiter, after, limit)

    def newest(self, placement_id: str, count: int) -> tuple[ObjectInfo, ...]:
        """The latest versions that were stored last, the newest first."""
        home = self._disk.homes.find(placement_id)
        with self._disk.reading("newest") as connection:
            return tuple(listing.find_newest(connection, home.number, count))

    def large(self, placement_id: str, least: int, count: int) -> tuple[ObjectInfo, ...]:
        """The latest versions of `least` bytes or more, in the order of their keys, at most `count`."""
        home = self._disk.homes.find(placement_id)
        with self._disk.reading("large") as connection:
            return tuple(listing.find_large(connection, home.number, least, count))

    def compare(self, placement_id: str, after: str, limit: int) -> ComparedPage:
        """A page for copying, of versions whose keys are above `after`. Asked of the leader."""
        home = self._disk.homes.find(placement_id)
        with self._trouble.told("compare"):
            as_of = self._disk.counters.settled(home.number, home.placement.epoch)
        with self._disk.reading("compare") as connection:
            return comparing.compare_page(connection, home.number, after, limit, as_of)

    def differing(self, placement_id: str, after: str, page: ComparedPage) -> tuple[tuple[Compared, ...], set[str]]:
        """See comparing.find_differing."""
        home = self._disk.homes.find(placement_id)
        with self._disk.looking("compare") as connection:
            return comparing.find_differing(connection, home.number, after, page)

    def absent(self, placement_id: str, after: str, page: ComparedPage, limit: int) -> tuple[tuple[Compared, ...], str]:
        """See comparing.find_absent."""
        home = self._disk.homes.find(placement_id)
        with self._disk.looking("compare") as connection:
            return comparing.find_absent(connection, home.number, after, page, limit)

    def path_of(self, placement_id: str, key: str) -> Path:
        """Where the latest version's file lies.

        :raises NotFoundError: there is none.
        """
        home = self._disk.homes.find(placement_id)
        with reading.open_version(self._disk, home, key, None) as reader:
            return self.root / self._disk.mover.where(home.place_of(reader.row))

    # ------------------------------------------------------------------------------------------------ mending

    def repair(self, placement_id: str, entry: Entry, number: int, data: bytes | memoryview) -> bool:
        """Put the right bytes of a piece, from a peer, in the place of damaged ones, durably.

        False: the version was changed, or its file is gone (see `restore`). :raises MismatchError: they are not right.
        """
        return reading.repair_piece(self._disk, self._disk.homes.find(placement_id), entry, number, data)

    def restore(self, placement_id: str, entry: Entry, body: Incoming) -> bool:
        """Put a whole right file in the place of a lost one, durably. Otherwise as `repair`."""
        return reading.restore_file(self._disk, self._disk.homes.find(placement_id), entry, body)

    def scrub(
        self, after: ScrubPlace | None = None, *, rate: float = math.inf, stop: Callable[[], bool] = _never
    ) -> Iterator[ScrubFinding | ScrubPlace]:
        """Read all that is here at `rate` bytes a second, from `after` on."""
        return scrub(self._disk, after, Pace(rate, stop))

    def strays(self) -> Iterator[str]:
        """Files that the index does not know: places relative to the root."""
        return find_strays(self._disk)

    # ------------------------------------------------------------------------------------------------ copying

    def dirty(self, placement_id: str) -> tuple[Dirty, ...]:
        """Keys whose members may have another state than this disk."""
        home = self._disk.homes.find(placement_id)
        with self._disk.reading("dirty") as connection:
            found = connection.execute("SELECT key, seq FROM dirty WHERE placement = ?", (home.number,)).fetchall()
        return tuple(Dirty(key.decode(), seq) for key, seq in found)

    def clear_dirty(self, placement_id: str, key: str, seq: int) -> None:
        """The members have the leader's state; a mark of a later change stays."""
        values = (self._disk.homes.find(placement_id).number, rows.encode_key(key), seq)
        query = "DELETE FROM dirty WHERE placement = ? AND key = ? AND seq <= ?"
        self._disk.write("clear dirty", lambda each: each.execute(query, values))

    def forget_removals(self, placement_id: str) -> None:
        """The copy is complete: removals need not be remembered any more."""
        values = (self._disk.homes.find(placement_id).number,)
        self._disk.write("forget", lambda each: each.execute("DELETE FROM tombstones WHERE placement = ?", values))

    def remove_compared(self, placement_id: str, each: Compared, *, epoch: int | None = None) -> bool:
        """Remove a version that `absent` found, durably, unless it was changed since: False then.

        :param epoch: of the leader that lacks it, as in `apply`. :raises MismatchError: it is another by now.
        """
        home = self._disk.homes.find(placement_id)
        return removal.remove_compared(self._disk, self._writes, home, each, epoch)

    # ------------------------------------------------------------------------------------------------ uploads

    def begin_upload(self, placement_id: str, upload: UploadInfo, *, epoch: int | None = None) -> None:
        """Note an upload in parts, durably.

        :param epoch: as in `apply`. :raises MismatchError: it is another.
        """
        uploads.begin_upload(self._disk, self._disk.homes.find(placement_id), upload, epoch)

    def put_part(
        self, placement_id: str, upload_id: str, part: PartRecord, body: Incoming, *, epoch: int | None = None
    ) -> None:
        """Keep a part, durably, in the place of an earlier one of its number.

        :param epoch: as in `apply`. :raises NotFoundError: there is no such upload.
        :raises MismatchError: part.size is another, or the epoch.
        """
        uploads.put_part(self._disk, self._disk.homes.find(placement_id), upload_id, part, body, epoch)

    def uploads(self, placement_id: str, prefix: str = "") -> tuple[UploadInfo, ...]:
        """Those under way whose key begins with `prefix`, in the order of keys."""
        return uploads.list_uploads(self._disk, self._disk.homes.find(placement_id), prefix)

    def parts(self, placement_id: str, upload_id: str) -> tuple[UploadInfo, tuple[PartRecord, ...]]:
        """An upload and its parts in order. :raises NotFoundError: there is none."""
        return uploads.list_parts(self._disk, self._disk.homes.find(placement_id), upload_id)

    def assemble(self, placement_id: str, upload_id: str, numbers: Sequence[int]) -> Assembly:
        """The parts are to become one body, step by step.

        :raises ExhaustedError: the disk is full. :raises UnavailableError: it is bad.
        """
        home = self._disk.homes.find(placement_id)
        return Assembly(self._disk, home, upload_id, numbers, self.receive(md5=False))

    def drop_upload(self, placement_id: str, upload_id: str, *, epoch: int | None = None) -> None:
        """Forget an upload and its parts, durably: it was completed or aborted. Harmless when there is none.

        :param epoch: as in `apply`. :raises MismatchError: it is another.
        """
        uploads.drop_upload(self._disk, self._disk.homes.find(placement_id), upload_id, epoch)

    # ------------------------------------------------------------------------------------------------

    @property
    def _disk(self) -> Workings:
        if self._workings is None:
            raise UnavailableError(f"disk {self.name} is not open")
        return self._workings

    @property
    def _writes(self) -> Changes:
        if self._changes is None:
            raise UnavailableError(f"disk {self.name} is not open")
        return self._changes


def _take_lock(root: Path) -> int:
    """A lock that no other process has; it ends with the process, or when the descriptor is closed.

    :raises BusyError: another one has it.
    """
    handle = os.open(root / places.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.lockf(handle, os.F_TLOCK, 0)
    except OSError as error:
        os.close(handle)
        if error.errno not in {errno.EACCES, errno.EAGAIN}:
            raise
        raise BusyError(f"{root} is in use by another process", hint="one storage server a disk") from error
    return handle


def _clear_folders(disk: Workings) -> None:
    """Remove temporary files that nothing refers to any more, and parts of no upload."""
    with disk.index.looking() as connection:
        kept = {place for (place,) in connection.execute("SELECT place FROM parts")}
    for top in (places.TEMP, places.PARTS):
        for name in disk.files.names(top):
            if f"{top}/{name}" not in kept:
                with contextlib.suppress(IsADirectoryError, PermissionError):
                    disk.files.unlink(f"{top}/{name}")

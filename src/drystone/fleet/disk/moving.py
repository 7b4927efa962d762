"""Files follow the index: links, renames and unlinks that a change calls for, at once, later, or after a crash.

What has to be done is noted in the index by the change's own transaction (ledger.py). Here it is done; every two
seconds what was done is made durable (a sync of each folder that was touched) and the notes are taken away. A step
that fails is tried again before the next change of the key, and at the next start; until it succeeds the file is found
at where it comes from.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import threading
from collections.abc import Sequence

from drystone.base.errors import DrystoneError
from drystone.fleet.disk import places
from drystone.fleet.disk.files import Files
from drystone.fleet.disk.health import Trouble
from drystone.fleet.disk.index import Index
from drystone.fleet.disk.ledger import FileSteps
from drystone.fleet.disk.locks import SharedSyncs
from drystone.fleet.disk.places import PLAIN

_SECONDS = 2.0
_MOST = 4096
_ATTEMPTS = 100
_MOST_KNOWN = 100_000
_REFUSED = frozenset(
    {
        errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST, errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ,
        errno.ELOOP,
    }
)  # fmt: skip


class Mover:
    """Does what changes call for on one disk. The constructor has no effects."""

    def __init__(self, files: Files, index: Index, syncs: SharedSyncs, trouble: Trouble) -> None:
        self._files = files
        self._index = index
        self._syncs = syncs
        self._trouble = trouble
        self._changed = threading.Condition()
        self._done: list[FileSteps] = []
        self._waiting: dict[str, tuple[str, FileSteps]] = {}
        self._known: set[str] = set()
        self._naming = threading.Lock()
        self._ends = False
        self._thread: threading.Thread | None = None

    def recover(self) -> None:
        """Do once more what the index has notes of, and make it durable. Before anything else is done on the disk.

        :raises OSError: what could not be done.
        """
        with self._index.looking() as connection:
            moves = connection.execute("SELECT placement, key, source, target, is_link FROM moves").fetchall()
            garbage = connection.execute("SELECT place, seq FROM garbage").fetchall()
        done = [
            FileSteps(number, key, ((source, target),)) for number, key, source, target, is_link in moves if is_link
        ]
        for steps in done:
            for source, target in steps.links:
                if not self._files.exists(target):
                    self._link(source, target)
        if done:
            self._syncs.sync(places.VERSIONS)
        for number, key, source, target, is_link in moves:
            if not is_link:
                steps = FileSteps(number, key, (), ((source, target),))
                self._move(steps, source, target)
                done.append(steps)
        done.append(FileSteps(0, b"", (), (), tuple(garbage)))
        for place, _ in garbage:
            self._unlink(place)
        self._settle(done)

    def start(self) -> None:
        """Start the thread that makes durable what was done."""
        self._thread = threading.Thread(target=self._run, name=f"mover {self._trouble.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Make durable what was done, and end the thread."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def where(self, place: str) -> str:
        """Where the file of `place` is now."""
        waiting = self._waiting.get(place)
        return place if waiting is None else waiting[0]

    def check(self, number: int, key: bytes) -> None:
        """Finish what earlier changes of a key left; whoever calls holds its lock.

        :raises OSError: it cannot be finished.
        """
        waiting = {id(steps): steps for _, steps in tuple(self._waiting.values())}
        for steps in waiting.values():
            if (steps.number, steps.key) == (number, key):
                self.carry_out(steps, again=True)

    def carry_out(self, steps: FileSteps, *, again: bool = False) -> None:
        """Do what a change calls for; whoever calls holds the lock of its key. Not durable yet, but noted.

        Files that a failure leaves where they come from are found there (`where`) until it is done.

        :param again: a failure is raised; else one for want of room leaves the rest for later.
        :raises OSError: the disk fails.
        """
        left = dict.fromkeys((*steps.links, *steps.moves))
        try:
            for source, target in steps.links:
                self._link(source, target)
            if steps.links:
                self._syncs.sync(places.VERSIONS)
                self._arrive(left, *steps.links)
            for source, target in steps.moves:
                if not again and source.startswith(f"{places.TEMP}/") and not self._files.exists(source):
                    raise OSError(errno.EIO, f"the body of {target} vanished")
                self._move(steps, source, target)
                self._arrive(left, (source, target))
            for place, _ in steps.unlinks:
                self._unlink(place)
        except OSError as error:
            self._waiting.update({target: (source, steps) for source, target in left})
            if again or error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            return
        with self._changed:
            self._done.append(steps)
            if len(self._done) in {1, _MOST}:
                self._changed.notify_all()

    def _arrive(self, left: dict[tuple[str, str], None], *pairs: tuple[str, str]) -> None:
        for pair in pairs:
            del left[pair]
            self._waiting.pop(pair[1], None)

    def settle_place(self, place: str) -> None:
        """The file at `place` is durable there; the caller holds the key's lock.

        :raises OSError: the disk fails.
        """
        folder = places.parent_of(place)
        self._sync_names(folder)
        self._syncs.sync(folder)

    def put_back(self, source: str, target: str) -> None:
        """Put a file that is durable in the place of a lost or damaged one, durably; the caller holds the key's lock.

        :raises OSError: it cannot be put there.
        """
        self._rename(source, self.where(target))
        self.settle_place(target)

    def _link(self, source: str, target: str) -> None:
        """One whose source is gone was lost before: the scrub reports it."""
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            self._files.link(source, target)

    def _move(self, steps: FileSteps, source: str, target: str) -> None:
        try:
            self._rename(source, target)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            self._rename(source, self._displace(steps, target))

    def _rename(self, source: str, target: str) -> None:
        """Also into a folder that is not there, or is taken away meanwhile; harmless when it was done before."""
        for _ in range(_ATTEMPTS):
            try:
                self._files.rename(source, target)
            except FileNotFoundError:
                if not self._files.exists(source):
                    if not self._files.exists(places.IDENTITY):
                        raise OSError(errno.ENODEV, "the disk is gone") from None
                    return
                with contextlib.suppress(FileNotFoundError):
                    self._files.make_folders(places.parent_of(target))
            else:
                return
        raise OSError(errno.EBUSY, f"the folder of {target} vanished {_ATTEMPTS} times")

    def _displace(self, steps: FileSteps, target: str) -> str:
        """The file system refuses `target`: the object is to be at an odd place, which is returned."""
        odd = places.new_place(places.ODD)

        def step(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE objects SET place = ? WHERE placement = ? AND key = ? AND place = ?",
                (odd, steps.number, steps.key, PLAIN),
            )
            connection.execute("UPDATE moves SET target = ? WHERE target = ?", (odd, target))

        self._index.write(step)
        return odd

    def _unlink(self, place: str) -> None:
        """Remove a file, and the folders of a plain one that are empty then."""
        with contextlib.suppress(IsADirectoryError, PermissionError):
            self._files.unlink(place)
        folder = places.parent_of(place)
        while folder.count("/") >= 2:
            try:
                self._files.remove_folder(folder)
            except OSError:
                return
            self._known.discard(folder)
            folder = places.parent_of(folder)

    def _run(self) -> None:
        ends = False
        while not ends:
            with self._changed:
                while not self._done and not self._ends:
                    self._changed.wait()
                if not self._ends and len(self._done) < _MOST:
                    self._changed.wait(_SECONDS)
                done, self._done, ends = self._done, [], self._ends
            if done:
                with contextlib.suppress(DrystoneError), self._trouble.told("settle"):  # the notes of steps stay
                    self._settle(done)

    def _sync_names(self, folder: str) -> None:
        """The names of `folder` and of those above it are durable: seen to once for each, as long as it stays."""
        with self._naming:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            while folder and folder not in self._known:
                self._known.add(folder)  # before the sync: a removal of the folder meanwhile takes it out
                above = places.parent_of(folder)
                try:
                    self._syncs.sync(above)
                except BaseException:
                    self._known.discard(folder)
                    raise
                folder = above

    def _settle(self, done: Sequence[FileSteps]) -> None:
        """Make steps durable, then take their notes away."""
        moves = [pair for steps in done for pair in (*steps.links, *steps.moves)]
        unlinks = [pair for steps in done for pair in steps.unlinks]
        folders = {places.parent_of(target) for _, target in moves}
        folders |= {places.parent_of(place) for place, _ in unlinks}
        for folder in sorted(folders):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # it was removed since
                self._sync_names(folder)
                self._syncs.sync(folder)

        def step(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM moves WHERE source = ? AND target = ?", moves)
            connection.executemany("DELETE FROM garbage WHERE place = ? AND seq = ?", unlinks)

        if moves or unlinks:
            self._index.write(step)

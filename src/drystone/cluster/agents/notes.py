"""What an agent was told last of each dlv, on disk: one file a dlv, written before anything is done about it.

So the highest epoch that was seen of a dlv outlives the agent. The note of a dlv that was withdrawn stays, a few
hundred bytes, as a late copy of an older call could come at any time.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Generic, Protocol, TypeVar

from drystone.base.documents import decode, encode
from drystone.base.errors import DamagedError, DrystoneError, MismatchError, NotFoundError, UsageError
from drystone.base.files import replace_file, sync_folder
from drystone.base.names import check_name
from drystone.cluster.model.calls import LegsWish, VolumeWish

log = logging.getLogger(__name__)


class HasWish(Protocol):
    """What every note has: what was told last."""

    @property
    def wish(self) -> LegsWish | VolumeWish: ...


Note = TypeVar("Note", bound=HasWish)
Wish = TypeVar("Wish", LegsWish, VolumeWish)

LARGEST_EPOCH = (1 << 63) - 1
_SUFFIX = ".json"


class Notes(Generic[Note]):
    """The notes in a folder. The constructor has no effects.

    :param folder: made when the first note is written. :param kind: the document that a note is.
    :param sync: makes the entries of a folder durable.
    :ivar taking: held by who decides about a note and writes it. :ivar troubles: of dlvs, what went wrong with them.
    """

    def __init__(self, folder: Path, kind: type[Note], *, sync: Callable[[Path], None] = sync_folder) -> None:
        self._folder = folder
        self._kind = kind
        self._sync = sync
        self._is_made = False
        self.taking = Lock()
        self.troubles: dict[str, str] = {}

    def names(self) -> list[str]:
        """The dlvs that there are notes of."""
        if not self._folder.is_dir():
            return []
        found = (each.name for each in self._folder.iterdir() if each.name.endswith(_SUFFIX))
        return sorted(each.removesuffix(_SUFFIX) for each in found if not each.startswith("."))

    def find(self, dlv: str) -> Note | None:
        """The note of a dlv; None: nothing was ever told of it.

        :raises UsageError: that is no name. :raises DamagedError: it cannot be read. Taken for none it would let old
            calls in.
        """
        path = self._path(dlv)
        try:
            return decode(path.read_bytes(), self._kind, str(path))
        except FileNotFoundError:
            return None
        except UsageError as error:
            raise DamagedError(
                f"the note of dlv {dlv} cannot be read: {error.message}",
                hint="nothing is done about this dlv until its note is right again",
            ) from error

    def read(self, dlv: str) -> Note:
        """As `find`. :raises NotFoundError: there is none."""
        note = self.find(dlv)
        if note is None:
            raise NotFoundError(f"there is no dlv {dlv} here")
        return note

    def read_all(self) -> tuple[dict[str, Note], dict[str, str]]:
        """The notes of all dlvs that can be read; the troubles, also with those that cannot."""
        notes, troubles = {}, dict(self.troubles)
        for dlv in self.names():
            try:
                notes[dlv] = self.read(dlv)
            except DrystoneError as error:
                troubles[dlv] = str(error)
        return notes, troubles

    def newest(self, note: Note) -> Note:
        """What is noted by now of the wish of `note`. :raises MismatchError: a newer one was taken meanwhile."""
        found = self.read(note.wish.dlv)
        if found.wish.epoch != note.wish.epoch:
            went, was = found.wish.epoch, note.wish.epoch
            raise MismatchError(
                f"dlv {note.wish.dlv} went on to epoch {went} while epoch {was} was carried out", epoch=went
            )
        return found

    def rewrite(self, note: Note) -> None:
        """Note what was done about a wish; durable when it returns. :raises MismatchError: as `newest`."""
        with self.taking:
            self.newest(note)
            self.write(note.wish.dlv, note)

    def write(self, dlv: str, note: Note) -> None:
        """Durable when it returns: write, fsync, rename, fsync of the folder; and of those that it is in, once."""
        path = self._path(dlv)
        if not self._is_made:
            self._make_folder()
            self._is_made = True
        replace_file(path, encode(note))

    def each(self, action: Callable[[str], object]) -> None:
        """Do something about every dlv. What fails is among the troubles; the others go on."""
        for dlv in self.names():
            try:
                with self.tried(dlv):
                    action(dlv)
            except (DrystoneError, OSError) as error:
                log.warning("dlv %s: %s", dlv, error)

    @contextlib.contextmanager
    def tried(self, dlv: str) -> Iterator[None]:
        """A failure of the block is the trouble of the dlv from now on; when there is none, it has none any more."""
        try:
            yield
        except (DrystoneError, OSError) as error:
            self.troubles[dlv] = str(error)
            raise
        self.troubles.pop(dlv, None)

    def _make_folder(self) -> None:
        """Durably. Those that are there may have been made by a process that was killed before it had synced them."""
        folder = self._folder.absolute()
        for each in (*reversed(folder.parents), folder):
            each.mkdir(mode=0o700 if each == folder else 0o777, exist_ok=True)
            with contextlib.suppress(PermissionError):  # who may not read it has not made it
                self._sync(each.parent)

    def _path(self, dlv: str) -> Path:
        return self._folder / (check_name(dlv, "dlv") + _SUFFIX)


def check_epoch(noted: Wish | None, wish: Wish) -> None:
    """Refuse a call that is older than what was noted, or another one of the same epoch.

    Two calls of one epoch could be told apart by nothing: a late copy of the one that let a host in could undo the one
    that shut it out. Nor is one of older sets let in, however high its epoch is: its record was put back, and requests
    have it count on.

    :raises MismatchError: it is; facts: `epoch`, the noted one, `set_epoch` likewise where that is why.
    :raises UsageError: an epoch that is none.
    """
    if not 0 < wish.epoch <= LARGEST_EPOCH:
        raise UsageError(f"epoch {wish.epoch} is not from 1 to {LARGEST_EPOCH}")
    if not 0 <= wish.set_epoch <= wish.epoch:
        raise UsageError(f"epoch {wish.set_epoch} of the sets is not from 0 to {wish.epoch}, which is the dlv's")
    if noted is None:
        return
    if wish.epoch > noted.epoch:
        if wish.set_epoch < noted.set_epoch:
            raise MismatchError(
                f"dlv {wish.dlv} has sets of epoch {noted.set_epoch} here, in epoch {noted.epoch}; the call of epoch "
                f"{wish.epoch} has those of epoch {wish.set_epoch}",
                hint="its database is an old copy: bring the newest one back",
                epoch=noted.epoch,
                set_epoch=noted.set_epoch,
            )
        return
    if wish.epoch < noted.epoch:
        raise MismatchError(
            f"dlv {wish.dlv} is in epoch {noted.epoch} here, the call is of epoch {wish.epoch}",
            hint="read the dlv anew and decide again",
            epoch=noted.epoch,
        )
    if wish != noted:
        raise MismatchError(
            f"dlv {wish.dlv} was told something else in epoch {wish.epoch}",
            hint="every change has an epoch of its own",
            epoch=noted.epoch,
        )

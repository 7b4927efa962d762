"""Restoring a backup to a device that is usable at once, and becomes the backup behind its users.

A clone (dm-clone) stands over the device; its source is the backup as a network block device, served by this process.
What is not there yet is read from the backup, what is written stays, and the kernel copies the rest. When all is there
the clone's table becomes a linear one, and nothing of the backup is needed any more.

What has to outlive this process, or a power cut, is two files in a folder: the clone's metadata, which the kernel keeps
(through a loop device), and a document that says which backup goes to which device. Both are durable before the clone
is made, and go when it is whole. The kernel makes a region durable on the device before its metadata says so.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from drystone.backup.pipeline import Progress
from drystone.backup.reading.image import CachedImage
from drystone.backup.reading.target import check_size
from drystone.backup.serving import Failed, attached, is_left, padded_size
from drystone.base.documents import decode, encode
from drystone.base.errors import BusyError, DamagedError, DrystoneError, MismatchError, NotFoundError, UsageError
from drystone.base.files import replace_file, sync_folder
from drystone.dvm import clone
from drystone.dvm.instructions import Message
from drystone.dvm.program import Needed, Program
from drystone.dvm.result import Result
from drystone.kernel import loop, nbd
from drystone.kernel.blockdev import device_number, open_device, size_of
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber
from drystone.kernel.dm.clone import Clone
from drystone.kernel.dm.nodes import make_node, remove_node
from drystone.kernel.dm.targets import Linear
from drystone.kernel.filelock import locked_folder
from drystone.kernel.identity import lasting_name
from drystone.kernel.users import user_of
from drystone.volumes.standstill import Standstill

FOLDER = Path("/var/lib/drystone/instant")
"""Where the files are by default. It must outlive the machine's end."""

_LOOK_S = 0.5

Run = Callable[[Program], Result]


class Session(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes on: `size` and `region` in bytes, `device` the path as it was given.

    :ivar disk: what the device at that path is known by after a restart: its size where the kernel knows no better.
    """

    version: int = 1
    name: str
    url: str
    device: str
    disk: str
    size: int
    region: int


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted. `name` is the new device's, `device` the path of the one to restore to.

    :ivar larger: the device may have more bytes than the backup.
    """

    name: str
    url: str
    device: str
    larger: bool = False
    folder: Path = FOLDER

    @property
    def uuid(self) -> str:
        """The dm UUID of the new device."""
        return clone.UUID_PREFIX + self.name

    @property
    def document(self) -> Path:
        """Where the session is written down."""
        return self.folder / f"{self.name}.json"

    @property
    def metadata(self) -> Path:
        """The file of the clone's metadata."""
        return self.folder / f"{self.name}.clone"


def restore_instantly(
    dm: DeviceMapper,
    image: CachedImage,
    request: Request,
    run: Run,
    *,
    usable: Callable[[str], None],
    progress: Progress,
    failed: Failed,
    stuck: Callable[[int], None],
    over: threading.Event,
) -> bool:
    """Make the device, or go on with one that was cut off; return when all is there (True), or `over` is set (False).

    When it ends early the clone is removed if nobody uses it; the same request goes on. Else it stays, and reads of
    what is not there give errors until somebody goes on.

    :param usable: called with the new device's path as soon as there is one.
    :param failed: told what could not be read of the backup; it is tried again.
    :param stuck: told once, when all else seems to be there, how many bytes are left: they are damaged in the backup.

    :raises MismatchError: another size, or there is a session of that name for another backup or device, or what is
        there by the device's name now is another disk.
    :raises BusyError: the device is in use. :raises ExistsError: there is another device of that name.
    :raises UsageError: it is no device. :raises KernelError: a program failed.

    Whatever is raised before `usable` was called, no file and no device is left that was not there before.
    """
    destination = device_number(request.device)
    standstill = Standstill()

    def note(error: DrystoneError) -> None:
        standstill.note(error)
        failed(error)

    with contextlib.ExitStack() as served:
        request.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked_folder(request.folder, f"the folder {request.folder}, in which a restore begins,"):
            found = clone.find_clone(dm, request.name, request.uuid)
            with _begun(dm, image, request, destination) as session:
                if isinstance(found, Linear):  # it was whole, and cut off before its files went
                    _end(request)
                    usable(make_node(request.name, dm.info(request.name).number))
                    return True
                source = served.enter_context(attached(image, request.url, failed=note, ended=over.set))
                metadata = served.enter_context(_metadata(request, found))
                from_, to = device_number(source.path), destination
                wanted = clone.Wanted(request.name, request.name, metadata, to, from_, session.size, session.region)
                _put_over(dm, request, run, wanted, found)
        usable(make_node(request.name, dm.info(request.name).number))
        whole = _await(dm, session, run, standstill, progress, stuck, over)
        if whole:
            run(clone.completion(wanted)).require_done()
        elif dm.info(request.name).open_count == 0:
            run(clone.removal(dm, request.name)).require_done()
            remove_node(request.name)
    if whole:
        _end(request)
    return whole


def _put_over(dm: DeviceMapper, request: Request, run: Run, wanted: clone.Wanted, found: Clone | None) -> None:
    """Have the clone over the device: a new one, or the one that is there with the new source."""
    if found is not None:
        if found.destination != str(wanted.destination):
            raise MismatchError(
                f"{request.name} stands over {found.destination}, and {request.device} is {wanted.destination}"
            )
        _release(DeviceNumber.parse(found.source))
        run(clone.continuation(wanted)).require_done()
        return
    if user := user_of(request.device, wanted.destination):
        raise BusyError(f"{request.device} is in use: {user}", device=request.device)
    if remnant := clone.find_remnant(dm, request.name, request.uuid):
        run(remnant).require_done()
    run(clone.creation(wanted)).require_done()


def _release(source: DeviceNumber) -> None:
    """End the old source, whose server is gone: what is asked of it waits, and suspending would wait with it.

    :raises BusyError: somebody serves it still.
    """
    with contextlib.suppress(NotFoundError):
        device = nbd.find_device(source)
        if not nbd.is_connected(device):
            return
        if not is_left(device):
            raise BusyError(f"{device.path} is served by another process", hint="the restore is under way there")
        nbd.disconnect(device)


def _await(
    dm: DeviceMapper,
    session: Session,
    run: Run,
    standstill: Standstill,
    progress: Progress,
    stuck: Callable[[int], None],
    over: threading.Event,
) -> bool:
    """Whether all is there; False when `over` is set before."""
    alone = told = False
    while True:
        status = clone.read_status(dm, session.name)
        done = min(session.size, status.hydrated * session.region)
        progress(done, session.size)
        if status.hydrated == status.regions:
            return True
        if not told and standstill.stands(status.hydrated):
            if alone:
                stuck(session.size - done)
                told = True
            else:  # regions are copied several at once, and fail together
                needed = Needed(session.name, clone.UUID_PREFIX + session.name)
                run(Program((Message(session.name, "hydration_batch_size 1"),), (needed,))).require_done()
                alone = True
        if over.wait(_LOOK_S):
            return False


@contextlib.contextmanager
def _begun(dm: DeviceMapper, image: CachedImage, request: Request, device: DeviceNumber) -> Iterator[Session]:
    """The session. A new one is forgotten when the block fails, and no clone was made."""
    was_there = request.document.exists()
    session = _begin(image, request, device)
    try:
        yield session
    except BaseException:
        if not was_there and clone.find_clone(dm, request.name, request.uuid) is None:
            _end(request)
        raise


def _begin(image: CachedImage, request: Request, device: DeviceNumber) -> Session:
    """The session, written down; durable when this returns."""
    session = Session(
        name=request.name,
        url=request.url,
        device=request.device,
        disk=lasting_name(device) or f"{size_of(request.device)} bytes",
        size=padded_size(image),
        region=image.chunks.chunk_size,
    )
    try:
        data = request.document.read_bytes()
    except FileNotFoundError:
        _check_device(request, session)
        request.metadata.unlink(missing_ok=True)  # of one that was cut off before it was written down
        handle = os.open(request.metadata, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, clone.metadata_size(session.size, session.region))
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(request.folder)
        replace_file(request.document, encode(session))
        return session
    try:
        before = decode(data, Session, str(request.document))
    except UsageError as error:
        raise DamagedError(error.message) from error
    if msgspec.structs.replace(before, disk=session.disk) == session != before:
        raise MismatchError(
            f"{request.device} is not the disk that it was: it was {before.disk}, and is {session.disk}",
            hint="give the disk its name back: what is restored already is on it",
        )
    if before != session:
        raise MismatchError(
            f"a restore of {before.url} to {before.device} as {before.name} is under way",
            hint=f"go on with it, or remove {request.document} to give it up",
        )
    if not request.metadata.exists():
        raise NotFoundError(f"{request.metadata} is missing", hint=f"remove {request.document} to begin anew")
    return session


def _check_device(request: Request, session: Session) -> None:
    check_size(request.device, size_of(request.device), session.size, larger=request.larger)
    open_device(request.device, write=True, exclusive=True).close()


@contextlib.contextmanager
def _metadata(request: Request, found: Clone | None) -> Iterator[DeviceNumber]:
    """The number of the metadata's device: the one that the clone has, or a new loop device."""
    if found is not None:
        yield DeviceNumber.parse(found.metadata)
        return
    with loop.hold(str(request.metadata)) as held:
        yield held.number


def _end(request: Request) -> None:
    """Forget the session, durably; the document first: metadata without one is nobody's."""
    request.document.unlink(missing_ok=True)
    sync_folder(request.folder)
    request.metadata.unlink(missing_ok=True)

"""An image as a block device of this machine, or at a unix socket: both by NBD, and only to be read.

A device is a socket pair whose one end the kernel has and whose other end a server of this process answers. Nothing of
it outlives the process but the device's number: reads give errors then, until the device is disconnected.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from drystone.backup.reading.image import Image
from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExistsError,
    KernelError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from drystone.base.sizes import SECTOR
from drystone.kernel import nbd
from drystone.kernel.blockdev import device_number, device_path
from drystone.kernel.filesystems import probe
from drystone.kernel.mounts import mount, mount_at, mounts_of, unmount
from drystone.kernel.nbd import NbdDevice
from drystone.kernel.sysfs import holders
from drystone.wire.nbd import protocol
from drystone.wire.nbd.protocol import Description, Option
from drystone.wire.nbd.server import NbdServer

MARK = "drystone-backup "
"""What the kernel is told of a device: this, when the process that serves it began, a blank, and what it holds."""

EXPORT = "backup"
"""What the export is called at a unix socket; "" will do as well."""

_PATIENCE_S = 5.0
_PEER = struct.Struct("=iII")
_LONGEST_SOCKET = 107

_READ_ONLY = {
    "ext3": "noload",
    "ext4": "noload",
    "xfs": "norecovery,nouuid",
    "btrfs": "norecovery",
    "f2fs": "norecovery",
}
"""Options with which a file system whose journal is not empty is mounted from a device that cannot be written to."""

Failed = Callable[[DrystoneError], None]
"""Told what a read has failed with; its reader gets EIO."""


def padded_size(image: Image) -> int:
    """Bytes of the device: whole sectors."""
    return -(-image.size // SECTOR) * SECTOR


@contextlib.contextmanager
def attached(image: Image, what: str, *, failed: Failed, ended: Callable[[], None]) -> Iterator[NbdDevice]:
    """Within the block there is a device. At its end it is unmounted where it is mounted, and disconnected.

    :param what: it holds, for `find_devices`.
    :param ended: called by another thread when somebody else has disconnected the device.

    :raises UsageError: the image has no bytes. :raises: as `nbd.connect` does.
    """
    if not image.size:
        raise UsageError("the image has no bytes: there is no device of that size")
    with NbdServer(Description(EXPORT, padded_size(image)), _padded(image), failed=failed) as server:
        near, far = socket.socketpair()
        with far:
            server.serve(near, negotiate=False, ended=ended)
            device = nbd.connect([far.fileno()], padded_size(image), identifier=f"{MARK}{nbd.begun_at('self')} {what}")
        try:
            yield device
        finally:
            detach(device, lazy=True)


@contextlib.contextmanager
def listening(image: Image, path: Path, *, failed: Failed) -> Iterator[str]:
    """Within the block a server listens at a unix socket, which only this user may use; yields its NBD URI.

    :raises ExistsError: there is something else at `path`, or a server that listens. :raises UsageError: too long.
    :raises NotFoundError: there is no folder for it. :raises KernelError: the folder refuses.
    """
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise UsageError(f"the socket's path {path} is longer than {_LONGEST_SOCKET} bytes")
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no folder {path.parent}")
    _make_way(path)
    with NbdServer(Description(EXPORT, image.size), image.read, failed=failed) as server:
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            listener.close()
            raise KernelError("bind", error.errno or 0, device=str(path)) from error
        finally:
            os.umask(before)
        listener.listen()
        server.listen(listener)
        try:
            yield f"nbd+unix:///{EXPORT}?socket={path}"
        finally:
            path.unlink(missing_ok=True)


def mount_device(device: NbdDevice, folder: Path) -> None:
    """Mount the device's file system read-only, without touching its journal. The device's end unmounts it.

    :raises UsageError: there is no file system on it, but perhaps on a partition. :raises NotFoundError: no folder.
    :raises BusyError: something is mounted there. :raises KernelError: the kernel refused.
    """
    found = probe(device.path)
    if found is None or not found.kind:
        raise UsageError(f"there is no file system on {device.path}", hint=f"has it partitions? lsblk {device.path}")
    if mount_at(str(folder)) is not None:
        raise BusyError(f"something is mounted at {folder}")
    mount(device.path, str(folder), found.kind, read_only=True, options=_READ_ONLY.get(found.kind, ""))


def find_devices(what: str) -> list[NbdDevice]:
    """The connected devices that hold this; "" for all that are ours."""
    found = [NbdDevice(int(path.name[3:])) for path in Path("/sys/block").glob("nbd[0-9]*")]
    told = [(each, _read_mark(each)) for each in sorted(found, key=lambda each: each.index)]
    return [each for each, said in told if said is not None and what in {"", said[1]}]


def is_left(device: NbdDevice) -> bool:
    """Whether a device of ours has outlived the process that served it."""
    said = _read_mark(device)
    return nbd.is_orphaned(device, said[0] if said else "")


def _read_mark(device: NbdDevice) -> tuple[str, str] | None:
    """(when its process began, what it holds); None when the device is not of ours."""
    said = nbd.find_identifier(device)
    begun, _, what = said.removeprefix(MARK).partition(" ")
    return (begun, what) if said.startswith(MARK) else None


def detach(device: NbdDevice, *, lazy: bool = False) -> None:
    """Unmount the device where it is mounted, then disconnect it, upon which its server ends.

    :param lazy: what is in use is taken out of the tree all the same; its users get errors. So it is in any case when
        the server is gone: they wait for it in vain.

    :raises BusyError: it is in use: something in it is open, or a device stands over it, such as an instant restore's.
    """
    lazy = lazy or is_left(device)
    if not lazy:
        _refuse_holders(device)
    for each in _partitions(device):
        _unmount_all(f"/dev/{each.name}", lazy=lazy)
    _unmount_all(device.path, lazy=lazy)
    nbd.disconnect(device)


def ask_to_end(path: Path, *, patience: float = _PATIENCE_S) -> int:
    """The process that listens at a socket of `listening`: who wants it to end sends it SIGTERM.

    :param patience: seconds that its answers may take.

    :raises NotFoundError: nobody listens there. :raises BusyError: it takes no clients now.
    :raises RefusedError: who listens there is not a server of ours, or is out of this process's sight.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(patience)
        try:
            client.connect(str(path))
            pid, _, _ = _PEER.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
            greeting = _receive(client, len(protocol.hello()))
        except (BlockingIOError, EOFError) as error:
            raise BusyError(f"who listens at {path} takes no clients now", hint="end one, or try again") from error
        except TimeoutError:
            greeting = b""
        except OSError as error:
            raise NotFoundError(f"nobody listens at {path}") from error
        if pid <= 0 or greeting != protocol.hello() or not _lists_as_ours(client):
            raise RefusedError(f"{path} is no socket that `drystone backup mount` has made")
    return int(pid)


def _lists_as_ours(client: socket.socket) -> bool:
    """Whether a server that has greeted lists the export of `listening`, and nothing else."""
    listed = protocol.answer_option(Option.LIST, b"", Description(EXPORT, 0), no_zeroes=True).data
    try:
        client.sendall(protocol.CLIENT_FLAGS.pack(protocol.FIXED_NEWSTYLE | protocol.NO_ZEROES))
        client.sendall(protocol.OPTION.pack(protocol.OPTION_MAGIC, Option.LIST, 0))
        return _receive(client, len(listed)) == listed
    except (OSError, EOFError):
        return False


def _receive(client: socket.socket, size: int) -> bytes:
    """:raises EOFError: the other side ended before. :raises TimeoutError: it says no more."""
    said = b""
    while len(said) < size:
        more = client.recv(size - len(said))
        if not more:
            raise EOFError
        said += more
    return said


def _padded(image: Image) -> Callable[[int, int], bytes]:
    """Reads of the device: what is left of its last sector is zeros."""

    def read(offset: int, length: int) -> bytes:
        within = max(0, min(length, image.size - offset))
        data = image.read(offset, within) if within else b""
        return data if within == length else data.ljust(length, b"\0")

    return read


def _refuse_holders(device: NbdDevice) -> None:
    """:raises BusyError: another device stands over it or one of its partitions."""
    with contextlib.suppress(NotFoundError):
        for path in (device.path, *(f"/dev/{each.name}" for each in _partitions(device))):
            for holder in holders(device_number(path)):
                raise BusyError(f"{path} is in use by {device_path(holder)}", device=path)


def _partitions(device: NbdDevice) -> list[Path]:
    """Their folders in sysfs, the last one first: their names begin with the device's."""
    return sorted(Path(f"/sys/block/{device.name}").glob(f"{device.name}*"), reverse=True)


def _unmount_all(path: str, *, lazy: bool) -> None:
    with contextlib.suppress(NotFoundError):
        for each in reversed(mounts_of(device_number(path))):
            unmount(each.target, lazy=lazy)


def _make_way(path: Path) -> None:
    """Remove a socket that nobody listens at any more. :raises ExistsError: anything else is there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ExistsError(f"{path} exists, and is no socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)  # one that takes no clients would be waited for
        try:
            client.connect(str(path))
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise KernelError("connect", error.errno or 0, device=str(path)) from error
            path.unlink(missing_ok=True)
            return
    raise ExistsError(f"somebody listens at {path}", hint="name another socket")

"""Whole pages of a device or plain file, past the page cache where that is offered, without numpy: for small tools that
start often. `blockdev` is for those that move much.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import time
from collections.abc import Iterable, Iterator
from typing import NoReturn, Self

from drystone.base.errors import BusyError, KernelError, NotFoundError, UsageError
from drystone.kernel.dm.number import DeviceNumber

PAGE = 4096
"""Bytes in a page. All access is by whole pages, which suits disks with sectors of 512 and of 4096 bytes."""

_BLKROGET = 0x125E
"""Linux `include/uapi/linux/fs.h`."""
_AT_ONCE = 1 << 20
_LEAST_ROOM = 16 * PAGE
_ROOMS: list[mmap.mmap] = []
"""Memory for direct access that nobody uses now. Taken and put back by one step each, which threads do not disturb."""
_PAUSE_S = 0.02


class PageDevice:
    """An open device or plain file (see `open_pages`). For one thread.

    Methods raise KernelError (facts: operation, device, errno, offset, length) when the kernel refuses, and UsageError
    for pages that are not inside the device.

    :ivar size: bytes, as it was when opened. :ivar pages: whole pages. :ivar number: None for a plain file.
    :ivar is_cached: opened without O_DIRECT: after a flush that failed, reads may show what was not written.
    """

    def __init__(
        self, handle: int, path: str, *, size: int, number: DeviceNumber | None, is_cached: bool = False
    ) -> None:
        self.handle = handle
        self.path = path
        self.size = size
        self.pages = size // PAGE
        self.number = number
        self.is_cached = is_cached

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time is nothing."""
        if self.handle >= 0:
            handle, self.handle = self.handle, -1
            os.close(handle)

    def read(self, page: int, count: int) -> bytes:
        """`count` pages from `page` on."""
        most = _AT_ONCE // PAGE
        if count <= most:
            with self.viewed(page, count) as view:
                return bytes(view)
        return b"".join(self.read(at, min(most, page + count - at)) for at in range(page, page + count, most))

    @contextlib.contextmanager
    def viewed(self, page: int, count: int) -> Iterator[memoryview]:
        """`count` pages (of 1 MiB at most) from `page` on, in memory that is somebody else's when the block ends."""
        self._check(page, count)
        begin = page * PAGE
        with _room(count * PAGE) as view:
            with self._told("read", begin, count * PAGE):
                done = 0
                while done < len(view):
                    taken = os.preadv(self.handle, [view[done:]], begin + done)
                    if not taken:
                        raise OSError(errno.EIO, "the device has become shorter")
                    done += taken
            yield view

    def read_rest(self) -> bytes:
        """What is behind the last whole page; read through the page cache."""
        begin = self.pages * PAGE
        if begin == self.size:
            return b""
        with self._told("read", begin, self.size - begin):
            handle = os.open(f"/proc/self/fd/{self.handle}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(handle, self.size - begin, begin)
            finally:
                os.close(handle)

    def write(self, page: int, data: bytes) -> None:
        """Write whole pages from `page` on; durable after `flush`."""
        self._check(page, len(data) // PAGE)
        begin = page * PAGE
        with self._told("write", begin, len(data)):
            for at in range(0, len(data), _AT_ONCE):
                piece = data[at : at + _AT_ONCE]
                with _room(len(piece)) as view:
                    view[:] = piece
                    done = 0
                    while done < len(view):
                        done += os.pwritev(self.handle, [view[done:]], begin + at + done)

    def flush(self) -> None:
        """fdatasync: what was written before is durable when this returns, through the disk's own cache."""
        with self._told("flush"):
            os.fdatasync(self.handle)

    def _check(self, page: int, count: int) -> None:
        if page < 0 or count < 0 or page + count > self.pages:
            raise UsageError(f"pages {page} to {page + count} are not within {self.path} of {self.pages} pages")

    @contextlib.contextmanager
    def _told(self, operation: str, offset: int | None = None, length: int | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            number = error.errno or errno.EIO
            raise KernelError(operation, number, device=self.path, offset=offset, length=length) from error


@contextlib.contextmanager
def _room(size: int) -> Iterator[memoryview]:
    """Memory that begins with a page, as direct access wants it; what others are done with, where that is enough."""
    try:
        room = _ROOMS.pop()
    except IndexError:
        room = mmap.mmap(-1, _LEAST_ROOM)
    if len(room) < size:
        room = mmap.mmap(-1, size)
    try:
        yield memoryview(room)[:size]
    finally:
        _ROOMS.append(room)


def open_pages(path: str, *, write: bool = False, exclusive: bool = False) -> PageDevice:
    """Open a block device or plain file, without O_DIRECT where it is refused or the file ends within a page.

    :param exclusive: a device that is mounted or part of another one is refused (O_EXCL).
    :raises NotFoundError: no such path. :raises BusyError: it is in use. :raises UsageError: neither kind.
    :raises KernelError: other refusals; EROFS and EACCES for what cannot be written.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  # a tool that reads a few pages starts without pathlib
        is_device = stat.S_ISBLK(found.st_mode)
        if not is_device and not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path} is neither a block device nor a plain file")
        number = DeviceNumber(os.major(found.st_rdev), os.minor(found.st_rdev)) if is_device else None
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | (os.O_EXCL if exclusive and is_device else 0)
        handle, is_direct = _open(path, flags, direct=not found.st_size % PAGE)
    except OSError as error:
        _refuse_open(path, error)
    try:
        if write and is_device and _is_read_only(handle):
            raise OSError(errno.EROFS, "the device is read-only")
        size = os.lseek(handle, 0, os.SEEK_END)
    except OSError as error:
        os.close(handle)
        _refuse_open(path, error)
    return PageDevice(handle, path, size=size, number=number, is_cached=not is_direct)


@contextlib.contextmanager
def locked_paths(paths: Iterable[str], *, shared: bool, patience: float = 10.0) -> Iterator[frozenset[str]]:
    """Within the block these devices and files are locked (flock) against other processes that lock them so.

    Gives the paths that were there.

    udev holds the same lock for a moment, shared, while it looks at a device. Paths that are not there are passed over.

    :param shared: with others that share it. :param patience: seconds that are waited for each.
    :raises BusyError: another process has it.
    """
    with contextlib.ExitStack() as stack:
        known: set[tuple[int, int]] = set()
        there: set[str] = set()
        for path in sorted(set(paths)):
            try:
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV}:
                    continue
                _refuse_open(path, error)
            stack.callback(os.close, handle)
            there.add(path)
            found = os.fstat(handle)
            if (found.st_dev, found.st_ino) not in known:
                known.add((found.st_dev, found.st_ino))
                _lock(handle, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, patience)
        yield frozenset(there)


def _lock(handle: int, path: str, how: int, patience: float) -> None:
    """:raises BusyError: somebody keeps it."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise BusyError(f"{path} is in use", hint="another command works on it", device=path) from error
            time.sleep(_PAUSE_S)
        else:
            return


def _is_read_only(handle: int) -> bool:
    """Whether a block device takes no writes, whoever asks (blkdev_roset and what the driver says)."""
    return fcntl.ioctl(handle, _BLKROGET, bytes(4)) != bytes(4)


def _open(path: str, flags: int, *, direct: bool) -> tuple[int, bool]:
    """The handle, and whether it goes past the page cache."""
    if direct:
        try:
            return os.open(path, flags | os.O_DIRECT), True
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return os.open(path, flags), False


def _refuse_open(path: str, error: OSError) -> NoReturn:
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENOMEDIUM}:
        raise NotFoundError(f"there is no {path}", device=path) from error
    if error.errno in {errno.EBUSY, errno.EWOULDBLOCK}:
        raise BusyError(f"{path} is in use", hint="it is mounted, or part of another device", device=path) from error
    raise KernelError("open", error.errno or errno.EIO, device=path) from error

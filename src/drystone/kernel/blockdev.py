"""Block devices and plain files as ranges of bytes: direct reads and writes, flush, discard, zeros.

O_DIRECT wants offset, length and address to be multiples of the device's logical block. Callers need not know: what
is not aligned goes through an aligned buffer, and the edges of an unaligned write are read first. Where a file system
refuses O_DIRECT (hostfs, tmpfs) the same calls go through the page cache.

numpy is imported by what takes or gives its arrays, and what a device needs when one is opened or changed: a tool that
reads a few blocks of a file spends its time on importing.

What the page cache has of a plain file is read from there, and only the rest from the disk: the two agree, as the
kernel sees to it for a file (open(2), O_DIRECT), and nothing is put into the cache that was not there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn, Self

from drystone.base.errors import BusyError, KernelError, NotFoundError, UnsupportedError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from drystone.kernel.dm.number import DeviceNumber

    Bytes = bytes | bytearray | memoryview | NDArray[np.uint8]

BLOCK = 4096
"""Bytes in a block of `read_blocks`, and the alignment of every buffer here."""

_BLKDISCARD = 0x1277
_BLKZEROOUT = 0x127F
_KEEP_SIZE = 1
_PUNCH_HOLE = 2
_ZERO_RANGE = 16
_RANGE = struct.Struct("=QQ")
_ZEROS_AT_ONCE = 1 << 20
_STAGED = 4 << 20
_OWN = threading.local()
_NOT_OFFERED = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS})


class BlockDevice:
    """An open device or plain file (see `open_device`). Offsets and lengths are bytes. Safe for several threads.

    Methods raise KernelError (facts: operation, device, errno, offset, length) when the kernel refuses, and UsageError
    for a range that is not inside the device.

    :ivar size: bytes, as it was when opened.
    :ivar direct: whether O_DIRECT is in effect.
    :ivar unit: bytes that offsets and lengths are rounded to on the way to the kernel; 1 without O_DIRECT.
    :ivar number: its device number; None for a plain file.
    :param cached: another descriptor of the same plain file, without O_DIRECT, which is closed with it; -1: none.
    """

    def __init__(
        self,
        handle: int,
        path: str,
        *,
        size: int,
        writable: bool,
        direct: bool,
        unit: int,
        number: DeviceNumber | None,
        cached: int = -1,
    ) -> None:
        self.handle = handle
        self.path = path
        self.size = size
        self.writable = writable
        self.direct = direct
        self.unit = unit
        self.number = number
        self._cached = cached

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time is nothing."""
        if self.handle >= 0:
            handle, self.handle = self.handle, -1
            cached, self._cached = self._cached, -1
            os.close(handle)
            if cached >= 0:
                os.close(cached)

    def pread(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`."""
        self._check(offset, length)
        begin, end = self._rounded(offset, length)
        staged = aligned_buffer(end - begin)
        self._fill(begin, staged.data, offset + length - begin)
        return staged[offset - begin : offset - begin + length].tobytes()

    def read_into(self, offset: int, buffer: bytearray | memoryview | NDArray[np.uint8]) -> None:
        """Fill `buffer`; without a copy when its address, its length and `offset` are aligned (`aligned_buffer`)."""
        import numpy as np

        target = np.frombuffer(buffer, dtype=np.uint8)
        self._check(offset, target.size)
        if offset % self.unit == 0 and target.size % self.unit == 0 and (self.unit == 1 or _aligned(target)):
            self._fill(offset, target.data, target.size)
            return
        begin, end = self._rounded(offset, target.size)
        staged = aligned_buffer(end - begin)
        self._fill(begin, staged.data, offset + target.size - begin)
        target[:] = staged[offset - begin : offset - begin + target.size]

    def pwrite(self, offset: int, data: Bytes) -> None:
        """Write all of `data`; durable after `flush`. Edges that are no whole units are read, changed, written back."""
        import numpy as np

        source = np.frombuffer(data, dtype=np.uint8)
        self._check(offset, source.size)
        if not source.size:
            return
        begin, end = self._rounded(offset, source.size)
        if (begin, end) == (offset, offset + source.size) and (self.unit == 1 or _aligned(source)):
            self._drain(begin, source)
            return
        staged = _staging(end - begin)
        if begin < offset:
            self._fill(begin, staged[: self.unit].data, self.unit)
        if end > offset + source.size:
            edge = end - self.unit
            self._fill(edge, staged[edge - begin :].data, self.unit)
        staged[offset - begin : offset - begin + source.size] = source
        self._drain(begin, staged)

    def flush(self) -> None:
        """fdatasync: what was written before is durable when this returns, through the disk's own cache."""
        with self._told("flush"):
            os.fdatasync(self.handle)

    def discard(self, offset: int, length: int) -> None:
        """Tell the device that these bytes are not needed (BLKDISCARD); in a file, punch a hole.

        :raises UnsupportedError: it cannot.
        """
        from drystone.kernel.calls import ioctl_buffer
        from drystone.kernel.libc import fallocate

        self._check(offset, length)
        try:
            with self._told("discard", offset, length):
                if self.number is None:
                    fallocate(self.handle, _PUNCH_HOLE | _KEEP_SIZE, offset, length)
                else:
                    ioctl_buffer(self.handle, _BLKDISCARD, bytearray(_RANGE.pack(offset, length)))
        except KernelError as error:
            if error.errno in _NOT_OFFERED - {errno.EINVAL}:
                raise UnsupportedError(f"{self.path} does not discard") from error
            raise

    def zero_out(self, offset: int, length: int) -> None:
        """Have zeros there: BLKZEROOUT or fallocate where they are offered, written otherwise."""
        from drystone.kernel.calls import ioctl_buffer
        from drystone.kernel.libc import fallocate

        self._check(offset, length)
        if not length:
            return
        try:
            with self._told("zero-out", offset, length):
                if self.number is None:
                    fallocate(self.handle, _ZERO_RANGE | _KEEP_SIZE, offset, length)
                else:
                    ioctl_buffer(self.handle, _BLKZEROOUT, bytearray(_RANGE.pack(offset, length)))
        except KernelError as error:
            if error.errno not in _NOT_OFFERED:
                raise
            zeros = aligned_buffer(min(length, _ZEROS_AT_ONCE))
            zeros[:] = 0
            for at in range(offset, offset + length, zeros.size):
                self.pwrite(at, zeros[: min(zeros.size, offset + length - at)])

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Blocks of 4096 bytes by number: shape (n, 4096), in the order asked (the BlockReader of `formats`).

        Neighbours are read together, each block once, in the order of the disk.
        """
        import numpy as np

        asked = np.asarray(numbers, dtype=np.uint64)
        ascending = bool((asked[1:] > asked[:-1]).all())  # the usual case, and sorting costs more than looking
        wanted, places = (asked, None) if ascending else np.unique(asked, return_inverse=True)
        if wanted.size and int(wanted[-1]) >= self.size // BLOCK:
            raise UsageError(
                f"block {int(wanted[-1])} is not within {self.path}, which has {self.size // BLOCK} blocks"
            )
        found = aligned_buffer(wanted.size * BLOCK)
        breaks = np.flatnonzero(np.diff(wanted) != 1) + 1
        for run in np.split(np.arange(wanted.size), breaks):
            if run.size:
                first, last = int(run[0]), int(run[-1])
                self.read_into(int(wanted[first]) * BLOCK, found[first * BLOCK : (last + 1) * BLOCK])
        blocks = found.reshape(-1, BLOCK)
        if places is None:
            return blocks
        ordered: NDArray[np.uint8] = blocks[places.reshape(-1)]
        return ordered

    def read_bytes(self, numbers: Sequence[int]) -> memoryview:
        """The same without numpy: len(numbers) * 4096 bytes, in the order asked. Neighbours are read together."""
        count, there = len(numbers), self.size // BLOCK
        if count and max(numbers) >= there:
            raise UsageError(f"block {max(numbers)} is not within {self.path}, which has {there} blocks")
        found = _borrow_pages(count * BLOCK)
        begin = 0
        while begin < count:
            end = begin + 1
            while end < count and numbers[end] - numbers[begin] == end - begin:
                end += 1
            offset, part = numbers[begin] * BLOCK, found[begin * BLOCK : end * BLOCK]
            if BLOCK % self.unit:
                part[:] = self.pread(offset, len(part))
            else:
                self._fill(offset, part, len(part))
            begin = end
        return memoryview(bytes(found))

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        """Write blocks of 4096 bytes, shape (n, 4096), to these places (the BlockWriter of `formats`); each place once.

        Neighbours that are given one after the other are written together. Durable after `flush`.
        """
        import numpy as np

        wanted = np.asarray(numbers, dtype=np.uint64)
        if wanted.size and int(wanted.max()) >= self.size // BLOCK:
            raise UsageError(
                f"block {int(wanted.max())} is not within {self.path}, which has {self.size // BLOCK} blocks"
            )
        flat = np.ascontiguousarray(blocks).reshape(-1)
        breaks = np.flatnonzero(np.diff(wanted) != 1) + 1
        for run in np.split(np.arange(wanted.size), breaks):
            if run.size:
                first, last = int(run[0]), int(run[-1])
                self.pwrite(int(wanted[first]) * BLOCK, flat[first * BLOCK : (last + 1) * BLOCK])

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise UsageError(f"bytes {offset} to {offset + length} are not within {self.path} of {self.size} bytes")

    def _rounded(self, offset: int, length: int) -> tuple[int, int]:
        """The smallest range of whole units around a range of bytes."""
        return offset // self.unit * self.unit, -(-(offset + length) // self.unit) * self.unit

    def _fill(self, offset: int, view: memoryview, needed: int) -> None:
        """Read into `view` until `needed` bytes are there: a file may end within its last unit."""
        done = self._fill_cached(offset, view)
        while done < needed:
            with self._told("read", offset + done, needed - done):
                count = os.preadv(self.handle, [view[done:]], offset + done)
                if not count:
                    raise OSError(errno.EIO, "the device has become shorter")
            done += count

    def _fill_cached(self, offset: int, view: memoryview) -> int:
        """Read what the page cache has from `offset` on, without a wait for the disk; bytes, in whole units."""
        if self._cached < 0:
            return 0
        try:
            count = os.preadv(self._cached, [view], offset, os.RWF_NOWAIT)
        except OSError:  # EAGAIN: nothing is there; whatever else it is, the direct read tells it
            return 0
        return count if count == len(view) else count // self.unit * self.unit

    def _drain(self, offset: int, data: NDArray[np.uint8]) -> None:
        """Write all of `data`."""
        view = data.data
        done = 0
        while done < len(view):
            with self._told("write", offset + done, len(view) - done):
                done += os.pwritev(self.handle, [view[done:]], offset + done)

    @contextlib.contextmanager
    def _told(self, operation: str, offset: int | None = None, length: int | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise KernelError(
                operation, error.errno or errno.EIO, device=self.path, offset=offset, length=length
            ) from error


def open_device(path: str, *, write: bool = False, direct: bool = True, exclusive: bool = False) -> BlockDevice:
    """Open a block device or a plain file; without O_DIRECT where it is refused, and for writing to a plain file that
    does not end with a whole block.

    :param exclusive: a device that is mounted or part of another one is refused (O_EXCL); a plain file is locked
        (flock) against other openers of this kind: readers share it, a writer has it alone.
    :raises NotFoundError: no such path. :raises BusyError: it is in use. :raises UsageError: neither kind.
    :raises KernelError: other refusals.
    """
    flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC
    try:
        found = _stat(path)
        is_device = stat.S_ISBLK(found.st_mode)
        if not is_device and not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path} is neither a block device nor a plain file")
        if exclusive and is_device:
            flags |= os.O_EXCL
        if write and not is_device and found.st_size % BLOCK:
            direct = False  # a direct write cannot end within a block
        handle, direct = _open_direct(path, flags, direct)
    except OSError as error:
        _refuse_open(path, error)
    try:
        if exclusive and not is_device:
            fcntl.flock(handle, (fcntl.LOCK_EX if write else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        size = os.lseek(handle, 0, os.SEEK_END)
    except OSError as error:
        os.close(handle)
        _refuse_open(path, error)
    number = _get_number(found) if is_device else None
    unit = 1
    if direct:
        unit = BLOCK if number is None else _logical_block(number)
    cached = -1
    if direct and number is None:
        with contextlib.suppress(OSError):  # it is read directly all the same
            cached = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    return BlockDevice(handle, path, size=size, writable=write, direct=direct, unit=unit, number=number, cached=cached)


def aligned_buffer(size: int) -> NDArray[np.uint8]:
    """`size` bytes, of any content, whose address is a multiple of 4096."""
    import numpy as np

    room = np.empty(size + BLOCK, dtype=np.uint8)
    skip = -room.ctypes.data % BLOCK
    return room[skip : skip + size]


def _borrow_pages(size: int) -> memoryview:
    """`size` bytes in pages of their own, of any content, which this thread's next read may overwrite.

    Copying out of them takes a tenth of the time that the kernel needs for new pages.
    """
    held: memoryview | None = getattr(_OWN, "pages", None)
    if held is None or len(held) < size:
        held = memoryview(mmap.mmap(-1, max(size, BLOCK), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        if size <= _STAGED:
            _OWN.pages = held
    return held[:size]


def _staging(size: int) -> NDArray[np.uint8]:
    """An aligned buffer of this thread, of any content; kept for its next write where it is not large."""
    if size > _STAGED:
        return aligned_buffer(size)
    if not hasattr(_OWN, "buffer") or len(_OWN.buffer) < size:
        _OWN.buffer = aligned_buffer(size)
    staged: NDArray[np.uint8] = _OWN.buffer[:size]
    return staged


def device_number(path: str) -> DeviceNumber:
    """The number of the block device at `path`, symlinks followed.

    :raises NotFoundError: no such path. :raises UsageError: it is no block device.
    """
    try:
        found = _stat(path)
    except OSError as error:
        _refuse_open(path, error)
    if not stat.S_ISBLK(found.st_mode):
        raise UsageError(f"{path} is no block device")
    return _get_number(found)


def _get_number(found: os.stat_result) -> DeviceNumber:
    from drystone.kernel.dm.number import DeviceNumber

    return DeviceNumber(os.major(found.st_rdev), os.minor(found.st_rdev))


def device_path(number: DeviceNumber) -> str:
    """A path of a block device: /dev/mapper/NAME for device-mapper where it leads there, else /dev/KERNELNAME.

    :raises NotFoundError: no such device, or no node of it in /dev.
    """
    from drystone.kernel import sysfs
    from drystone.kernel.dm.nodes import node_path

    candidates = [f"/dev/{sysfs.kernel_name(number)}"]
    if name := sysfs.mapper_name(number):
        candidates.insert(0, node_path(name))
    for path in candidates:
        with contextlib.suppress(NotFoundError, UsageError):
            if device_number(path) == number:
                return path
    raise NotFoundError(f"block device {number} has no node at {' or '.join(candidates)}")


def size_of(path: str) -> int:
    """Bytes of a device or plain file, without opening a device.

    :raises NotFoundError: no such path. :raises UsageError: neither a device nor a plain file.
    """
    from drystone.kernel import sysfs

    try:
        found = _stat(path)
    except OSError as error:
        _refuse_open(path, error)
    if stat.S_ISREG(found.st_mode):
        return found.st_size
    return sysfs.read_limits(device_number(path)).size


def flush_disk(path: str) -> None:
    """Have a disk write what it keeps in its cache. Durable when it returns.

    :raises NotFoundError, KernelError: it cannot be opened, or its flush failed.
    """
    with open_device(path, write=True) as device:
        device.flush()


def _stat(path: str) -> os.stat_result:
    return os.stat(path or ".")  # noqa: PTH116  # importing pathlib takes longer than reading a superblock


def _open_direct(path: str, flags: int, direct: bool) -> tuple[int, bool]:
    """A file descriptor, and whether it is a direct one."""
    if direct:
        try:
            return os.open(path, flags | os.O_DIRECT), True
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return os.open(path, flags), False


def _refuse_open(path: str, error: OSError) -> NoReturn:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        raise NotFoundError(f"there is no {path}") from error
    if error.errno in {errno.EBUSY, errno.EWOULDBLOCK}:
        raise BusyError(f"{path} is in use", hint="it is mounted, or part of another device", device=path) from error
    raise KernelError("open", error.errno or errno.EIO, device=path) from error


def _logical_block(number: DeviceNumber) -> int:
    """The unit of direct access; a page where sysfs cannot say."""
    from drystone.kernel import sysfs

    try:
        return sysfs.read_limits(number).logical_block
    except NotFoundError:
        return BLOCK


def _aligned(array: NDArray[np.uint8]) -> bool:
    return bool(array.ctypes.data % BLOCK == 0 and array.flags.c_contiguous)

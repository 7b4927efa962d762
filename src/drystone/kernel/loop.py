"""Loop devices: a file as a block device.

Source: Linux `include/uapi/linux/loop.h`, `drivers/block/loop.c`. Offsets and sizes are bytes. A loop device is as long
as its file, rounded down to whole sectors of 512 bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import BusyError, DamagedError, KernelError, NotFoundError, UnsupportedError, UsageError
from drystone.kernel import sysfs
from drystone.kernel.calls import ioctl_buffer, ioctl_value
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.modules import load_module

CONTROL = "/dev/loop-control"

_SET_FD = 0x4C00
_CLR_FD = 0x4C01
_SET_STATUS64 = 0x4C04
_GET_STATUS64 = 0x4C05
_SET_CAPACITY = 0x4C07
_SET_BLOCK_SIZE = 0x4C09
_CONFIGURE = 0x4C0A
_CTL_GET_FREE = 0x4C82
_READ_ONLY = 1
_AUTOCLEAR = 4
_DIRECT_IO = 16
_STATUS = struct.Struct("=5Q4I64s64s32s2Q")
_CONFIG = struct.Struct("=2I")
_CONFIG_SIZE = 304
_NAME = re.compile(r"loop([0-9]+)")
_TRIES = 64
_CLOCK = SystemClock()
BLOCK_SIZES = (512, 1024, 2048, 4096)
"""Bytes that a loop device's logical block may have."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop device that is set up. Offsets and sizes are bytes; `size_limit` 0 means to the end of the file.

    :ivar file: the file's path as the kernel says it; it ends in " (deleted)" when the file has no name any more.
    :ivar autoclear: it goes when its last opener closes it.
    """

    path: str
    number: DeviceNumber
    file: str
    offset: int
    size_limit: int
    read_only: bool
    direct_io: bool
    autoclear: bool


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """struct loop_info64: the file by device and inode, and how it is used."""

    device: int = 0
    inode: int = 0
    offset: int = 0
    size_limit: int = 0
    flags: int = 0
    file_name: bytes = b""


def pack_status(status: LoopStatus) -> bytes:
    """struct loop_info64, 232 bytes; a file name is cut to 63 bytes, as the structure has no room for more."""
    return _STATUS.pack(
        0, 0, 0, status.offset, status.size_limit, 0, 0, 0, status.flags, status.file_name[:63], b"", b"", 0, 0
    )


def parse_status(data: bytes | bytearray) -> LoopStatus:
    """The inverse, as the kernel fills it.

    :raises DamagedError: fewer than 232 bytes.
    """
    if len(data) < _STATUS.size:
        raise DamagedError(f"the status of a loop device has {_STATUS.size} bytes, not {len(data)}")
    fields = _STATUS.unpack_from(data)
    return LoopStatus(fields[0], fields[1], fields[3], fields[4], fields[8], fields[9].split(b"\0", 1)[0])


def attach(
    file: str,
    *,
    read_only: bool = False,
    direct_io: bool = False,
    offset: int = 0,
    size_limit: int = 0,
    block_size: int = 0,
) -> Loop:
    """Set up the first free loop device on `file`. It stays until `detach`.

    :param direct_io: ask for O_DIRECT on the file; the kernel goes without where the file system refuses.
    :param block_size: bytes of its logical block, 0 for the kernel's choice.
    :raises NotFoundError: no such file. :raises UsageError: no plain file or device, or a wrong size.
    :raises BusyError: others took every free device first, many times over. :raises UnsupportedError: no loop driver.
    """
    loop, handle = _attach(file, _flags(read_only, direct_io), offset, size_limit, block_size)
    os.close(handle)
    return loop


@contextlib.contextmanager
def hold(file: str, *, read_only: bool = False, direct_io: bool = False, block_size: int = 0) -> Iterator[Loop]:
    """A loop device on `file` for as long as the block runs, or the process lives: the kernel takes it down itself.

    Raises as `attach` does. What is built on the device keeps it beyond the block.
    """
    loop, handle = _attach(file, _flags(read_only, direct_io) | _AUTOCLEAR, 0, 0, block_size)
    try:
        yield loop
    finally:
        os.close(handle)


def detach(path: str) -> None:
    """Take a loop device down. While it is open elsewhere the kernel does so at the last close.

    :raises NotFoundError: it is not set up, or there is no such device. :raises KernelError: other refusals.
    """
    _command(path, _CLR_FD, "loop-detach")


def set_autoclear(path: str) -> None:
    """Let a loop device go by itself when its last opener closes it; it must be open somewhere by now.

    :raises NotFoundError: it is not set up. :raises KernelError: other refusals.
    """
    handle = _open(path, os.O_RDONLY)
    try:
        status = parse_status(_ask_status(handle, path))
        ioctl_buffer(handle, _SET_STATUS64, bytearray(pack_status(replace(status, flags=status.flags | _AUTOCLEAR))))
    except OSError as error:
        raise KernelError("loop-set-status", error.errno or 0, device=path) from error
    finally:
        os.close(handle)


def set_capacity(path: str) -> None:
    """Make the device as long as its file has become.

    :raises NotFoundError: it is not set up. :raises KernelError: other refusals.
    """
    _command(path, _SET_CAPACITY, "loop-set-capacity")


def _command(path: str, request: int, operation: str) -> None:
    """A call on a loop device that takes and gives nothing."""
    handle = _open(path, os.O_RDONLY)
    try:
        ioctl_value(handle, request)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotFoundError(f"{path} is not set up") from error
        raise KernelError(operation, error.errno or 0, device=path) from error
    finally:
        os.close(handle)


def find_by_file(file: str) -> list[Loop]:
    """The loop devices on that very file, by device and inode, whatever names it has.

    :raises NotFoundError: no such file.
    """
    try:
        wanted = Path(file).stat()
    except OSError as error:
        raise NotFoundError(f"there is no {file}") from error
    found: list[Loop] = []
    for loop in list_loops():
        with contextlib.suppress(NotFoundError, KernelError):
            handle = _open(loop.path, os.O_RDONLY)
            try:
                status = parse_status(_ask_status(handle, loop.path))
            finally:
                os.close(handle)
            if status.inode == wanted.st_ino and status.device == wanted.st_dev:
                found.append(loop)
    return found


def list_loops(sysfs_folder: str = sysfs.SYSFS) -> list[Loop]:
    """All loop devices that are set up, by number."""
    block = Path(sysfs_folder, "block")
    names = [each.name for each in block.iterdir()] if block.is_dir() else []
    numbers = sorted(int(match[1]) for match in map(_NAME.fullmatch, names) if match is not None)
    found = [_read_loop(block / f"loop{each}") for each in numbers]
    return [each for each in found if each is not None]


def _read_loop(folder: Path) -> Loop | None:
    """What sysfs says of a loop device; None when it is not set up."""
    number = sysfs.read_device(folder / "dev")
    file = sysfs.read_text(folder / "loop" / "backing_file")
    if number is None or not file:
        return None
    texts = {
        each: sysfs.read_text(folder / "loop" / each) or "0" for each in ("offset", "sizelimit", "autoclear", "dio")
    }
    return Loop(
        path=f"/dev/{folder.name}",
        number=number,
        file=file,
        offset=int(texts["offset"]),
        size_limit=int(texts["sizelimit"]),
        read_only=sysfs.read_text(folder / "ro") == "1",
        direct_io=texts["dio"] == "1",
        autoclear=texts["autoclear"] == "1",
    )


def _flags(read_only: bool, direct_io: bool) -> int:
    return (_READ_ONLY if read_only else 0) | (_DIRECT_IO if direct_io else 0)


def _attach(file: str, flags: int, offset: int, size_limit: int, block_size: int) -> tuple[Loop, int]:
    """Set a device up; it and its file descriptor, which keeps it when it is to clear itself."""
    if block_size and block_size not in BLOCK_SIZES:
        raise UsageError(f"the block of a loop device has {', '.join(map(str, BLOCK_SIZES))} bytes, not {block_size}")
    if offset < 0 or size_limit < 0:
        raise UsageError("offset and size limit of a loop device are not below 0")
    backing = _open_file(file, flags)
    try:
        status = LoopStatus(offset=offset, size_limit=size_limit, flags=flags, file_name=os.fsencode(file))
        with _control() as control:
            handle, path = _claim_free(control, backing, status, block_size)
    finally:
        os.close(backing)
    loop = _read_loop(Path(sysfs.SYSFS, "block", Path(path).name))
    if loop is None:
        os.close(handle)
        raise KernelError("loop-attach", errno.ENXIO, device=path, hint="it was taken down at once by somebody else")
    return loop, handle


def _open_file(file: str, flags: int) -> int:
    mode = os.O_RDONLY if flags & _READ_ONLY else os.O_RDWR
    try:
        handle = os.open(file, mode | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no {file}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{file} is a folder, not a file") from error
    except OSError as error:
        raise KernelError("open", error.errno or 0, device=file) from error
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISBLK(kind):
        os.close(handle)
        raise UsageError(f"{file} is neither a plain file nor a block device")
    return handle


@contextlib.contextmanager
def _control() -> Iterator[int]:
    """The control node, with the driver loaded."""
    if not Path(CONTROL).exists():
        load_module("loop")
    try:
        handle = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnsupportedError("this kernel has no loop devices", hint="modprobe loop") from error
    except OSError as error:
        raise KernelError("open", error.errno or 0, device=CONTROL, hint="loop devices are for root") from error
    try:
        yield handle
    finally:
        os.close(handle)


def _claim_free(
    control: int, backing: int, status: LoopStatus, block_size: int, clock: Clock = _CLOCK
) -> tuple[int, str]:
    """Between asking for a free device and setting it up another process can take it: then ask again."""
    for attempt in range(_TRIES):
        try:
            path = f"/dev/loop{ioctl_value(control, _CTL_GET_FREE)}"
        except OSError as error:
            raise KernelError("loop-get-free", error.errno or 0, device=CONTROL) from error
        handle = _open_node(path, os.O_RDONLY if status.flags & _READ_ONLY else os.O_RDWR)
        try:
            _configure(handle, backing, status, block_size)
        except OSError as error:
            os.close(handle)
            if error.errno != errno.EBUSY:
                raise KernelError("loop-attach", error.errno or 0, device=path) from error
            clock.sleep(0.001 * attempt)
            continue
        return handle, path
    raise BusyError(f"no loop device stayed free through {_TRIES} tries")


def _configure(handle: int, backing: int, status: LoopStatus, block_size: int) -> None:
    """LOOP_CONFIGURE (since 5.8) sets a device up in one step; older kernels take three.

    :raises OSError: EBUSY: somebody else has it.
    """
    packed = pack_status(status)
    try:
        ioctl_buffer(
            handle, _CONFIGURE, bytearray((_CONFIG.pack(backing, block_size) + packed).ljust(_CONFIG_SIZE, b"\0"))
        )
        return
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTTY}:
            raise
    ioctl_value(handle, _SET_FD, backing)
    try:
        if block_size:
            ioctl_value(handle, _SET_BLOCK_SIZE, block_size)
        ioctl_buffer(handle, _SET_STATUS64, bytearray(packed))
    except OSError:
        ioctl_value(handle, _CLR_FD)
        raise


def _open(path: str, mode: int) -> int:
    try:
        return os.open(path, mode | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}") from error
    except OSError as error:
        raise KernelError("open", error.errno or 0, device=path) from error


def _open_node(path: str, mode: int) -> int:
    """Open a loop device, making its node where /dev is bare."""
    if not Path(path).exists():
        number = sysfs.read_device(Path(sysfs.SYSFS, "block", Path(path).name, "dev"))
        if number is not None:
            with contextlib.suppress(FileExistsError):
                os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(*number))
    return _open(path, mode)


def _ask_status(handle: int, path: str) -> bytearray:
    buffer = bytearray(_STATUS.size)
    try:
        ioctl_buffer(handle, _GET_STATUS64, buffer)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotFoundError(f"{path} is not set up") from error
        raise KernelError("loop-get-status", error.errno or 0, device=path) from error
    return buffer

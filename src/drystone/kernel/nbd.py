"""Network block devices of the kernel: /dev/nbdN made out of a socket behind which a server of requests is.

By generic netlink (linux/nbd-netlink.h), which picks a free device by itself and needs no process of ours that waits.
The kernel does not negotiate: the server is told to begin with requests. There is no time limit: a store may be slow.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from drystone.base.errors import ExhaustedError, KernelError, NotFoundError, TimedOutError, UnsupportedError, UsageError
from drystone.base.sizes import SECTOR
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.genetlink import GenericNetlink, attribute, nested
from drystone.kernel.modules import load_module
from drystone.kernel.sysfs import SYSFS, kernel_name, read_text

_CONNECT, _DISCONNECT = 1, 2
_INDEX, _SIZE, _BLOCK, _SERVER_FLAGS, _SOCKETS, _IDENTIFIER = 1, 2, 3, 5, 7, 10
_SOCKET_ITEM, _SOCKET = 1, 1
_HAS_FLAGS, _READ_ONLY, _SEND_FLUSH = 1, 2, 4
_LONGEST_IDENTIFIER = 4000
_STARTTIME = 19
"""Among the words of /proc/PID/stat that follow the process's name."""

_APPEARS_S = 5.0
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class NbdDevice:
    """A connected device: its number in the name, and its path."""

    index: int

    @property
    def path(self) -> str:
        """Its node."""
        return f"/dev/nbd{self.index}"

    @property
    def name(self) -> str:
        """What the kernel calls it."""
        return f"nbd{self.index}"


def connect(sockets: list[int], size: int, *, identifier: str = "") -> NbdDevice:
    """Make a read-only device of `size` bytes, a multiple of 512, out of connected sockets; the kernel keeps them.

    :param sockets: file descriptors, each with a server of its own behind it.
    :param identifier: what `find_identifier` tells later; any name of a file may be in it.

    :raises UsageError: the identifier is longer than 4,000 bytes. :raises UnsupportedError: this kernel has no nbd.
    :raises ExhaustedError: no device is free. :raises TimedOutError: /dev has no node of it. :raises KernelError: it
        refused.
    """
    assert size % SECTOR == 0
    name = os.fsencode(identifier)
    if len(name) > _LONGEST_IDENTIFIER:  # the kernel shows it in a page, and does not count
        raise UsageError(f"what a device holds is longer than {_LONGEST_IDENTIFIER} bytes")
    load_module("nbd")
    items = [nested(_SOCKET_ITEM, attribute(_SOCKET, struct.pack("=I", each))) for each in sockets]
    wishes = [
        attribute(_SIZE, struct.pack("=Q", size)),
        attribute(_BLOCK, struct.pack("=Q", SECTOR)),
        attribute(_SERVER_FLAGS, struct.pack("=Q", _HAS_FLAGS | _READ_ONLY | _SEND_FLUSH)),
        nested(_SOCKETS, *items),
    ]
    if name:
        wishes.append(attribute(_IDENTIFIER, name + b"\0"))
    with GenericNetlink("nbd") as link:
        try:
            answer = link.ask(_CONNECT, *wishes)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EBUSY}:
                raise ExhaustedError("no network block device is free") from error
            raise KernelError("connect", error.errno or errno.EIO, device="nbd") from error
    if _INDEX not in answer:
        raise UnsupportedError("this kernel does not say which nbd device it has taken", hint="use Linux 4.12 or newer")
    device = NbdDevice(struct.unpack("=I", answer[_INDEX][:4])[0])
    try:
        _await_node(device)
    except BaseException:
        disconnect(device)
        raise
    return device


def disconnect(device: NbdDevice) -> None:
    """End a device; who has it open gets errors from now on. One that is not connected is left as it is.

    :raises KernelError: the kernel refused.
    """
    with GenericNetlink("nbd") as link:
        try:
            link.ask(_DISCONNECT, attribute(_INDEX, struct.pack("=I", device.index)))
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.EINVAL, errno.ENOTCONN}:
                raise KernelError("disconnect", error.errno or errno.EIO, device=device.path) from error


def find_identifier(device: NbdDevice, sysfs: str = SYSFS) -> str:
    """What `connect` was given for the device; "" when nothing, or when it is not connected."""
    return read_text(Path(sysfs) / "block" / device.name / "backend") or ""


def is_connected(device: NbdDevice, sysfs: str = SYSFS) -> bool:
    """Whether the device has a server: the file `pid` is there then."""
    return (Path(sysfs) / "block" / device.name / "pid").exists()


def is_orphaned(device: NbdDevice, begun: str = "", sysfs: str = SYSFS, proc: str = "/proc") -> bool:
    """Whether the process that connected the device is gone, and so is its server.

    What was asked of it then waits until `disconnect`, which gives errors to all who wait.

    :param begun: what `begun_at` said of that process; a later one may have its id by now. "": nobody knows.
    """
    pid = read_text(Path(sysfs) / "block" / device.name / "pid")
    if pid is None:
        return False
    now = begun_at(pid, proc)
    return not now or (bool(begun) and now != begun)


def begun_at(pid: str, proc: str = "/proc") -> str:
    """When a process began, in ticks since the machine did; "" when there is none. Source: proc(5), stat."""
    words = (read_text(Path(proc) / pid / "stat") or "").rpartition(")")[2].split()
    return words[_STARTTIME] if len(words) > _STARTTIME else ""


def find_device(number: DeviceNumber, sysfs: str = SYSFS) -> NbdDevice:
    """The network block device of a number. :raises NotFoundError: it is none, or there is none."""
    return parse_path(f"/dev/{kernel_name(number, sysfs)}")


def parse_path(path: str) -> NbdDevice:
    """The device of a path such as /dev/nbd0. :raises NotFoundError: it is no path of one."""
    digits = path.removeprefix("/dev/nbd")
    if digits == path or not digits.isdecimal() or not digits.isascii() or len(digits) > 6:
        raise NotFoundError(f"{path} is no network block device")
    return NbdDevice(int(digits))


def _await_node(device: NbdDevice) -> None:
    """:raises TimedOutError: /dev has no node of it."""
    end = time.monotonic() + _APPEARS_S
    while not Path(device.path).exists():
        if time.monotonic() > end:
            raise TimedOutError(f"{device.path} did not appear", hint="is /dev a devtmpfs, or udev running?")
        time.sleep(_PAUSE_S)

"""Raw calls on the control node of device-mapper: open it, make one call, grow the buffer when it was short."""

from __future__ import annotations

import errno
import os
import stat

from drystone.base.errors import ExhaustedError, KernelError, UnsupportedError
from drystone.kernel.calls import ioctl_buffer
from drystone.kernel.dm.layout import Command, Flag, Header, pack_request, parse_data, parse_header, request_number
from drystone.kernel.modules import load_module

_MISC_MAJOR = 10
_FIRST_SIZE = 2048
_LARGEST_SIZE = 64 << 20
_GROWING = frozenset(
    {
        Command.LIST_DEVICES,
        Command.LIST_VERSIONS,
        Command.TABLE_STATUS,
        Command.TABLE_DEPS,
        Command.TARGET_MSG,
    }
)
_MESSAGE_SIZE = 64 << 10
"""Bytes for the answer to a message: a call that is made again because its buffer was short is a second message."""


def open_control(path: str) -> int:
    """A file descriptor of the control node, made first where /dev is bare, with dm-mod loaded where it is not.

    :raises UnsupportedError: this kernel has no device-mapper. :raises KernelError: no rights.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
            raise KernelError("open", error.errno or 0, device=path, hint="device-mapper is for root") from error
    minor = _control_minor()
    if minor is None:
        load_module("dm-mod")
        minor = _control_minor()
    if minor is None:
        raise UnsupportedError("this kernel has no device-mapper", hint="modprobe dm-mod, or use: drystone lab run")
    try:
        _make_control(path, minor)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", error.errno or 0, device=path, hint="device-mapper is for root") from error


def call(handle: int, command: Command, header: Header, data: bytes = b"") -> tuple[Header, bytes]:
    """One call; the answer's header and data (b"" when the kernel gave none).

    The buffer grows, and the call is made again, while it was too short for the answer.

    :raises OSError: with the kernel's errno. EINTR is for the caller to decide on.
    :raises ExhaustedError: the answer is longer than 64 MiB.
    """
    size = _MESSAGE_SIZE if command == Command.TARGET_MSG else _FIRST_SIZE
    while True:
        buffer = pack_request(header, data, size=size)
        if ioctl_buffer(handle, request_number(command), buffer) > 0 and command == Command.TARGET_MSG:
            # Linux 6.1's target_message lets an inner 2 out when there is no live table: the message reached nobody.
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        answer = parse_header(buffer)
        found = parse_data(buffer, answer) if answer.data_start <= answer.data_size else b""
        if header.flags & Flag.SECURE_DATA:
            buffer[:] = bytes(len(buffer))
        if not answer.flags & Flag.BUFFER_FULL or command not in _GROWING:
            return answer, found
        size = max(size, len(buffer)) * 4
        if size > _LARGEST_SIZE:
            raise ExhaustedError(f"the answer to {command.name} is longer than {_LARGEST_SIZE} bytes")


def _control_minor() -> int | None:
    """The minor number that the kernel gave device-mapper's control node; None: it is not loaded."""
    from pathlib import Path  # seldom needed

    try:
        lines = Path("/proc/misc").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        number, _, name = line.strip().partition(" ")
        if name == "device-mapper" and number.isdigit():
            return int(number)
    return None


def _make_control(path: str, minor: int) -> None:
    """Have a character device 10:`minor` at `path`, in place of a node with another number."""
    from pathlib import Path

    number = os.makedev(_MISC_MAJOR, minor)
    Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        found = None
    if found is not None:
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == number:
            return
        Path(path).unlink()
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, number)
    except FileExistsError:
        return  # the kernel's devtmpfs was quicker

"""Mounts: what is mounted where, mount and unmount by system call.

Format of /proc/self/mountinfo: Linux `Documentation/filesystems/proc.rst` section 3.5. Blanks, tabs, newlines and
backslashes in paths are written as octal numbers.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from drystone.base.errors import BusyError, DamagedError, KernelError, NotFoundError, UsageError
from drystone.kernel import libc
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.kmsg import KernelLog

_FIXED_FIELDS = 6
"""Of a line of mountinfo (proc_pid_mountinfo(5)), before the optional ones."""
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_FLAGS = {
    "defaults": 0,
    "rw": 0,
    "ro": 1,
    "nosuid": 2,
    "nodev": 4,
    "noexec": 8,
    "sync": 16,
    "noatime": 1 << 10,
    "nodiratime": 1 << 11,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
}
"""Options that are the kernel's own (MS_* of Linux `include/uapi/linux/mount.h`)."""

_DETACH = 2
_NOFOLLOW = 8
_LOG_BEGINNINGS = ("EXT4-fs", "XFS", "EXT2-fs", "JBD2")


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo.

    :ivar root: what of the file system is seen there: "/" unless it is a bind mount.
    :ivar target: the mount point.
    :ivar kind: the file system's type, such as ext4.
    :ivar source: the device as it was named to mount, or any text.
    """

    mount_id: int
    parent_id: int
    number: DeviceNumber
    root: str
    target: str
    options: tuple[str, ...]
    optional: tuple[str, ...]
    kind: str
    source: str
    super_options: tuple[str, ...]


def parse_mountinfo(data: bytes) -> list[Mount]:
    """Every line, in the kernel's order: a later mount on the same path hides an earlier one.

    :raises DamagedError: a line has another form.
    """
    return [_parse_line(line) for line in data.split(b"\n") if line]


def list_mounts(path: str = "/proc/self/mountinfo") -> list[Mount]:
    """What is mounted in this process's mount namespace.

    :raises KernelError: it cannot be read.
    """
    try:
        return parse_mountinfo(Path(path).read_bytes())
    except OSError as error:
        raise KernelError("read", error.errno or 0, device=path) from error


def mounts_of(number: DeviceNumber) -> list[Mount]:
    """Where a block device is mounted in this mount namespace. (A file system may name another number: btrfs.)"""
    return [each for each in list_mounts() if each.number == number]


def mount_at(target: str) -> Mount | None:
    """The uppermost mount at this path (symlinks followed); None: it is no mount point."""
    wanted = str(Path(target).resolve())
    found = [each for each in list_mounts() if each.target == wanted]
    return found[-1] if found else None


def mount(source: str, target: str, kind: str, *, read_only: bool = False, options: str = "") -> None:
    """mount(2).

    :param options: comma-separated; those in _FLAGS are the kernel's own, the rest goes to the file system.
    :raises NotFoundError: no such source or mount point. :raises BusyError: the device is in use (errno EBUSY).
    :raises KernelError: other refusals, with what the file system said in the kernel's log.
    """
    words = [word for word in options.split(",") if word]
    flags = _FLAGS["ro"] if read_only else 0
    for word in words:
        flags |= _FLAGS.get(word, 0)
    log = KernelLog()
    log.mark()
    try:
        libc.mount(source, target, kind, flags, ",".join(word for word in words if word not in _FLAGS))
    except OSError as error:
        number = error.errno or 0
        if number in {errno.ENOENT, errno.ENOTDIR}:
            missing = source if Path(target).is_dir() else target
            raise NotFoundError(f"cannot mount {source}: there is no {missing}", errno=number) from error
        if number == errno.EBUSY:
            raise BusyError(f"{source} is in use, or {target} is mounted already", errno=number) from error
        lines = log.read(_LOG_BEGINNINGS)
        raise KernelError(
            "mount", number, device=source, hint=lines[-1] if lines else "", target=target, kind=kind, log=lines or None
        ) from error
    except ValueError as error:
        raise UsageError(f"a path or option of a mount holds a NUL: {source!r} {target!r}") from error
    finally:
        log.close()


def unmount(target: str, *, lazy: bool = False) -> None:
    """umount2(2); a symlink at `target` is not followed.

    :param lazy: take it out of the tree now, and let it go when its last user is done.
    :raises BusyError: it is in use (errno EBUSY). :raises NotFoundError: nothing is mounted there.
    :raises KernelError: other refusals.
    """
    try:
        libc.umount2(target, _NOFOLLOW | (_DETACH if lazy else 0))
    except OSError as error:
        number = error.errno or 0
        if number == errno.EBUSY:
            raise BusyError(
                f"{target} is in use", hint="close its files and leave its folders", errno=number
            ) from error
        if number in {errno.EINVAL, errno.ENOENT, errno.ENOTDIR}:
            raise NotFoundError(f"nothing is mounted at {target}", errno=number) from error
        raise KernelError("unmount", number, device=target) from error
    except ValueError as error:
        raise UsageError(f"a path holds a NUL: {target!r}") from error


def _parse_line(line: bytes) -> Mount:
    fields = line.split(b" ")
    try:
        end = fields.index(b"-", _FIXED_FIELDS)  # not before them: a path may be "-"
    except ValueError:
        end = len(fields)
    fields, tail = fields[:end], fields[end + 1 :]
    if len(tail) < 3:
        raise DamagedError(f"a line of mountinfo has too few fields: {_decode(line)[:200]!r}")
    major, _, minor = fields[2].partition(b":")
    if not all(each.isdigit() and len(each) < 20 for each in (fields[0], fields[1], major, minor)):
        raise DamagedError(f"a line of mountinfo has no numbers where they belong: {_decode(line)[:200]!r}")
    return Mount(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        number=DeviceNumber(int(major), int(minor)),
        root=_decode(fields[3]),
        target=_decode(fields[4]),
        options=tuple(_decode(fields[5]).split(",")),
        optional=tuple(_decode(each) for each in fields[_FIXED_FIELDS:] if each),
        kind=_decode(tail[0]),
        source=_decode(tail[1]),
        super_options=tuple(_decode(b" ".join(tail[2:])).split(",")),
    )


def _decode(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field))

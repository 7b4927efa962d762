"""The kernel's device-mapper: the Protocol of `abc.py` by ioctl.

udev. A udev daemon makes /dev/mapper/NAME from the kernel's events when its rules see the flag "primary source" in
them. libdevmapper sends that flag together with a semaphore's number and waits on the semaphore, which udev's rules
bring down by running a program. Here the flag is sent with the number 0, which the rules know as "flags alone, nobody
waits" (LVM2 `tools/dmsetup.c`, udevcomplete): the link is made and no System V semaphore can be left behind. Who needs
the link calls `nodes.make_node`, which waits for it with a limit. Without udev the flag has no effect.
"""

from __future__ import annotations

import errno
import os
from _thread import allocate_lock  # as in kernel/memory.py
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, Self

from msgspec.structs import replace

from drystone.base.errors import KernelError, UnsupportedError
from drystone.kernel.dm import ioctl
from drystone.kernel.dm.abc import (
    DeviceEntry,
    DeviceInfo,
    DeviceNumber,
    Ref,
    TableLine,
    TargetStatus,
    TargetVersion,
    Uuid,
)
from drystone.kernel.dm.layout import (
    LIST_UUIDS_SINCE,
    LONGEST_NAME,
    LONGEST_TARGET,
    LONGEST_UUID,
    SECRET_TARGETS,
    Command,
    Flag,
    Header,
    device_info,
    encode_device,
    pack_message,
    pack_table,
    pack_text,
    parse_deps,
    parse_list,
    parse_table,
    parse_targets,
    parse_text,
    parse_versions,
)
from drystone.kernel.kmsg import KernelLog
from drystone.kernel.modules import load_module, target_module

UDEV_PRIMARY_SOURCE = 0x0040
"""udev's rules are told to make the link of a device (LVM2 `libdm/libdevmapper.h`)."""

_UDEV_SHIFT = 16
_MINORS = 1 << 20
_LARGEST = 1 << 64

_LOG_BEGINNING = "device-mapper:"
_EXPLAINED = frozenset(
    {Command.TABLE_LOAD, Command.DEV_SUSPEND, Command.TARGET_MSG, Command.DEV_CREATE, Command.DEV_REMOVE}
)
"""Calls whose reason for failing stands in the kernel's log."""

_HINTS = {
    ("", errno.ENXIO): "there is no such device",
    ("", errno.EPERM): "device-mapper is for root",
    ("", errno.EACCES): "device-mapper is for root",
    ("", errno.EBUSY): "it is in use",
    ("create", errno.EBUSY): "the name or the uuid is taken",
    ("create", errno.ENXIO): "the minor number is taken, or the kernel is out of memory",
    ("rename", errno.EBUSY): "the name is taken",
    ("set-uuid", errno.EBUSY): "the uuid is taken",
    ("set-uuid", errno.EINVAL): "it has a uuid already",
    ("remove", errno.EBUSY): "it is open: unmount it, or remove what is built on it",
    ("load", errno.EBUSY): "a device in the table is mounted or held by something else",
    ("resume", errno.EINVAL): "it is suspended without a table, or a device in its new table is too small",
}
"""What to do, by operation and errno."""


class KernelDeviceMapper:
    """DeviceMapper by ioctl; opened at the first call (or by `open`, `with`), closed by `close`. Thread safe.

    :param control: the control node; made, with dm-mod loaded, where it is missing.
    :param udev_flags: UDEV_ bits that go with the events of resume, rename and remove.
    :raises UnsupportedError: from any call, when this kernel has no device-mapper.
    """

    def __init__(self, control: str = "/dev/mapper/control", *, udev_flags: int = UDEV_PRIMARY_SOURCE) -> None:
        self.control = control
        self.udev_flags = udev_flags
        self._handle: int | None = None
        self._lock = allocate_lock()
        self._log = KernelLog()

    def open(self) -> None:
        """Open the control node, and the kernel's log, now, so that later calls open nothing."""
        self._opened()
        self._log.mark()

    def close(self) -> None:
        """Close it; the next call opens it again."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
            self._log.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> tuple[int, int, int]:
        return self._call("version", Command.VERSION, Header())[0].version

    def target_versions(self) -> list[TargetVersion]:
        return parse_versions(self._call("target-versions", Command.LIST_VERSIONS, Header())[1])

    def list_devices(self) -> list[DeviceEntry]:
        answer, data = self._call("list", Command.LIST_DEVICES, Header(flags=Flag.UUID))
        found = parse_list(data, answer.version)
        if answer.version[:2] >= LIST_UUIDS_SINCE:
            return found
        return [entry for entry in map(self._with_uuid, found) if entry is not None]

    def create(self, name: str, uuid: str = "", *, minor: int | None = None) -> DeviceInfo:
        _check_new("create", name, name, LONGEST_NAME, "name")
        if "/" in name:
            raise KernelError("create", errno.EINVAL, device=name, hint="a name has no /")
        if uuid:
            _check_new("create", name, uuid, LONGEST_UUID, "uuid")
        header = Header(name=name, uuid=uuid)
        if minor is not None:
            if not 0 <= minor < _MINORS:
                raise KernelError("create", errno.EINVAL, device=name, hint=f"a minor number is below {_MINORS}")
            header = replace(header, flags=Flag.PERSISTENT_DEV, device=encode_device(DeviceNumber(0, minor)))
        return device_info(self._call("create", Command.DEV_CREATE, header)[0])

    def remove(self, ref: Ref, *, deferred: bool = False) -> None:
        flags = Flag.DEFERRED_REMOVE if deferred else 0
        self._call("remove", Command.DEV_REMOVE, self._event_header("remove", ref, flags))

    def rename(self, ref: Ref, name: str) -> None:
        _check_new("rename", _spell(ref), name, LONGEST_NAME, "name")
        if "/" in name:
            raise KernelError("rename", errno.EINVAL, device=_spell(ref), hint="a name has no /")
        self._rename("rename", ref, name, 0)

    def set_uuid(self, ref: Ref, uuid: str) -> None:
        _check_new("set-uuid", _spell(ref), uuid, LONGEST_UUID, "uuid")
        self._rename("set-uuid", ref, uuid, Flag.UUID)

    def suspend(self, ref: Ref, *, no_flush: bool = False, lock_fs: bool = True) -> DeviceInfo:
        flags = Flag.SUSPEND | (Flag.NOFLUSH if no_flush else 0) | (0 if lock_fs else Flag.SKIP_LOCKFS)
        return device_info(self._call("suspend", Command.DEV_SUSPEND, _header("suspend", ref, flags))[0])

    def resume(self, ref: Ref) -> DeviceInfo:
        return device_info(self._call("resume", Command.DEV_SUSPEND, self._event_header("resume", ref))[0])

    def load(self, ref: Ref, table: Sequence[TableLine], *, read_only: bool = False) -> DeviceInfo:
        header = _header("load", ref, Flag.READONLY if read_only else 0)
        for line in table:
            _check_line(ref, line)
        if any(line.target in SECRET_TARGETS for line in table):
            header = replace(header, flags=header.flags | Flag.SECURE_DATA)
        header = replace(header, target_count=len(table))
        data = pack_table(table)
        try:
            answer, _ = self._call("load", Command.TABLE_LOAD, header, data)
        except KernelError as error:
            if error.errno != errno.EINVAL or not self._load_missing(line.target for line in table):
                raise
            answer, _ = self._call("load", Command.TABLE_LOAD, header, data)
        return device_info(answer)

    def clear(self, ref: Ref) -> DeviceInfo:
        return device_info(self._call("clear", Command.TABLE_CLEAR, _header("clear", ref))[0])

    def table(self, ref: Ref, *, inactive: bool = False) -> list[TableLine]:
        flags = Flag.STATUS_TABLE | Flag.SECURE_DATA | (Flag.QUERY_INACTIVE_TABLE if inactive else 0)
        answer, data = self._call("table", Command.TABLE_STATUS, _header("table", ref, flags))
        return parse_table(data, answer.target_count if data else 0)

    def status(self, ref: Ref, *, no_flush: bool = False) -> list[TargetStatus]:
        header = _header("status", ref, Flag.NOFLUSH if no_flush else 0)
        answer, data = self._call("status", Command.TABLE_STATUS, header)
        return parse_targets(data, answer.target_count if data else 0)

    def info(self, ref: Ref) -> DeviceInfo:
        return device_info(self._call("info", Command.DEV_STATUS, _header("info", ref))[0])

    def look(self, ref: Ref) -> tuple[DeviceInfo, list[TableLine]]:
        header = _header("table", ref, Flag.STATUS_TABLE | Flag.SECURE_DATA)
        answer, data = self._call("table", Command.TABLE_STATUS, header)
        return device_info(answer), parse_table(data, answer.target_count if data else 0)

    def message(self, ref: Ref, text: str, *, sector: int = 0) -> str:
        if "\0" in text or not 0 <= sector < _LARGEST:
            hint = "a message has no NUL, and a sector is a positive number"
            raise KernelError("message", errno.EINVAL, device=_spell(ref), hint=hint, text=text)
        answer, data = self._call(
            "message", Command.TARGET_MSG, _header("message", ref), pack_message(text, sector), text=text
        )
        return parse_text(data) if answer.flags & Flag.DATA_OUT else ""

    def deps(self, ref: Ref, *, inactive: bool = False) -> list[DeviceNumber]:
        flags = Flag.QUERY_INACTIVE_TABLE if inactive else 0
        _, data = self._call("deps", Command.TABLE_DEPS, _header("deps", ref, flags))
        return parse_deps(data) if data else []

    def wait(self, ref: Ref, event_nr: int) -> DeviceInfo:
        header = replace(_header("wait", ref), event_nr=event_nr % (1 << 32))
        while True:
            try:
                return device_info(self._call("wait", Command.DEV_WAIT, header)[0])
            except KernelError as error:
                if error.errno != errno.EINTR:
                    raise

    def ensure_targets(self, targets: Iterable[str]) -> None:
        """Have these target types in the kernel, by loading their modules.

        :raises UnsupportedError: one is not to be had; the message names its module.
        """
        wanted = set(targets)
        self._load_missing(wanted)
        if missing := sorted(wanted - {each.name for each in self.target_versions()}):
            modules = " ".join(sorted({target_module(each) for each in missing}))
            raise UnsupportedError(f"this kernel has no target {', '.join(missing)}", hint=f"modprobe -a {modules}")

    def _load_missing(self, targets: Iterable[str]) -> bool:
        """Load modules of the target types that are missing; whether one of them came."""
        missing = set(targets) - {each.name for each in self.target_versions()}
        loaded = [load_module(module) for module in sorted({target_module(each) for each in missing})]
        return any(loaded)

    def _with_uuid(self, entry: DeviceEntry) -> DeviceEntry | None:
        """The same with its uuid, asked for; None when it is gone by now."""
        try:
            return replace(entry, uuid=self.info(entry.number).uuid)
        except KernelError as error:
            if error.errno == errno.ENXIO:
                return None
            raise

    def _rename(self, operation: str, ref: Ref, text: str, flags: int) -> None:
        """The kernel finds the device of a rename by name alone; other references are looked up first."""
        name = ref if isinstance(ref, str) else self.info(ref).name
        self._call(operation, Command.DEV_RENAME, self._event_header(operation, name, flags), pack_text(text), to=text)

    def _event_header(self, operation: str, ref: Ref, flags: int = 0) -> Header:
        """A header whose event number carries what udev is told."""
        return replace(_header(operation, ref, flags), event_nr=self.udev_flags << _UDEV_SHIFT)

    def _opened(self) -> int:
        with self._lock:
            if self._handle is None:
                self._handle = ioctl.open_control(self.control)
            return self._handle

    def _call(
        self, operation: str, command: Command, header: Header, data: bytes = b"", **facts: Any
    ) -> tuple[Header, bytes]:
        handle = self._opened()
        explained = command in _EXPLAINED
        if explained:
            self._log.mark()
        try:
            return ioctl.call(handle, command, header, data)
        except OSError as error:
            if error.errno is None:
                raise  # not the kernel's: what a signal handler raised, such as TimeoutError
            lines = self._log.read(_LOG_BEGINNING) if explained else []
            _fail(operation, error.errno, header, lines, facts)


def _fail(operation: str, number: int, header: Header, lines: list[str], facts: dict[str, Any]) -> NoReturn:
    """Raise the error of a call, with what the kernel logged meanwhile."""
    device = header.name or header.uuid
    if not device and header.device:
        device = str(device_info(header).number)
    hint = _HINTS.get((operation, number)) or _HINTS.get(("", number), "")
    if lines:
        # The first line is the target's own; what follows are the layers above it giving up.
        hint = lines[0].removeprefix(_LOG_BEGINNING).strip()
    raise KernelError(operation, number, device=device or None, hint=hint, log=lines or None, **facts)


def _header(operation: str, ref: Ref, flags: int = 0) -> Header:
    """A header that names `ref`. A name or uuid that no device can have is answered as the kernel would: ENXIO."""
    if isinstance(ref, DeviceNumber):
        if not (0 <= ref.major < 1 << 12 and 0 <= ref.minor < _MINORS):
            raise KernelError(operation, errno.ENXIO, device=str(ref), hint="no device has such a number")
        return Header(flags=flags, device=encode_device(ref))
    text, longest = (ref.text, LONGEST_UUID) if isinstance(ref, Uuid) else (ref, LONGEST_NAME)
    if not text or "\0" in text or len(os.fsencode(text)) > longest:
        raise KernelError(operation, errno.ENXIO, device=text, hint="no device is called so")
    return Header(flags=flags, uuid=text) if isinstance(ref, Uuid) else Header(flags=flags, name=text)


def _check_new(operation: str, device: str, text: str, longest: int, what: str) -> None:
    """Refuse what the kernel would cut off without a word."""
    if not text or "\0" in text or len(os.fsencode(text)) > longest:
        raise KernelError(operation, errno.EINVAL, device=device, hint=f"a {what} has 1 to {longest} bytes and no NUL")


def _check_line(ref: Ref, line: TableLine) -> None:
    """Refuse what has no place in the structure."""
    fits = len(os.fsencode(line.target)) <= LONGEST_TARGET and "\0" not in line.target + line.params
    if not fits or not (0 <= line.start < _LARGEST and 0 <= line.length < _LARGEST):
        raise KernelError(
            "load", errno.EINVAL, device=_spell(ref), hint=f"the line of target {line.target!r} is not one"
        )


def _spell(ref: Ref) -> str:
    return ref.text if isinstance(ref, Uuid) else str(ref)

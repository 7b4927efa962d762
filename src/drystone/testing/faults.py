"""A device-mapper that fails where a map says so: faults as an ordinary implementation.

Only calls that change something are counted and can fail; questions pass. Numbers begin at 1.

    FaultyDeviceMapper(inner, fail_calls({7: errno.EIO, 9: errno.ENOMEM}))
    FaultyDeviceMapper(inner, fail_always("resume", errno.EIO))
    FaultyDeviceMapper(inner, kill_at(12))
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from drystone.base.errors import KernelError
from drystone.kernel.dm.abc import (
    DeviceEntry,
    DeviceInfo,
    DeviceMapper,
    DeviceNumber,
    Ref,
    TableLine,
    TargetStatus,
    TargetVersion,
)

Answer = TypeVar("Answer")


class Killed(BaseException):  # no error: the process is gone, and nothing may catch it on the way
    """The process was killed before this call."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that changes something: its number from 1, the operation's name, and its device."""

    count: int
    operation: str
    ref: Ref


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a call.

    :ivar errno: fails with it; 0: the process is killed.
    :ivar is_late: the call is done before it fails. A `resume` has then swapped the tables and left the device
        suspended, as the kernel does when a target does not start.
    """

    errno: int
    is_late: bool = False


Map = Callable[[Call], Fault | None]
"""Says what happens to each call; None: nothing."""


def no_fault(call: Call) -> None:  # the map that looks at nothing
    """Nothing fails."""


def fail_calls(faults: Mapping[int, int], *, is_late: bool = False) -> Map:
    """Calls by number fail with an errno."""
    return lambda call: Fault(faults[call.count], is_late) if call.count in faults else None


def fail_always(operation: str, number: int = errno.EIO, *, first: int = 1) -> Map:
    """Every call of that operation fails, from call number `first` on."""
    return lambda call: Fault(number) if call.operation == operation and call.count >= first else None


def fail_from(first: int, number: int = errno.EIO) -> Map:
    """Every call from number `first` on fails."""
    return lambda call: Fault(number) if call.count >= first else None


def kill_at(count: int) -> Map:
    """The process is killed before call number `count`."""
    return lambda call: Fault(0) if call.count == count else None


class FaultyDeviceMapper:
    """`inner` with faults. Implements DeviceMapper. `calls` holds what was asked so far, faults included."""

    def __init__(self, inner: DeviceMapper, faults: Map = no_fault) -> None:
        self.inner = inner
        self.faults = faults
        self.calls: list[Call] = []

    def version(self) -> tuple[int, int, int]:
        return self.inner.version()

    def target_versions(self) -> list[TargetVersion]:
        return self.inner.target_versions()

    def list_devices(self) -> list[DeviceEntry]:
        return self.inner.list_devices()

    def create(self, name: str, uuid: str = "", *, minor: int | None = None) -> DeviceInfo:
        return self._change("create", name, lambda: self.inner.create(name, uuid, minor=minor))

    def remove(self, ref: Ref, *, deferred: bool = False) -> None:
        self._change("remove", ref, lambda: self.inner.remove(ref, deferred=deferred))

    def rename(self, ref: Ref, name: str) -> None:
        self._change("rename", ref, lambda: self.inner.rename(ref, name))

    def set_uuid(self, ref: Ref, uuid: str) -> None:
        self._change("set-uuid", ref, lambda: self.inner.set_uuid(ref, uuid))

    def suspend(self, ref: Ref, *, no_flush: bool = False, lock_fs: bool = True) -> DeviceInfo:
        return self._change("suspend", ref, lambda: self.inner.suspend(ref, no_flush=no_flush, lock_fs=lock_fs))

    def resume(self, ref: Ref) -> DeviceInfo:
        return self._change("resume", ref, lambda: self.inner.resume(ref))

    def load(self, ref: Ref, table: Sequence[TableLine], *, read_only: bool = False) -> DeviceInfo:
        return self._change("load", ref, lambda: self.inner.load(ref, table, read_only=read_only))

    def clear(self, ref: Ref) -> DeviceInfo:
        return self._change("clear", ref, lambda: self.inner.clear(ref))

    def message(self, ref: Ref, text: str, *, sector: int = 0) -> str:
        return self._change("message", ref, lambda: self.inner.message(ref, text, sector=sector))

    def table(self, ref: Ref, *, inactive: bool = False) -> list[TableLine]:
        return self.inner.table(ref, inactive=inactive)

    def status(self, ref: Ref, *, no_flush: bool = False) -> list[TargetStatus]:
        return self.inner.status(ref, no_flush=no_flush)

    def info(self, ref: Ref) -> DeviceInfo:
        return self.inner.info(ref)

    def look(self, ref: Ref) -> tuple[DeviceInfo, list[TableLine]]:
        return self.inner.look(ref)

    def deps(self, ref: Ref, *, inactive: bool = False) -> list[DeviceNumber]:
        return self.inner.deps(ref, inactive=inactive)

    def wait(self, ref: Ref, event_nr: int) -> DeviceInfo:
        return self.inner.wait(ref, event_nr)

    def _change(self, operation: str, ref: Ref, act: Callable[[], Answer]) -> Answer:
        call = Call(len(self.calls) + 1, operation, ref)
        self.calls.append(call)
        fault = self.faults(call)
        if fault is None:
            return act()
        if not fault.errno:
            raise Killed
        if fault.is_late:
            act()
            if operation == "resume":
                self.inner.suspend(ref)
        raise KernelError(operation, fault.errno, device=str(ref))

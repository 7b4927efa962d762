"""A device-mapper that tells every call: what was asked, what came back, how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from drystone.base.errors import DrystoneError, KernelError
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
from drystone.kernel.dm.layout import SECRET_TARGETS

Answer = TypeVar("Answer")

NO_ERRNO = -1
"""The errno of a call that failed before or after the kernel was asked, such as for want of device-mapper."""


class LoggedCall(Struct, frozen=True):
    """One call: its name, arguments, answer (None when it failed), errno (0: success; NO_ERRNO) and nanoseconds.

    The parameters of targets that hold keys (crypt, integrity) are written as "(secret)".
    """

    operation: str
    arguments: dict[str, object]
    answer: object
    errno: int
    nanoseconds: int


Sink = Callable[[LoggedCall], None]


class LoggedDeviceMapper:
    """`inner` with every call told to `sink`, the failed ones too. Implements DeviceMapper."""

    def __init__(self, inner: DeviceMapper, sink: Sink) -> None:
        self.inner = inner
        self.sink = sink

    def version(self) -> tuple[int, int, int]:
        return self._tell("version", {}, self.inner.version)

    def target_versions(self) -> list[TargetVersion]:
        return self._tell("target-versions", {}, self.inner.target_versions)

    def list_devices(self) -> list[DeviceEntry]:
        return self._tell("list", {}, self.inner.list_devices)

    def create(self, name: str, uuid: str = "", *, minor: int | None = None) -> DeviceInfo:
        arguments: dict[str, object] = {"name": name, "uuid": uuid, "minor": minor}
        return self._tell("create", arguments, lambda: self.inner.create(name, uuid, minor=minor))

    def remove(self, ref: Ref, *, deferred: bool = False) -> None:
        self._tell("remove", {"ref": ref, "deferred": deferred}, lambda: self.inner.remove(ref, deferred=deferred))

    def rename(self, ref: Ref, name: str) -> None:
        self._tell("rename", {"ref": ref, "name": name}, lambda: self.inner.rename(ref, name))

    def set_uuid(self, ref: Ref, uuid: str) -> None:
        self._tell("set-uuid", {"ref": ref, "uuid": uuid}, lambda: self.inner.set_uuid(ref, uuid))

    def suspend(self, ref: Ref, *, no_flush: bool = False, lock_fs: bool = True) -> DeviceInfo:
        arguments: dict[str, object] = {"ref": ref, "no_flush": no_flush, "lock_fs": lock_fs}
        return self._tell("suspend", arguments, lambda: self.inner.suspend(ref, no_flush=no_flush, lock_fs=lock_fs))

    def resume(self, ref: Ref) -> DeviceInfo:
        return self._tell("resume", {"ref": ref}, lambda: self.inner.resume(ref))

    def load(self, ref: Ref, table: Sequence[TableLine], *, read_only: bool = False) -> DeviceInfo:
        arguments: dict[str, object] = {"ref": ref, "table": _redact(table), "read_only": read_only}
        return self._tell("load", arguments, lambda: self.inner.load(ref, table, read_only=read_only))

    def clear(self, ref: Ref) -> DeviceInfo:
        return self._tell("clear", {"ref": ref}, lambda: self.inner.clear(ref))

    def table(self, ref: Ref, *, inactive: bool = False) -> list[TableLine]:
        arguments: dict[str, object] = {"ref": ref, "inactive": inactive}
        return self._tell("table", arguments, lambda: self.inner.table(ref, inactive=inactive), _redact)

    def status(self, ref: Ref, *, no_flush: bool = False) -> list[TargetStatus]:
        arguments: dict[str, object] = {"ref": ref, "no_flush": no_flush}
        return self._tell("status", arguments, lambda: self.inner.status(ref, no_flush=no_flush))

    def info(self, ref: Ref) -> DeviceInfo:
        return self._tell("info", {"ref": ref}, lambda: self.inner.info(ref))

    def look(self, ref: Ref) -> tuple[DeviceInfo, list[TableLine]]:
        return self._tell(
            "look", {"ref": ref}, lambda: self.inner.look(ref), lambda found: (found[0], _redact(found[1]))
        )

    def message(self, ref: Ref, text: str, *, sector: int = 0) -> str:
        arguments: dict[str, object] = {"ref": ref, "text": text, "sector": sector}
        return self._tell("message", arguments, lambda: self.inner.message(ref, text, sector=sector))

    def deps(self, ref: Ref, *, inactive: bool = False) -> list[DeviceNumber]:
        arguments: dict[str, object] = {"ref": ref, "inactive": inactive}
        return self._tell("deps", arguments, lambda: self.inner.deps(ref, inactive=inactive))

    def wait(self, ref: Ref, event_nr: int) -> DeviceInfo:
        return self._tell("wait", {"ref": ref, "event_nr": event_nr}, lambda: self.inner.wait(ref, event_nr))

    def _tell(
        self,
        operation: str,
        arguments: dict[str, object],
        call: Callable[[], Answer],
        show: Callable[[Answer], object] = lambda answer: answer,
    ) -> Answer:
        begun = time.monotonic_ns()
        try:
            answer = call()
        except DrystoneError as error:
            number = error.errno if isinstance(error, KernelError) else NO_ERRNO
            self.sink(LoggedCall(operation, arguments, None, number, time.monotonic_ns() - begun))
            raise
        self.sink(LoggedCall(operation, arguments, show(answer), 0, time.monotonic_ns() - begun))
        return answer


def _redact(table: Sequence[TableLine]) -> list[TableLine]:
    """The table without keys."""
    return [replace(line, params="(secret)") if line.target in SECRET_TARGETS else line for line in table]

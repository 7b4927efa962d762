"""The logging proxy over a simulated kernel."""

from __future__ import annotations

import errno

import pytest

from drystone.base.errors import KernelError, UnsupportedError
from drystone.kernel.dm.abc import DeviceMapper, TableLine
from drystone.kernel.dm.log import NO_ERRNO, LoggedCall, LoggedDeviceMapper
from drystone.kernel.dm.simulated import SimulatedDeviceMapper


def test_every_call_is_told_with_its_arguments_and_answer() -> None:
    calls: list[LoggedCall] = []
    dm: DeviceMapper = LoggedDeviceMapper(SimulatedDeviceMapper(), calls.append)
    table = [TableLine(0, 8, "zero")]
    info = dm.create("one", "UUID-1")
    dm.load("one", table)
    dm.resume("one")
    assert [each.operation for each in calls] == ["create", "load", "resume"]
    assert calls[0].arguments == {"name": "one", "uuid": "UUID-1", "minor": None}
    assert calls[0].answer == info
    assert calls[1].arguments["table"] == table
    assert {each.errno for each in calls} == {0}


def test_every_call_passes_through() -> None:
    calls: list[LoggedCall] = []
    dm: DeviceMapper = LoggedDeviceMapper(SimulatedDeviceMapper(), calls.append)
    dm.create("one")
    dm.load("one", [TableLine(0, 8, "zero")], read_only=True)
    dm.clear("one")
    dm.load("one", [TableLine(0, 8, "zero")])
    dm.resume("one")
    dm.suspend("one", no_flush=True, lock_fs=False)
    dm.resume("one")
    dm.rename("one", "two")
    dm.set_uuid("two", "UUID-2")
    dm.wait("two", dm.info("two").event_nr - 1)
    assert dm.version()
    assert dm.target_versions()
    assert dm.list_devices()[0].uuid == "UUID-2"
    assert dm.table("two", inactive=False)
    assert dm.status("two", no_flush=True)
    assert dm.deps("two", inactive=False) == []
    with pytest.raises(KernelError):
        dm.message("two", "anything", sector=0)
    dm.remove("two", deferred=False)
    assert {each.operation for each in calls} == {
        *("create", "load", "clear", "resume", "suspend", "rename", "set-uuid", "wait", "info", "version"),
        *("target-versions", "list", "table", "status", "deps", "message", "remove"),
    }


def test_a_failed_call_is_told_with_its_errno() -> None:
    calls: list[LoggedCall] = []
    with pytest.raises(KernelError):
        LoggedDeviceMapper(SimulatedDeviceMapper(), calls.append).info("none")
    assert (calls[0].operation, calls[0].errno, calls[0].answer) == ("info", errno.ENXIO, None)


class Absent(SimulatedDeviceMapper):
    """A kernel without device-mapper."""

    def version(self) -> tuple[int, int, int]:
        raise UnsupportedError("this kernel has no device-mapper")


def test_a_call_that_never_reached_the_kernel_is_told_too() -> None:
    calls: list[LoggedCall] = []
    with pytest.raises(UnsupportedError):
        LoggedDeviceMapper(Absent(), calls.append).version()
    assert (calls[0].operation, calls[0].errno) == ("version", NO_ERRNO)


class Keeper(SimulatedDeviceMapper):
    """Answers a table with a key in it."""

    def table(self, ref: object, *, inactive: bool = False) -> list[TableLine]:
        return [TableLine(0, 8, "crypt", "aes-xts-plain64 00112233 0 7:0 0")]


def test_keys_are_not_told() -> None:
    calls: list[LoggedCall] = []
    dm = LoggedDeviceMapper(Keeper(), calls.append)
    assert "00112233" in dm.table("one")[0].params
    assert "00112233" not in str(calls)

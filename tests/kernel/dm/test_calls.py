"""The calls themselves on the real kernel: what each one changes, and the errno of each misuse (Linux 6.1)."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner

from drystone.base.errors import DrystoneError, KernelError
from drystone.cli.dm import dm as dm_group
from drystone.kernel import sysfs
from drystone.kernel.dm import nodes
from drystone.kernel.dm.abc import DeviceInfo, DeviceNumber, TableLine, Uuid
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.ioctl import open_control
from drystone.kernel.dm.log import LoggedCall, LoggedDeviceMapper

Disk = Callable[[int], DeviceNumber]
Activate = Callable[..., DeviceInfo]
ZERO = [TableLine(0, 8, "zero")]


def _errno(call: Callable[[], Any]) -> str:
    with pytest.raises(KernelError) as caught:
        call()
    return str(caught.value.facts["errno_name"])


def test_version_and_targets(dm: KernelDeviceMapper) -> None:
    assert dm.version() >= (4, 47, 0)
    assert {"linear", "striped", "error"} <= {each.name for each in dm.target_versions()}


def test_a_new_device_has_nothing(dm: KernelDeviceMapper) -> None:
    info = dm.create("one", "UUID-1")
    assert (info.name, info.uuid, info.open_count, info.target_count, info.event_nr) == ("one", "UUID-1", 0, 0, 0)
    flags = (info.suspended, info.live_table, info.inactive_table, info.read_only, info.deferred_remove)
    assert flags == (False,) * 5
    assert (dm.table("one"), dm.table("one", inactive=True), dm.status("one"), dm.deps("one")) == ([], [], [], [])


def test_a_message_that_reaches_nobody_is_refused(dm: KernelDeviceMapper) -> None:
    dm.create("one", "UUID-1")
    with pytest.raises(KernelError) as caught:
        dm.message("one", "anything")
    assert caught.value.errno == errno.EINVAL


def test_a_device_is_found_by_name_uuid_and_number(dm: KernelDeviceMapper) -> None:
    info = dm.create("one", "UUID-1")
    assert dm.info("one") == dm.info(Uuid("UUID-1")) == dm.info(info.number) == info
    (entry,) = dm.list_devices()
    assert (entry.name, entry.number, entry.uuid, entry.event_nr) == ("one", info.number, "UUID-1", 0)


def test_names_are_any_bytes_but_a_slash(dm: KernelDeviceMapper) -> None:
    for name in ("a b", "é\\x", "n" * 127):
        assert dm.info(dm.create(name, "u" * 128 if len(name) == 127 else "").number).name == name
    assert {each.name for each in dm.list_devices()} == {"a b", "é\\x", "n" * 127}
    assert dm.info(Uuid("u" * 128)).name == "n" * 127


def test_many_devices_and_targets_need_a_longer_buffer(dm: KernelDeviceMapper, disk: Disk) -> None:
    number = disk(16)
    for each in range(60):
        dm.create(f"{each:0100}")
    assert len(dm.list_devices()) == 60
    table = [TableLine(each * 8, 8, "linear", f"{number} {each * 8}") for each in range(500)]
    dm.load(f"{0:0100}", table)
    assert dm.table(f"{0:0100}", inactive=True) == table


def test_create_with_what_is_taken(dm: KernelDeviceMapper) -> None:
    dm.create("one", "UUID-1", minor=77)
    assert dm.info("one").number.minor == 77
    assert _errno(lambda: dm.create("one")) == "EBUSY"
    assert _errno(lambda: dm.create("two", "UUID-1")) == "EBUSY"
    assert _errno(lambda: dm.create("two", minor=77)) == "ENXIO"
    assert len(dm.list_devices()) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda dm: dm.info("none"),
        lambda dm: dm.info(Uuid("none")),
        lambda dm: dm.info(DeviceNumber(7, 0)),
        lambda dm: dm.remove("none"),
        lambda dm: dm.rename("none", "other"),
        lambda dm: dm.set_uuid("none", "UUID"),
        lambda dm: dm.suspend("none"),
        lambda dm: dm.resume("none"),
        lambda dm: dm.load("none", ZERO),
        lambda dm: dm.clear("none"),
        lambda dm: dm.table("none"),
        lambda dm: dm.status("none"),
        lambda dm: dm.message("none", "x"),
        lambda dm: dm.deps("none"),
        lambda dm: dm.wait("none", 0),
    ],
)
def test_every_call_on_no_device_is_enxio(dm: KernelDeviceMapper, call: Callable[[KernelDeviceMapper], Any]) -> None:
    assert _errno(lambda: call(dm)) == "ENXIO"


def test_rename_and_set_uuid(dm: KernelDeviceMapper) -> None:
    number = dm.create("one").number
    dm.create("two", "UUID-2")
    dm.rename(number, "three")
    assert dm.info(number).name == "three"
    assert _errno(lambda: dm.rename("three", "two")) == "EBUSY"
    assert _errno(lambda: dm.rename("three", "three")) == "EBUSY"
    assert _errno(lambda: dm.set_uuid("three", "UUID-2")) == "EBUSY"
    dm.set_uuid("three", "UUID-1")
    assert _errno(lambda: dm.set_uuid("three", "UUID-3")) == "EINVAL"
    assert dm.info("three").uuid == "UUID-1"


def test_a_rename_is_an_event(dm: KernelDeviceMapper) -> None:
    dm.create("one")
    dm.load("one", ZERO)
    before = dm.resume("one").event_nr
    dm.rename("one", "two")
    assert dm.info("two").event_nr == before + 1


def test_load_clear_and_resume(dm: KernelDeviceMapper) -> None:
    dm.create("one")
    assert dm.load("one", ZERO).inactive_table
    assert dm.table("one", inactive=True) == ZERO
    assert dm.table("one") == []
    assert not dm.clear("one").inactive_table
    assert not dm.clear("one").inactive_table, "clearing an empty slot is no error"
    dm.load("one", ZERO)
    dm.load("one", [TableLine(0, 16, "error")])
    info = dm.resume("one")
    assert (info.live_table, info.inactive_table, info.target_count) == (True, False, 1)
    assert dm.table("one") == [TableLine(0, 16, "error")]


def test_suspend_and_resume(dm: KernelDeviceMapper, activate: Activate) -> None:
    activate("one", ("zero", 8, ""))
    assert dm.suspend("one").suspended
    assert dm.suspend("one", no_flush=True, lock_fs=False).suspended, "twice is no error"
    assert not dm.resume("one").suspended
    assert not dm.resume("one").suspended, "twice is no error"


def test_without_a_table_suspend_works_and_resume_does_not(dm: KernelDeviceMapper) -> None:
    dm.create("one")
    assert not dm.resume("one").suspended
    assert dm.suspend("one").suspended
    assert _errno(lambda: dm.resume("one")) == "EINVAL"
    dm.load("one", ZERO)
    assert not dm.resume("one").suspended


@pytest.mark.parametrize(
    ("table", "errno_name", "reason"),
    [
        ([], "EINVAL", "no targets specified"),
        ([TableLine(0, 8, "bogus")], "EINVAL", "unknown target type"),
        ([TableLine(8, 8, "zero")], "EINVAL", "Gap in table"),
        ([TableLine(0, 8, "zero"), TableLine(16, 8, "zero")], "EINVAL", "Gap in table"),
        ([TableLine(0, 0, "zero")], "EINVAL", "zero-length target"),
        ([TableLine(0, 8, "linear", "{disk}")], "EINVAL", "Invalid argument count"),
        ([TableLine(0, 8, "linear", "{disk} -1")], "EINVAL", "Invalid device sector"),
        ([TableLine(0, 8, "linear", "239:99 0")], "ENXIO", "Device lookup failed"),
        ([TableLine(0, 8, "linear", "{disk} 32768")], "EINVAL", "too small for target"),
    ],
)
def test_tables_that_are_refused(
    dm: KernelDeviceMapper, disk: Disk, table: list[TableLine], errno_name: str, reason: str
) -> None:
    number = disk(16)
    lines = [TableLine(each.start, each.length, each.target, each.params.format(disk=number)) for each in table]
    before = dm.create("one")
    with pytest.raises(KernelError) as caught:
        dm.load("one", lines)
    assert caught.value.facts["errno_name"] == errno_name
    assert reason in caught.value.hint, "the kernel's own reason"
    assert dm.info("one") == before


def test_a_device_too_small_is_seen_at_resume_once_there_was_a_table(
    dm: KernelDeviceMapper, disk: Disk, activate: Activate
) -> None:
    number = disk(16)
    activate("one", ("linear", 8, f"{number} 0"))
    dm.load("one", [TableLine(0, 8, "linear", f"{number} 32768")])
    assert _errno(lambda: dm.resume("one")) == "EINVAL"
    info = dm.info("one")
    assert (info.suspended, info.inactive_table) == (True, False), "the failed resume has suspended and dropped"
    assert dm.table("one") == [TableLine(0, 8, "linear", f"{number} 0")]
    assert not dm.resume("one").suspended


def test_a_read_only_table(dm: KernelDeviceMapper) -> None:
    dm.create("one")
    dm.load("one", ZERO, read_only=True)
    assert not dm.info("one").read_only
    info = dm.resume("one")
    assert info.read_only
    assert sysfs.read_limits(info.number).read_only


def test_open_counts_follow_tables_and_openers(dm: KernelDeviceMapper, activate: Activate) -> None:
    below = activate("below", ("zero", 8, ""))
    dm.create("above")
    dm.load("above", [TableLine(0, 8, "linear", f"{below.number} 0")])
    assert dm.info("below").open_count == 1, "an inactive table holds its devices"
    assert dm.deps("above", inactive=True) == [below.number]
    assert dm.deps("above") == []
    dm.resume("above")
    assert sysfs.holders(below.number) == [dm.info("above").number]
    assert _errno(lambda: dm.remove("below")) == "EBUSY"
    dm.load("above", ZERO)
    assert dm.info("below").open_count == 1
    dm.resume("above")
    assert dm.info("below").open_count == 0
    handle = os.open(f"/dev/dm-{below.number.minor}", os.O_RDONLY)
    assert dm.info("below").open_count == 1
    assert _errno(lambda: dm.remove("below")) == "EBUSY"
    os.close(handle)
    dm.remove("below")


def test_a_deferred_removal_waits_for_the_last_close(dm: KernelDeviceMapper, activate: Activate) -> None:
    number = activate("one", ("zero", 8, "")).number
    handle = os.open(f"/dev/dm-{number.minor}", os.O_RDONLY)
    dm.remove("one", deferred=True)
    assert dm.info("one").deferred_remove
    os.close(handle)
    limit = time.monotonic() + 60
    while dm.list_devices() and time.monotonic() < limit:
        time.sleep(0.01)
    assert dm.list_devices() == []


def test_wait_returns_after_an_event(dm: KernelDeviceMapper, activate: Activate) -> None:
    event_nr = activate("one", ("zero", 8, "")).event_nr
    found: list[DeviceInfo] = []
    waiter = threading.Thread(target=lambda: found.append(dm.wait("one", event_nr)))
    waiter.start()
    time.sleep(0.1)
    assert not found
    dm.rename("one", "two")
    waiter.join(120)
    assert found[0].event_nr == event_nr + 1
    assert dm.wait("two", event_nr).event_nr == event_nr + 1, "an event that was before is not waited for"


def test_a_signal_handler_that_raises_ends_a_wait(dm: KernelDeviceMapper, activate: Activate) -> None:
    event_nr = activate("one", ("zero", 8, "")).event_nr
    caught: list[int] = []

    def handler(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        if len(caught) == 2:
            raise TimeoutError

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(TimeoutError):
            dm.wait("one", event_nr)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(caught) == 2, "one that returns does not"


def test_messages_that_no_target_takes(dm: KernelDeviceMapper, activate: Activate) -> None:
    activate("one", ("zero", 8, ""))
    assert _errno(lambda: dm.message("one", "anything")) == "EINVAL"
    assert _errno(lambda: dm.message("one", "anything", sector=8)) == "EINVAL"
    assert dm.message("one", "@stats_create - /1") == "0"
    assert dm.message("one", "@stats_list") == "0: 0+8 8 - -\n"


def test_the_control_node_is_made_where_dev_is_bare(tmp_path: Path) -> None:
    path = tmp_path / "mapper" / "control"
    os.close(open_control(str(path)))
    assert path.is_char_device()
    path.unlink()
    path.write_text("not a node")
    with pytest.raises(KernelError):
        KernelDeviceMapper(str(path)).version()


def test_a_closed_mapper_opens_again() -> None:
    mapper = KernelDeviceMapper()
    before = mapper.version()
    mapper.close()
    assert mapper.version() == before
    mapper.close()


def test_nodes_follow_the_devices(dm: KernelDeviceMapper, activate: Activate) -> None:
    number = activate("a b", ("zero", 8, "")).number
    path = nodes.make_node("a b", number)
    assert path == "/dev/mapper/a\\x20b"
    assert Path(path).readlink() == Path(f"../dm-{number.minor}")
    assert nodes.leads_to(path) == number
    assert nodes.make_node("a b", number) == path, "twice is the same"
    devices = [(each.name, each.number) for each in dm.list_devices()]
    assert nodes.stale_nodes(devices) == []
    dm.rename("a b", "c")
    nodes.make_node("c", number)
    nodes.remove_node("a b")
    assert sorted(each.name for each in Path("/dev/mapper").iterdir()) == ["c", "control"]
    dm.remove("c")
    assert nodes.stale_nodes([]) == ["/dev/mapper/c"]
    assert nodes.sync_nodes([]) == ["/dev/mapper/c"]
    assert sorted(each.name for each in Path("/dev/mapper").iterdir()) == ["control"]


def test_a_node_is_made_where_dev_has_no_dm_n(activate: Activate, tmp_path: Path) -> None:
    number = activate("one", ("zero", 8, "")).number
    path = Path(nodes.make_node("one", number, folder=str(tmp_path / "mapper")))
    assert path.is_block_device()
    assert not path.is_symlink()
    assert nodes.leads_to(str(path)) == number
    nodes.remove_node("one", folder=str(tmp_path / "mapper"))
    assert not path.exists()


def test_the_log_tells_calls_answers_and_errors(dm: KernelDeviceMapper) -> None:
    calls: list[LoggedCall] = []
    logged = LoggedDeviceMapper(dm, calls.append)
    info = logged.create("one")
    assert _errno(lambda: logged.resume("none")) == "ENXIO"
    assert [(each.operation, each.errno) for each in calls] == [("create", 0), ("resume", 6)]
    assert calls[0].answer == info
    assert all(each.nanoseconds > 0 for each in calls)


def _drystone(*words: str, stdin: str = "") -> tuple[int, str]:
    """The exit code and the output of `drystone dm`, run in this process."""
    result = CliRunner().invoke(dm_group, words, input=stdin)
    if isinstance(result.exception, DrystoneError):
        return result.exception.exit_code, result.exception.message
    return result.exit_code, result.output


def test_the_command_line_makes_and_removes_nodes_too(dm: KernelDeviceMapper) -> None:
    code, text = _drystone("create", "one", "--line", "0 8 zero", "--uuid", "UUID-1", "--json")
    assert code == 0
    number = json.loads(text)["number"]
    assert str(nodes.leads_to("/dev/mapper/one")) == number
    assert _drystone("table", "/dev/mapper/one") == (0, "0 8 zero\n")
    assert _drystone("rename", "one", "two")[0] == 0
    assert not Path("/dev/mapper/one").is_symlink()
    assert _drystone("load", "two", "--table", "-", stdin="0 16 error\n")[0] == 0
    assert _drystone("resume", "two")[0] == 0
    assert _drystone("remove", "two")[0] == 0
    assert dm.list_devices() == []
    assert sorted(each.name for each in Path("/dev/mapper").iterdir()) == ["control"]


def test_the_command_line_leaves_nothing_of_a_device_that_fails(dm: KernelDeviceMapper) -> None:
    code, text = _drystone("create", "one", "--line", "0 8 bogus")
    assert code == 12
    assert text == "load on one failed: EINVAL (Invalid argument)"
    assert dm.list_devices() == []
    assert _drystone("create", "control", "--line", "0 8 zero")[0] == 2
    assert dm.list_devices() == []

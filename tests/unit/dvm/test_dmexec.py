from __future__ import annotations

import contextlib
import errno
import gc
from collections.abc import Iterator, Sequence

import pytest

from drystone.base.errors import (
    DrystoneError,
    KernelError,
    MismatchError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from drystone.dvm.blocks import Block
from drystone.dvm.dmexec import execute
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.text import parse_text
from drystone.kernel.dm.abc import DeviceInfo, DeviceNumber, Ref, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.faults import FaultyDeviceMapper, Map, fail_always, fail_calls, no_fault
from drystone.testing.program_bench import StillClock

SECTOR = "ab" * 512


class FakeBlock:
    """Bytes in memory that remember what was flushed."""

    def __init__(self, size: int) -> None:
        self.content = bytearray(size)
        self.log: list[str] = []
        self.broken = False

    @property
    def size(self) -> int:
        return len(self.content)

    def pwrite(self, offset: int, data: bytes) -> None:
        if self.broken:
            raise KernelError("write", errno.EIO)
        self.content[offset : offset + len(data)] = data
        self.log.append(f"write {offset} {len(data)}")

    def flush(self) -> None:
        self.log.append("flush")

    def close(self) -> None:
        self.log.append("close")


class FakeBlocks:
    def __init__(self, **blocks: FakeBlock) -> None:
        self.blocks = {f"/{name}": block for name, block in blocks.items()}

    def open(self, path: str) -> Block:
        if path not in self.blocks:
            raise NotFoundError(f"there is no {path}")
        return self.blocks[path]

    def number(self, path: str) -> DeviceNumber:
        if path != "/dev/disk":
            raise NotFoundError(f"there is no {path}")
        return DeviceNumber(7, 0)


@pytest.fixture
def dm() -> SimulatedDeviceMapper:
    mapper = SimulatedDeviceMapper({DeviceNumber(7, 0): 1 << 16})
    mapper.create("a", "U-a")
    mapper.load("a", [TableLine(0, 1024, "linear", "7:0 0")])
    mapper.resume("a")
    return mapper


def program(text: str, *devices: str) -> Program:
    return parse_text("\n".join(["program 1", *(f"device {each}" for each in devices), text]))


def run(
    dm: SimulatedDeviceMapper, text: str, faults: Map = no_fault, clock: StillClock | None = None, **blocks: FakeBlock
) -> Result:
    return execute(
        program(text, "a"),
        FaultyDeviceMapper(dm, faults),
        devices=FakeBlocks(**blocks),
        clock=clock or StillClock(),
        memory=contextlib.nullcontext,
    )


def test_collecting(dm: SimulatedDeviceMapper) -> None:
    result = run(dm, 'version\nliteral who {"x": 1}\nbegin a\ninfo a\ntable a\nstatus a\ndeps a\nend\ntarget-versions')
    assert result.outcome == "done"
    assert result.collected["version"] == [4, 47, 0]
    assert result.collected["who"] == {"x": 1}
    assert result.collected["a"]["info"]["number"] == "253:0"
    assert result.collected["a"]["info"]["uuid"] == "U-a"
    assert result.collected["a"]["table"] == [{"start": 0, "length": 1024, "target": "linear", "params": "7:0 0"}]
    assert result.collected["a"]["status"][0]["text"] == ""
    assert result.collected["a"]["deps"] == ["7:0"]
    assert result.collected["target-versions"]["linear"][0] == 1


def test_the_trace_says_what_ran_and_how_it_went(dm: SimulatedDeviceMapper) -> None:
    result = run(dm, "suspend a\njmp-fail out\nresume a insist\nlabel out", fail_calls({2: errno.EIO}))
    assert [(step.pc, step.op, step.device, step.errno, step.tries) for step in result.trace] == [
        (0, "suspend", "a", 0, 1),
        (2, "resume", "a", 0, 2),
    ]
    assert all(step.nanoseconds > 0 for step in result.trace)
    assert result.outcome == "done"


def test_a_failure_that_nobody_deals_with_ends_the_program(dm: SimulatedDeviceMapper) -> None:
    result = run(dm, "clear a\nremove a", fail_calls({1: errno.ENOMEM}))
    assert result.outcome == "failed"
    assert result.error is not None
    assert (result.error.pc, result.error.errno_name, result.error.code) == (0, "ENOMEM", "kernel")
    assert [each.instruction for each in result.left] == ["clear a", "remove a"]
    with pytest.raises(KernelError) as caught:
        result.require_done()
    assert caught.value.facts["left"] == ["clear a", "remove a"]
    assert caught.value.device == "a"


def test_jumps_by_errno(dm: SimulatedDeviceMapper) -> None:
    text = (
        "clear a\njmp-errno EIO one\njmp-errno ENOMEM two\njmp-fail out\n"
        "label one\nclear-fail\nliteral at 1\nexit done\n"
        "label two\nclear-fail\nliteral at 2\nexit done\nlabel out\nexit unwound"
    )
    assert run(dm, text, fail_calls({1: errno.EIO})).collected == {"at": 1}
    assert run(dm, text, fail_calls({1: errno.ENOMEM})).collected == {"at": 2}
    assert run(dm, text, fail_calls({1: errno.ENXIO})).outcome == "unwound"


def test_an_unwinding_that_fails_says_what_is_left_and_goes_on(dm: SimulatedDeviceMapper) -> None:
    text = (
        "create b\njmp-fail out\nsuspend a\njmp-fail undo\nclear a\njmp-fail undo2\nresume a insist\nexit done\n"
        "label undo2\nresume a insist\nlabel undo\nremove b insist\nlabel out\nexit unwound"
    )

    result = run(dm, text, lambda call: fail_always("resume")(call) or fail_calls({3: errno.EIO})(call))
    assert result.outcome == "failed"
    assert [(each.instruction, each.errno) for each in result.left if each.errno] == [("resume a insist", errno.EIO)]
    assert [step.tries for step in result.trace][-2:] == [3, 1]
    assert [entry.name for entry in dm.list_devices()] == ["a"]


def test_remove_is_tried_while_the_device_is_open(dm: SimulatedDeviceMapper) -> None:
    clock = StillClock()
    dm.open("a")
    result = run(dm, "remove a", clock=clock)
    assert result.outcome == "failed"
    assert result.error is not None
    assert result.error.errno_name == "EBUSY"
    assert 5 <= clock.seconds < 6
    dm.close("a")
    busy = dict.fromkeys(range(1, 10), errno.EBUSY)
    assert run(dm, "remove a", fail_calls(busy)).trace[0].tries == 10


def test_names_follow_renames_and_creations(dm: SimulatedDeviceMapper) -> None:
    result = run(
        dm,
        "rename a b\ncreate c\nload c\n  0 8 linear {b} 0\n  8 8 linear /dev/disk 5\nresume c\nremove c\n"
        "create c\nload c\n  0 8 linear {b} 8\nresume c",
    )
    assert result.outcome == "done", result
    assert dm.table("c") == [TableLine(0, 8, "linear", "253:0 8")]
    assert dm.info("b").uuid == "U-a"


def test_devices_are_found_before_anything_runs(dm: SimulatedDeviceMapper) -> None:
    quiet = contextlib.nullcontext
    for needed, kind in (("gone", NotFoundError), ("a other", MismatchError)):
        with pytest.raises(kind, match=needed.split()[0]):
            execute(program(f"remove {needed.split()[0]}", needed), dm, memory=quiet)
    with pytest.raises(NotFoundError, match="/dev/none"):
        run(dm, "create b\nload b\n  0 8 linear /dev/none 0")
    with pytest.raises(NotFoundError, match="/x"):
        run(dm, "create b\nflush /x")
    with pytest.raises(UsageError, match="not known here"):
        run(dm, "create b\nremove c")
    assert [entry.name for entry in dm.list_devices()] == ["a"]


def test_writing_and_committing(dm: SimulatedDeviceMapper) -> None:
    block = FakeBlock(1024)
    result = run(
        dm,
        f"write /x 3 0102\nflush /x\nsuspend a\njmp-fail out\ncommit /x 512 {SECTOR}\njmp-fail undo\n"
        "resume a insist\nexit done\nlabel undo\nresume a insist\nlabel out\nexit unwound",
        x=block,
    )
    assert result.outcome == "done"
    assert block.log == ["write 3 2", "flush", "write 512 512", "flush", "close"]
    assert bytes(block.content[:6]) == b"\0\0\0\1\2\0"
    assert bytes(block.content[512:]) == b"\xab" * 512
    block.broken = True
    result = run(dm, "write /x 0 00", x=block)
    assert result.error is not None
    assert (result.error.op, result.error.device, result.error.errno) == ("write", "/x", errno.EIO)


def test_writing_past_the_end_is_found_before_anything_runs(dm: SimulatedDeviceMapper) -> None:
    block = FakeBlock(1024)
    with pytest.raises(UsageError, match="not within the 1024"):
        run(dm, "write /x 1024 00", x=block)
    assert block.log == ["close"]


def test_a_wait_that_is_over_at_once(dm: SimulatedDeviceMapper) -> None:
    event_nr = dm.info("a").event_nr
    assert run(dm, f"wait a {event_nr + 1}").collected == {"wait": event_nr}


class Lacking(FaultyDeviceMapper):
    """A device-mapper that says by UnsupportedError that a target is missing, as the kernel's own does."""

    def load(self, ref: Ref, table: Sequence[TableLine], *, read_only: bool = False) -> DeviceInfo:
        raise UnsupportedError("this kernel has no target vdo", hint="modprobe -a dm-vdo")


def test_a_target_that_the_kernel_lacks_unwinds_too(dm: SimulatedDeviceMapper) -> None:
    text = (
        "create b\njmp-fail out\nload b\n  0 8 vdo\njmp-fail undo\nexit done\n"
        "label undo\nremove b insist\nlabel out\nexit unwound"
    )
    result = execute(program(text), Lacking(dm), memory=contextlib.nullcontext)
    assert result.outcome == "unwound"
    assert [entry.name for entry in dm.list_devices()] == ["a"]
    with pytest.raises(UnsupportedError, match="vdo") as caught:
        result.require_done()
    assert caught.value.facts["operation"] == "load"


def test_memory_is_locked_and_the_collector_rests_while_it_runs(dm: SimulatedDeviceMapper) -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    def memory() -> Iterator[None]:
        seen.append("locked")
        yield
        seen.append("unlocked")

    def look(call: object) -> None:
        seen.append(f"collector {gc.isenabled()}")

    execute(program("clear a", "a"), FaultyDeviceMapper(dm, look), memory=memory)
    assert seen == ["locked", "collector False", "unlocked"]
    assert gc.isenabled()


def test_a_result_without_success_is_raised_as_its_class() -> None:
    with pytest.raises(DrystoneError, match="without success"):
        Result("unwound", {}, ()).require_done()
    Result("done", {}, ()).require_done()

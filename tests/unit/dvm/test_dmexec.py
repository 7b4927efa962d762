from __future__ import annotations

import contextlib
import errno
import gc
from collections.abc import Iterator, Sequence

import pytest

from drystone.base.errors import (
    DrystoneError,
    InternalError,
    KernelError,
    MismatchError,
    NotFoundError,
    TimedOutError,
    UnsupportedError,
    UsageError,
)
from drystone.dvm.blocks import Block
from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.state import Device, Line, State, observe
from drystone.dvm.text import parse_text
from drystone.kernel.dm.abc import DeviceInfo, DeviceNumber, Ref, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.faults import Call, FaultyDeviceMapper, Map, fail_always, fail_calls, no_fault
from drystone.testing.program_bench import StillClock

SECTOR = "ab" * 512


class FakeBlock:
    """Bytes in memory that remember what was flushed."""

    def __init__(self, size: int) -> None:
        self.content = bytearray(size)
        self.log: list[str] = []
        self.broken = False
        self.failing_flushes = 0

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
        self.failing_flushes -= 1
        if self.failing_flushes >= 0:
            raise KernelError("flush", errno.EIO)

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
    assert (result.error.pc, result.error.errno_name, result.error.code) == (0, "ENOMEM", "exhausted")
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
    again = "clear a\njmp-errno EWOULDBLOCK one\njmp-fail out\nlabel out\nexit failed\nlabel one\nexit unwound"
    assert run(dm, again, fail_calls({1: errno.EAGAIN})).outcome == "unwound"


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


def test_an_old_program_brings_no_old_table_back(dm: SimulatedDeviceMapper) -> None:
    old = observe(dm)
    larger = Device("a", "U-a", (Line(0, 2048, "linear", "7:0 0"),))
    stale = activate(old, State((Device("a", "U-a", (Line(0, 512, "linear", "7:0 0"),)),)))
    quiet = contextlib.nullcontext
    assert execute(activate(old, State((larger,))), dm, memory=quiet).outcome == "done"

    with pytest.raises(MismatchError, match="'a' has another table than the program would bring back") as caught:
        execute(stale, dm, memory=quiet)

    assert "make it again" in caught.value.hint
    assert observe(dm) == State((larger,))


def test_the_tables_to_bring_back_are_found_behind_renames_and_names(dm: SimulatedDeviceMapper) -> None:
    quiet = contextlib.nullcontext
    upper = Device("b", "U-b", (Line(0, 1024, "linear", "{a} 0"),))
    lower = Device("a", "U-a", (Line(0, 1024, "linear", "7:0 0"),))
    assert execute(activate(observe(dm), State((lower, upper))), dm, memory=quiet).outcome == "done"
    wanted = State(
        (
            Device("c", "U-a", (Line(0, 1024, "linear", "7:0 8"),)),
            Device("d", "U-b", (Line(0, 512, "linear", "{c} 0"),)),
        )
    )
    program_ = activate(observe(dm), wanted)
    dm.load("b", [TableLine(0, 1024, "linear", "7:0 0")])
    dm.resume("b")
    with pytest.raises(MismatchError, match="'b' has another table"):
        execute(program_, dm, memory=quiet)
    dm.load("b", [TableLine(0, 1024, "linear", f"{dm.info('a').number} 0")])
    dm.resume("b")
    assert execute(program_, dm, memory=quiet).outcome == "done"
    assert observe(dm) == wanted


def test_a_flush_that_failed_is_not_tried_again(dm: SimulatedDeviceMapper) -> None:
    """The second one would succeed, and what the first one could not write would be lost all the same."""
    block = FakeBlock(1024)
    block.failing_flushes = 1
    result = run(dm, f"write /r 0 {SECTOR} insist\nflush /r insist\nclear-fail", r=block)
    assert result.outcome == "failed"
    assert [(each.op, each.errno) for each in result.left] == [("flush", errno.EIO)]
    assert block.log[:2] == ["write 0 512", "flush"]
    assert block.log.count("flush") == 1


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


SWAP = (
    "load a\n  0 512 linear 7:0 0\njmp-fail out\nsuspend a\njmp-fail undo\nclear a\njmp-fail undo2\nresume a\n"
    "jmp-fail undo2\nexit done\nlabel undo2\nclear a insist\nresume a insist\nlabel undo\nclear a insist\n"
    "label out\nexit unwound"
)


class Defective(FaultyDeviceMapper):
    """Raises `defect` once from the call number `at`; `is_late`: when the kernel has done it."""

    def __init__(self, inner: SimulatedDeviceMapper, at: int, defect: BaseException, *, is_late: bool) -> None:
        super().__init__(inner, self.raise_it)
        self.at, self.defect, self.is_late = at, defect, is_late

    def raise_it(self, call: Call) -> None:
        if call.count == self.at:
            if self.is_late and call.operation == "suspend":
                self.inner.suspend(call.ref)
            raise self.defect


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_defect_in_the_middle_leaves_nothing_suspended(dm: SimulatedDeviceMapper, at: int, is_late: bool) -> None:
    table = dm.table("a")

    result = execute(
        program(SWAP, "a"), Defective(dm, at, ValueError("a bug"), is_late=is_late), memory=contextlib.nullcontext
    )

    assert not dm.info("a").suspended
    assert dm.table("a") == table
    assert result.outcome == "failed"
    assert result.left[0].pc == result.trace[at - 1].pc
    with pytest.raises(InternalError, match=r"ValueError: a bug \(test_dmexec\.py:") as caught:
        result.require_done()
    assert caught.value.exit_code == 70


@pytest.mark.parametrize("stray", [KeyboardInterrupt(), SystemExit(3), TimedOutError("it would wait for ever")])
def test_what_is_no_failure_is_raised_when_the_program_has_ended(
    dm: SimulatedDeviceMapper, stray: BaseException
) -> None:
    with pytest.raises(type(stray)) as caught:
        execute(program(SWAP, "a"), Defective(dm, 3, stray, is_late=False), memory=contextlib.nullcontext)
    assert not dm.info("a").suspended
    assert caught.value.__notes__[0].startswith("the program went on to its end: failed, left: clear a")


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

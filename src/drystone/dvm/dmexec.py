"""The executor: runs a program against a device-mapper.

Before the first instruction: the program is checked whole, what it writes to is opened, its devices are found, their
UUIDs and tables compared, tables are turned into numbers, memory is locked, signals are held, and the garbage collector
rests. Between the first suspend and the last resume nothing is printed, imported or forked.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from drystone.base.clock import Clock, SystemClock
from drystone.dvm.blocks import BlockDevices, KernelBlocks
from drystone.dvm.check import check
from drystone.dvm.instructions import Commit, Flush, Load, Write
from drystone.dvm.machine import Machine
from drystone.dvm.needs import check_tables, find_devices
from drystone.dvm.program import Program
from drystone.dvm.references import paths_in
from drystone.dvm.result import Result
from drystone.dvm.signals import HeldSignals
from drystone.kernel.dm.abc import DeviceMapper
from drystone.kernel.memory import locked_memory


def execute(
    program: Program,
    dm: DeviceMapper,
    *,
    devices: BlockDevices | None = None,
    clock: Clock | None = None,
    memory: Callable[[], AbstractContextManager[None]] = locked_memory,
    signals: HeldSignals | None = None,
) -> Result:
    """Run `program`; the result says what happened. A failure while it runs is no exception.

    :param devices: finds and opens paths; the machine's own when None.
    :param clock: measures, and waits between tries.
    :param memory: keeps memory in RAM while the program runs.
    :param signals: holds Ctrl-C and SIGTERM, perhaps for longer than this call. When None they are delivered when the
        program has ended, before this returns.
    :raises UsageError: the check found something. :raises NotFoundError: a device or path that the program needs is
        not there. :raises MismatchError: a device has another UUID than the program expects, or another table than it
        would bring back.
    :raises KernelError: device-mapper cannot be used at all, or memory cannot be locked.

    Whatever of these is raised, nothing was run. An exception in the middle that is no DrystoneError is a failure like
    others (of class `internal`): the program undoes what it did. A KeyboardInterrupt or SystemExit in the middle (some
    other handler raised it: signals are held) is raised when the program has ended, with its outcome in a note.
    """
    check(program)
    finder = KernelBlocks() if devices is None else devices
    with contextlib.ExitStack() as stack:
        blocks = {}
        for each in program.instructions:
            if isinstance(each, Write | Flush | Commit) and each.device not in blocks:
                blocks[each.device] = stack.enter_context(contextlib.closing(finder.open(each.device)))
        if blocks:
            check(program, {path: block.size for path, block in blocks.items()})
        paths = {
            path: str(finder.number(path))
            for each in program.instructions
            if isinstance(each, Load)
            for line in each.table
            for path in paths_in(line.params)
        }
        holding = HeldSignals() if signals is None else signals
        numbers = find_devices(program, dm)
        check_tables(program, dm, numbers, paths)
        machine = Machine(program, dm, numbers, blocks, paths, SystemClock() if clock is None else clock, holding)
        stack.enter_context(memory())
        stack.enter_context(_resting_collector())
        with holding.held():
            machine.run()
        return machine.result()


@contextlib.contextmanager
def _resting_collector() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

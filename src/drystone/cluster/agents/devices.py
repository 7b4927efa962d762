"""An agent's device-mapper: devices of the cluster, known by their UUIDs, changed by programs.

Only devices whose UUID was in a wish are ever changed or removed; others of the cluster are told of.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from drystone.base.clock import Clock
from drystone.base.errors import BusyError, KernelError, UsageError
from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.instructions import Remove
from drystone.dvm.program import Needed, Program
from drystone.dvm.result import Result
from drystone.dvm.state import Line, State, check_state, observe
from drystone.dvm.unwinding import Writer
from drystone.kernel.dm.abc import DeviceEntry, DeviceMapper, TableLine
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.dm.targets import Opaque, map_devices, parse_target
from drystone.kernel.memory import locked_memory

PREFIX = "DRYSTONE-CLUSTER-"
"""How the UUIDs of a cluster's devices begin."""


class Devices:
    """Device-mapper, as far as it is the agent's. The constructor has no effects.

    :ivar memory: keeps memory in RAM while programs run. :param clock: waits between the tries of a program.
    """

    def __init__(
        self,
        dm: DeviceMapper,
        *,
        memory: Callable[[], AbstractContextManager[None]] = locked_memory,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock
        self.dm = dm
        self.memory = memory

    def observe(self, uuids: Collection[str]) -> State:
        """What is there of the devices with these UUIDs."""
        return observe(self.dm, lambda entry: entry.uuid in uuids)

    def bring(self, current: State, desired: State) -> None:
        """Make of `current` what is desired; what is not in it goes. Paths are numbers by now.

        :raises DrystoneError: what failed; the old state is back, or the facts say what is left.
        """
        self.run(activate(current, desired))

    def run(self, program: Program) -> None:
        """Run a program. :raises DrystoneError: it failed."""
        if not program.is_empty:
            self.attempt(program).require_done()

    def attempt(self, program: Program) -> Result:
        """Run a program; what became of it."""
        return execute(program, self.dm, clock=self._clock, memory=self.memory)

    def remove_all(self, uuids: Collection[str]) -> None:
        """Remove devices, those first that nobody has open. Tables are not asked: a thin pool that has failed has its
        thin devices say "Fail" instead of what they are on (Linux 6.1 `drivers/md/dm-thin.c`, thin_status).

        :raises BusyError: what is left is open. :raises DrystoneError: a removal failed.
        """
        while left := [entry for entry in self.entries() if entry.uuid in uuids]:
            idle = [entry for entry in left if not self.dm.info(entry.number).open_count]
            if not idle:
                raise BusyError(f"{left[-1].name} is open", hint="unmount it", devices=[each.name for each in left])
            writer = Writer()
            for entry in idle:
                writer.do(Remove(entry.name))
            self.run(Program(tuple(writer.finish()), tuple(Needed(entry.name, entry.uuid) for entry in idle)))

    def entries(self) -> list[DeviceEntry]:
        """Every device of a cluster, whoever made it."""
        return [entry for entry in self.dm.list_devices() if entry.uuid.startswith(PREFIX)]

    def is_there(self, name: str) -> bool:
        """Whether there is a device of that name with a table."""
        try:
            return self.dm.info(name).live_table
        except KernelError as error:
            if error.errno == errno.ENXIO:
                return False
            raise

    def number(self, name: str) -> DeviceNumber:
        """Of a device that is there. :raises KernelError: ENXIO, it is not."""
        return self.dm.info(name).number


def check_devices(state: State, uuids: str, allowed: Collection[str]) -> None:
    """Refuse a wish that reaches for what is not the dlv's: devices of other names, other disks.

    :param uuids: how its UUIDs begin. :param allowed: the paths that its tables may name.
    :raises UsageError: it does; or it cannot be (check_state).
    """
    check_state(state, "the devices of the call")
    for device in state.devices:
        if not device.uuid.startswith(uuids):
            raise UsageError(f"{device.name!r} has the uuid {device.uuid!r}, which does not begin with {uuids}")
        for line in device.table:
            for word in devices_of(line):
                if word not in allowed and not word.startswith("{"):
                    raise UsageError(f"{device.name!r} is on {word!r}, which is not the dlv's")


def devices_of(line: Line) -> list[str]:
    """The device fields of a line: references, paths, numbers. :raises UsageError: a target that we do not know."""
    found: list[str] = []

    def note(word: str) -> str:
        found.append(word)
        return word

    plain = TableLine(line.start, line.length, line.target, line.params)
    if isinstance(parse_target(plain), Opaque):
        raise UsageError(f"the target {line.target!r} is none that a cluster has")
    map_devices(plain, note)
    return found

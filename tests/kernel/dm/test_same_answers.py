"""Random calls to the real and to the simulated kernel: both must answer the same, and be in the same state after.

Calls for which the simulation says that a kernel would wait without end are left out on both sides.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from drystone.base.errors import KernelError, TimedOutError
from drystone.base.sizes import SECTOR
from drystone.kernel import loop
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.dm.simulated.machine import Noise
from drystone.testing.device_mapper import DISK_SECTORS, DISKS
from drystone.testing.device_mapper.sequences import NAMES, Call, answer, next_call, state

SEQUENCES = 6
CALLS = 80
TARGETS = ("linear", "striped", "error", "zero", "thin-pool", "thin", "era", "snapshot", "snapshot-origin")


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[DeviceNumber]]:
    folder: Path = tmp_path_factory.mktemp("disks")
    with ExitStack() as stack:
        found = []
        for at in range(DISKS):
            file = folder / str(at)
            file.touch()
            os.truncate(file, DISK_SECTORS * SECTOR)
            found.append(stack.enter_context(loop.hold(str(file))).number)
        yield found


def _write(real: KernelDeviceMapper, simulated: SimulatedDeviceMapper, call: Call) -> tuple[object, object]:
    """Write 8 sectors; how it ended on either side."""
    ends: list[object] = []
    number = real.info(call.name).number
    try:
        with open_device(device_path(number), write=True) as device:
            device.pwrite(call.sector * SECTOR, bytes(8 * SECTOR))
            device.flush()
        ends.append("written")
    except KernelError as error:
        ends.append(error.facts["errno_name"])
    try:
        simulated.write(call.name, call.sector, 8, zeros=True)
        ends.append("written")
    except KernelError as error:
        ends.append(error.facts["errno_name"])
    return ends[0], ends[1]


def _left_out(simulated: SimulatedDeviceMapper, call: Call, metadata: set[DeviceNumber]) -> bool:
    """Whether a kernel would wait for ever, or the call would write into the metadata of something in use."""
    trial = simulated.copy()
    try:
        if call.method != "write":
            answer(call, trial)
            return False
        if call.sector + 8 > sum(line.length for line in trial.table(call.name)):
            return True
        trial.write(call.name, call.sector, 8)
    except TimedOutError:
        return True
    except KernelError as error:
        return call.method == "write" and error.errno == errno.ENXIO
    return any(place[0] in metadata and isinstance(what, Noise) for place, what in trial.machine.contents.items())


def _settle(simulated: SimulatedDeviceMapper, real: KernelDeviceMapper, before: str) -> None:
    """Both in one state; what a kernel does in the background (a deferred removal, an event) has a second for it."""
    wanted, found = state(simulated), None
    for _ in range(20):
        with contextlib.suppress(KernelError):
            found = state(real)
        if found == wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"{before}\nreal {found}\nsimulated {wanted}")


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_same_answers(seed: int, disks: list[DeviceNumber]) -> None:
    random = Random(seed)
    for disk in disks:
        with open_device(device_path(disk), write=True) as device:
            device.pwrite(0, bytes(DISK_SECTORS * SECTOR))
    with KernelDeviceMapper() as real:
        real.ensure_targets(TARGETS)
        probe = real.create(NAMES[0])
        real.remove(NAMES[0])
        simulated = SimulatedDeviceMapper(dict.fromkeys(disks, DISK_SECTORS), major=probe.number.major)
        said: list[str] = []
        try:
            for _ in range(CALLS):
                call = next_call(random, simulated, disks)
                if _left_out(simulated, call, {disks[0], disks[2], disks[3]}):
                    continue
                if call.method == "write":
                    right, ours = _write(real, simulated, call)
                else:
                    right, ours = answer(call, real), answer(call, simulated)
                said.append(f"{call}: {right}")
                before = "\n".join(said[-25:])
                assert ours == right, f"{before}\nthe simulation says {ours}"
                _settle(simulated, real, before)
        finally:
            _remove_all(real)


def _remove_all(real: KernelDeviceMapper) -> None:
    for _ in range(len(NAMES) + 1):
        for entry in real.list_devices():
            real.clear(entry.name)
            try:
                real.remove(entry.name)
            except KernelError as error:
                if error.facts["errno_name"] != "EBUSY":
                    raise

"""An update whose commit is inside a program, for `region_hunt`: prepared by `replicate`, committed by `dmexec`.

The device-mapper of the program is simulated, and never fails here: what the adversary cuts short is the metadata.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from drystone.base.errors import DrystoneError
from drystone.dvm.dmexec import execute
from drystone.dvm.instructions import Suspend
from drystone.dvm.replication import replicate
from drystone.dvm.replication.views import Checks, look
from drystone.dvm.replication.writing import committed_slot
from drystone.dvm.transactions.page_blocks import PageBlock
from drystone.dvm.transactions.two_phase import Sector, find_order, with_commit
from drystone.formats.region.layout import SLOT_OFFSETS
from drystone.formats.region.slots import build_slot, place_of
from drystone.kernel.dm.abc import DeviceNumber
from drystone.testing.crash_states import CrashDevice
from drystone.testing.program_bench import Bench, StillClock, make_bench
from drystone.testing.transitions import TRANSITIONS

if TYPE_CHECKING:
    from drystone.kernel.pages import PageDevice


@cache
def _bench() -> Bench:
    """The transition with the shortest program that has its commit inside, behind a suspend."""
    benches = [make_bench(each) for each in TRANSITIONS]
    inside = [
        each
        for each in benches
        if find_order(each.program) == "inside" and any(isinstance(step, Suspend) for step in each.program.instructions)
    ]
    return min(inside, key=lambda each: len(each.program.instructions))


class _Region(PageBlock):
    """A region as the programs of updates write to it."""

    def __init__(self, device: CrashDevice) -> None:
        super().__init__(cast("PageDevice", device))

    def close(self) -> None:
        """The adversary's devices stay open."""


class _Blocks:
    """The regions, by path: what the program's commit writes to."""

    def __init__(self, devices: Sequence[CrashDevice]) -> None:
        self._devices = {_path_of(device): device for device in devices}

    def open(self, path: str) -> PageBlock:
        return _Region(self._devices[path])

    def number(self, path: str) -> DeviceNumber:
        raise AssertionError(f"{path} is in no table")


def update_inside(devices: Sequence[CrashDevice], data: bytes, checks: Checks) -> None:
    """What `dvm transact update --activate` does: prepare, the program, and recovery when the program fails.

    :raises DrystoneError: as the program says; whether the old data stay is not told.
    """
    replicate.prepare(devices, data, checks=checks)
    bench = _bench()
    try:
        program = with_commit(bench.program, [_commit_sector(each) for each in devices], "the metadata is committed")
        execute(
            program, bench.start.copy(), devices=_Blocks(devices), clock=StillClock(), memory=contextlib.nullcontext
        ).require_done()
    except DrystoneError:
        replicate.recover(devices, checks=checks)
        raise


def _commit_sector(device: CrashDevice) -> Sector:
    slot = look(device).slot
    assert slot is not None
    assert slot.next is not None
    new = replace(committed_slot(slot, slot.next), generation=slot.generation + 1)
    return Sector(_path_of(device), SLOT_OFFSETS[place_of(new.generation)], build_slot(new))


def _path_of(device: CrashDevice) -> str:
    return f"/region/{device.number}"

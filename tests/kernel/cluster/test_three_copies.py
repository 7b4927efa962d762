"""Three copies on a real kernel: tables of the model under writes, legs that fail and return; each leg read alone.

While a third leg is copied to, the two that are in sync are a mirror of their own within the one that copies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from drystone.base.errors import KernelError
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.logs import RamLogs, log_bytes
from drystone.cluster.agents.swap import swaps
from drystone.cluster.model import in_sync
from drystone.cluster.model.calls import volume_wish
from drystone.cluster.model.dlv import Dlv, Group, Leg
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.in_sync import Change
from drystone.dvm.state import State, named, observe, resolve_paths
from drystone.kernel import loop
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.statuses import MirrorStatus

pytestmark = pytest.mark.lab(memory="320M")

MIB = 1 << 20
DATA = 3 * EXTENT
"""Bytes of each leg of the data group."""


class Host:
    """An ihost whose legs are linear devices on loop devices, and a volume of three copies on it."""

    def __init__(self, dm: KernelDeviceMapper, disks: dict[str, DeviceNumber], dlv: Dlv) -> None:
        self.dm = dm
        self.devices = Devices(dm)
        self.disks = disks
        self.dlv = dlv
        self.logs = RamLogs(Path("/run/drystone-three"))
        self._numbers: dict[str, DeviceNumber] = {}
        self._made = 0
        for leg in disks:
            dm.create(f"leg-{leg}")
            self.mend(leg)

    def mend(self, leg: str) -> None:
        self._load(leg, "linear", f"{self.disks[leg]} 0")

    def fail(self, leg: str) -> None:
        self._load(leg, "error", "")

    def _load(self, leg: str, target: str, params: str) -> None:
        size = next(each.extents for each in self.dlv.legs if each.id == leg) * EXTENT // 512
        self.dm.load(f"leg-{leg}", [TableLine(0, size, target, params)])
        if self.dm.info(f"leg-{leg}").live_table:
            self.dm.suspend(f"leg-{leg}", no_flush=True, lock_fs=False)
        self.dm.resume(f"leg-{leg}")

    def go(self, change: Change) -> None:
        """Record a change, then have the kernel follow it: mirrors one by one, then all else."""
        self.dlv = change.dlv
        stands = {each.mirror: each for each in in_sync.standing(change.dlv)}
        stands.update({each.mirror: each for each in change.assemblies})
        dpvs = {leg.dpv: Dpv(name=leg.dpv, address="a:1", portal="a:2", extents=9) for leg in self.dlv.legs}
        wish = volume_wish(self.dlv, tuple(stands.values()), dpvs)
        changed = {str(each.mirror) for each in change.assemblies}
        for log in wish.logs:
            if log.bits != "kept" and log.path.rsplit("/", 1)[1].removesuffix(".copy") in changed:
                self._made += 1
                self._numbers[log.path] = self.logs.make(f"log{self._made}", log_bytes(log))
        desired = resolve_paths(wish.state, self._number)
        current = observe(self.dm, named("drystone-dlv-"))
        mirrors = [device for device in desired.devices if ":g" in device.name]
        for program in swaps(current, State(tuple(mirrors))):
            self.devices.run(program)
        self.devices.bring(observe(self.dm, named("drystone-dlv-")), desired)

    def _number(self, path: str) -> DeviceNumber:
        if path.startswith("/dev/drystone/leg/"):
            return self.dm.info(f"leg-{path.rsplit('/', 1)[1]}").number
        return self._numbers[path]

    def path(self) -> str:
        return device_path(self.dm.info("drystone-dlv-db").number)

    def write(self, offset: int, data: bytes) -> None:
        with open_device(self.path(), write=True) as device:
            device.pwrite(offset, data)
            device.flush()

    def read_leg(self, leg: str) -> bytes:
        with open_device(device_path(self.disks[leg])) as device:
            return device.pread(0, DATA)

    def wait_until_copied(self, mirror: str) -> None:
        until = time.monotonic() + 60
        while True:
            status = MirrorStatus.parse(self.dm.status(f"drystone-dlv-db:{mirror}", no_flush=True)[0].text)
            if status.in_sync == status.regions:
                return
            assert time.monotonic() < until, status
            time.sleep(0.1)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    groups = (
        Group(number=0, role="metadata", stripes=1, extents=1),
        Group(number=1, role="data", stripes=1, extents=3),
    )
    legs = tuple(
        Leg(id=f"{letter}{group.number}", group=group.number, stripe=0, place=place, dpv=letter, extents=group.extents)
        for group in groups
        for place, letter in enumerate("abc")
    )
    dlv = Dlv(
        id="id", name="db", dvg="g", size=2 * EXTENT, initial_size=1, mirrors=3, stripes=1, chunk=128, block=128,
        groups=groups, legs=legs,
    )  # fmt: skip
    with ExitStack() as stack:
        disks = {}
        for leg in legs:
            file = tmp_path / leg.id
            with file.open("wb") as handle:
                handle.truncate(leg.extents * EXTENT)
            disks[leg.id] = stack.enter_context(loop.hold(str(file))).number
        dm = stack.enter_context(KernelDeviceMapper())
        made = Host(dm, disks, dlv)
        stack.callback(clear, made)
        yield made


def clear(host: Host) -> None:
    for leg in host.disks:
        host.mend(leg)
    host.devices.bring(observe(host.dm, named("drystone-dlv-")), State())
    for leg in host.disks:
        host.dm.remove(f"leg-{leg}")
    for name in host.logs.names():
        host.logs.remove(name)


def pattern(seed: int) -> bytes:
    """1 MiB."""
    return b"".join(bytes([(seed * 7 + block) % 251]) * 4096 for block in range(256))


def lose_while_writing(host: Host, leg: str, offset: int, data: bytes) -> None:
    """A leg fails under a write, which is held until the smaller set is recorded and the table swapped."""
    host.fail(leg)
    done = threading.Event()

    def write() -> None:
        host.write(offset, data)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert not done.wait(1.5), "a write was acknowledged that one of the legs in the set does not have"
    host.go(in_sync.shrink(host.dlv, "h", host.dlv.epoch, [leg]))
    writer.join(30)
    assert done.is_set(), "the write did not go on"


def join(host: Host, leg: str) -> None:
    """A leg is copied: it joins the set, and the mirror gets the table that all of them stand for."""
    grown = in_sync.grow(host.dlv, "h", host.dlv.epoch, [leg]).dlv
    host.go(Change(grown, tuple(each for each in in_sync.standing(grown) if each.mirror.group == 1)))


def test_a_third_copy_goes_and_returns_under_writes(host: Host) -> None:
    host.go(in_sync.attach(host.dlv, "h", set(host.disks)))
    host.write(0, pattern(1))
    assert host.read_leg("a1") == host.read_leg("b1") == host.read_leg("c1")

    lose_while_writing(host, "c1", MIB, pattern(2))
    assert host.read_leg("a1") == host.read_leg("b1") != host.read_leg("c1")

    host.mend("c1")
    host.go(in_sync.readmit(host.dlv, "h", host.dlv.epoch, "c1", noted=False))
    host.write(2 * MIB, pattern(3))
    assert host.read_leg("a1") == host.read_leg("b1"), "both of the inner mirror have what is written meanwhile"
    host.wait_until_copied("g1.s0")
    assert host.read_leg("a1") == host.read_leg("b1") == host.read_leg("c1")

    join(host, "c1")
    host.write(3 * MIB, pattern(4))
    assert host.read_leg("a1") == host.read_leg("b1") == host.read_leg("c1")


def test_a_leg_of_the_inner_mirror_goes_while_a_third_is_copied_to(host: Host) -> None:
    host.go(in_sync.attach(host.dlv, "h", set(host.disks)))
    host.write(0, pattern(5))
    lose_while_writing(host, "c1", MIB, pattern(6))
    host.mend("c1")
    host.go(in_sync.readmit(host.dlv, "h", host.dlv.epoch, "c1", noted=False))
    lose_while_writing(host, "a1", 2 * MIB, pattern(7))
    assert {leg.id for leg in host.dlv.legs_of(in_sync.standing(host.dlv)[1].mirror) if leg.in_sync} == {"b1"}
    with open_device(host.path()) as device:
        assert device.pread(0, 3 * MIB) == pattern(5) + pattern(6) + pattern(7)
    assert host.read_leg("b1")[: 3 * MIB] == pattern(5) + pattern(6) + pattern(7)
    host.wait_until_copied("g1.s0")
    join(host, "c1")
    host.mend("a1")
    host.go(in_sync.readmit(host.dlv, "h", host.dlv.epoch, "a1", noted=False))
    host.wait_until_copied("g1.s0")
    join(host, "a1")
    host.write(0, pattern(8))
    assert host.read_leg("a1") == host.read_leg("b1") == host.read_leg("c1")


def test_a_write_that_fails_on_all_legs_at_once_is_not_held(host: Host) -> None:
    """dm-mirror holds what one leg at least may have still. Once they are back the volume goes on with one of them."""
    host.go(in_sync.attach(host.dlv, "h", set(host.disks)))
    host.write(0, pattern(1))
    for leg in ("a1", "b1", "c1"):
        host.fail(leg)
    with pytest.raises(KernelError):
        host.write(0, pattern(2))
    for leg in ("a1", "b1", "c1"):
        host.mend(leg)
    host.go(in_sync.shrink(host.dlv, "h", host.dlv.epoch, ["b1", "c1"]))
    host.write(MIB, pattern(3))
    assert host.read_leg("a1")[MIB : 2 * MIB] == pattern(3)

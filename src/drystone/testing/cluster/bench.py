"""A cluster on simulated kernels: dpvs, an ihost, a mirrored dlv with the model's own wishes; and crashes."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from drystone.base.errors import UnavailableError
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.dpv import DpvAgent
from drystone.cluster.agents.growing import Growths
from drystone.cluster.agents.ihost import IhostAgent
from drystone.cluster.agents.meters import Meters
from drystone.cluster.agents.slices import Slices
from drystone.cluster.model.calls import LegsWish, VolumeWish, export_calls, volume_wish
from drystone.cluster.model.dlv import Dlv, Group, Leg
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.in_sync import Assembly
from drystone.kernel.dm.log import LoggedCall
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.iscsi.abc import Session, Timeouts, find_session
from drystone.kernel.iscsi.names import Chap, Portal
from drystone.kernel.iscsi.simulated import SimulatedInitiator
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.kernel.lio.simulated import SimulatedDevice, SimulatedLio
from drystone.testing.cluster.kernels import Crash, FailingMirrors, FakeLogs, SteppedSlices, SteppedTree, Steps, stepped
from drystone.testing.program_bench import StillClock

DISK = DeviceNumber(7, 0)
DISK_SIZE = 256 << 20
HOST, STRANGER = "iqn.2026-11.org.example:ihost", "iqn.2026-11.org.example:stranger"
DLV = "01234567-89ab-cdef-0123-456789abcdef"
DPVS = {
    name: Dpv(name=name, address="127.0.0.1:7001", portal=f"127.0.0.1:{3261 + at}", extents=60)
    for at, name in enumerate(("dpv0", "dpv1"))
}


def make_dlv(*, epoch: int = 1, name: str = "db") -> Dlv:
    """Two copies: a group for metadata and one for data, of 8 MiB each."""
    groups = (
        Group(number=0, role="metadata", stripes=1, extents=2),
        Group(number=1, role="data", stripes=1, extents=2),
    )
    legs = tuple(
        Leg(id=f"leg-{group.number}{'ab'[place]}", group=group.number, stripe=0, place=place, dpv=f"dpv{place}",
            extents=2)
        for group in groups
        for place in range(2)
    )  # fmt: skip
    return Dlv(
        id=DLV, name=name, dvg="g", size=16 << 20, initial_size=1, mirrors=2, stripes=1, chunk=128, block=128,
        epoch=epoch, groups=groups, legs=legs,
    )  # fmt: skip


def secrets_of(dlv: Dlv) -> dict[str, str]:
    """Of CHAP, by the legs' ids."""
    return {leg.id: f"the-secret-of-{leg.id}" for leg in dlv.legs}


def legs_wishes(dlv: Dlv, initiators: Collection[str] = (HOST,)) -> dict[str, LegsWish]:
    """What each dpv is told."""
    found = {}
    for call in export_calls(dlv, DPVS, initiators, secrets_of(dlv)):
        assert isinstance(call.body, LegsWish)
        found[call.host] = call.body
    return found


def wish_of(dlv: Dlv, assemblies: Collection[Assembly]) -> VolumeWish:
    """What the ihost is told."""
    return volume_wish(dlv, assemblies, DPVS, secrets_of(dlv))


class DpvHost:
    """A dpv: its kernel, its disk, its agent. `wiped`: the sectors of the disk that were, as often as they were."""

    def __init__(self, folder: Path, portal: str) -> None:
        folder.mkdir(parents=True)
        self.folder, self.portal = folder, Portal.parse(portal)
        self.steps = Steps(self._freeze)
        self.wiped: list[int] = []
        self.calls: list[LoggedCall] = []
        self.boots = 0
        self.patience = 20.0
        self.replace_disk()

    def replace_disk(self) -> None:
        """It is shut down, gets an empty disk that is formatted, and is started."""
        disk = self.folder / "disk"
        disk.unlink(missing_ok=True)
        with disk.open("wb") as file:
            file.truncate(DISK_SIZE)
        Slices(str(disk)).format(UUID(int=1))
        self.slices = SteppedSlices(str(disk), self.steps)
        self.boot()

    def boot(self) -> None:
        """A kernel without a device or an export, and its agent. What the disk says stays."""
        self.boots += 1
        self.dm = SimulatedDeviceMapper({DISK: DISK_SIZE // 512})
        self.lio = SimulatedLio({})
        self.restart()

    def restart(self) -> None:
        """A new agent in the same kernel."""
        lio, boot = self.lio, f"boot {self.boots}"
        self.agent = DpvAgent(
            self.folder / "notes",
            self.slices,
            Devices(stepped(self.dm, self.steps, self.calls), memory=nullcontext, clock=StillClock()),
            ConfigfsLio(SteppedTree(lio.tree, self.steps), find_number=lambda path: lio.tree.devices[path].number),
            [self.portal],
            find_number=lambda _: DISK,
            find_path=self._find_path,
            wipe=self._wipe,
            boot=lambda: boot,
            patience=self.patience,
        )

    def crash(self, call: Callable[[], object], at: int) -> bool:
        """Make a call that is killed at its step `at`; whether it had so many. Then there is a new agent."""
        self.steps.count, self.steps.crash_at = 0, at
        try:
            call()
        except Crash:
            self.dm, self.lio = self._frozen
        else:
            return False
        finally:
            self.steps.crash_at = 0
            self.restart()
        return True

    def admitted(self) -> dict[str, list[str]]:
        """Who is let in to which target."""
        return {each.iqn: [acl.initiator for acl in each.acls] for each in self.lio.targets()}

    def _freeze(self) -> None:
        self._frozen = (self.dm.copy(), copy.deepcopy(self.lio))

    def _find_path(self, number: DeviceNumber) -> str:
        path = f"/dev/dm-{number.minor}"
        self.lio.tree.devices[path] = SimulatedDevice(number, self.dm.machine.sectors(number) * 512)
        return path

    def _wipe(self, path: str) -> None:
        self.steps.step()
        self.wiped.append(self.dm.machine.place(self.lio.tree.devices[path].number, 0)[1])
        self.steps.step()


class AttachedInitiator(SimulatedInitiator):
    """An initiator whose disks a simulated device-mapper has. Its changes are steps.

    :ivar offline: targets whose disks have failed for good. :ivar stuck: those whose session does not end.
    :ivar kept: what is on legs without a session, by target and sector.
    """

    def __init__(
        self, hosts: Collection[DpvHost], dm: SimulatedDeviceMapper, steps: Steps, kept: dict[str, dict[int, object]]
    ) -> None:
        super().__init__({}, HOST)
        self._hosts = tuple(hosts)
        self.kept = kept
        self._dm = dm
        self._steps = steps
        self.offline: set[str] = set()
        self.stuck: set[str] = set()
        self.refusing = False
        self.before_login: Callable[[], None] = lambda: None

    def sessions(self) -> list[Session]:
        self._find_doors()
        return [
            replace(each, disks=tuple(replace(disk, state="transport-offline") for disk in each.disks))
            if each.target in self.offline
            else each
            for each in super().sessions()
        ]

    def login(self, target: str, portal: Portal, *, chap: Chap | None = None, timeouts: Timeouts | None = None) -> None:
        self.before_login()
        if self.refusing:
            raise UnavailableError("the dpv does not answer")
        self._find_doors()
        self._steps.step()
        super().login(target, portal, chap=chap, timeouts=timeouts)
        for session in self.sessions():
            for disk in session.disks:
                if disk.number not in self._dm.machine.disks:
                    self._dm.add_disk(disk.number, disk.size // 512)
                    self._place(disk.number, self.kept.get(session.target, {}))
        self._steps.step()

    def set_replacement(self, target: str, portal: Portal, seconds: int) -> None:
        self._steps.step()
        super().set_replacement(target, portal, seconds)
        self._steps.step()

    def logout(self, target: str, portal: Portal) -> None:
        if target in self.stuck:
            raise UnavailableError("its session does not end")
        self._steps.step()
        session = find_session(self.sessions(), target, portal)
        for disk in session.disks if session else ():
            assert not self._dm.machine.held(disk.number), f"{target} is in use"
        self.keep(target)
        super().logout(target, portal)
        self._steps.step()

    def _find_doors(self) -> None:
        """A dpv that was started anew has another kernel."""
        self.doors = {host.portal: host.lio for host in self._hosts}

    def keep(self, *targets: str) -> None:
        """What is on their disks outlives the session. Another disk may get its number."""
        for session in self.sessions():
            for disk in session.disks if session.target in targets else ():
                machine = self._dm.machine
                here = {sector: each for (at, sector), each in machine.contents.items() if at == disk.number}
                self.kept[session.target] = here

    def _place(self, number: DeviceNumber, content: Mapping[int, object]) -> None:
        contents = self._dm.machine.contents
        for place in [place for place in contents if place[0] == number]:
            del contents[place]
        contents.update({(number, sector): each for sector, each in content.items()})


class IhostHost:
    """An ihost: its kernel, its agent, and the dpvs that it can reach. :ivar flushed: disks, in order.

    :ivar measures: whether agents, from the next start on, have layers measured.
    :ivar grown: devices whose file systems have grown, in order; before each `before_growth` is called.
    """

    def __init__(self, folder: Path, hosts: Collection[DpvHost]) -> None:
        self.folder, self.hosts = folder, tuple(hosts)
        self.steps = Steps(self._freeze)
        self.calls: list[LoggedCall] = []
        self.flushed: list[str] = []
        self.boots = 0
        self.answer_seconds = 10.0
        self.measures = False
        self.before_node: Callable[[int], None] = lambda _: None
        self.grown: list[str] = []
        self.before_growth: Callable[[], None] = lambda: None
        self.kept: dict[str, dict[int, object]] = {}
        self.boot()

    dm: FailingMirrors
    initiator: AttachedInitiator

    def boot(self) -> None:
        """A kernel without a device, session or log, and its agent. What pools have committed is on the legs."""
        if self.boots:
            self.dm.spread()
            self.initiator.keep(*self.legs())
        self.boots += 1
        self.dm = FailingMirrors()
        for host in self.hosts:
            for iqn, admitted in host.admitted().items():
                if HOST in admitted:
                    host.lio.log_out(HOST, iqn)
        self.initiator = AttachedInitiator(self.hosts, self.dm, self.steps, self.kept)
        self.logs = FakeLogs(self.dm, self.steps)
        self.nodes: dict[str, DeviceNumber] = {}
        self.restart()

    def restart(self) -> None:
        """A new agent in the same kernel."""
        boot = f"boot {self.boots}"
        self.devices = Devices(stepped(self.dm, self.steps, self.calls), memory=nullcontext, clock=StillClock())
        self.meters = Meters(self.devices.dm, clock=StillClock())
        self.agent = IhostAgent(
            self.folder / "notes",
            self.devices,
            self.initiator,
            self.logs,
            boot=lambda: boot,
            make_node=self._make_node,
            remove_node=lambda name: self.nodes.pop(name, None) and None,
            flush=self.flushed.append,
            answer_seconds=self.answer_seconds,
            measure=self.meters.begin if self.measures else lambda _: None,
            growths=Growths(self._grow, lambda work: work()),
        )

    def lose_notes(self) -> None:
        """The folder of its notes is gone, and its agent is started anew."""
        shutil.rmtree(self.folder / "notes", ignore_errors=True)
        self.restart()

    def crash(self, call: Callable[[], object], at: int) -> bool:
        """Make a call that is killed at its step `at`; whether it had so many. Then there is a new agent."""
        self.steps.count, self.steps.crash_at = 0, at
        try:
            call()
        except Crash:
            self.dm, self.initiator, self.logs, self.nodes = self._frozen
            self.kept = self.initiator.kept
        else:
            return False
        finally:
            self.steps.crash_at = 0
            self.restart()
        return True

    def legs(self) -> dict[str, DeviceNumber]:
        """The disks that there are, by the target they are of."""
        return {each.target: each.disks[0].number for each in self.initiator.sessions()}

    def tables(self) -> dict[str, str]:
        """The live table of every device, as text."""
        return {
            entry.name: "; ".join(f"{line.target} {line.params}" for line in self.dm.table(entry.number))
            for entry in self.dm.list_devices()
        }

    def _grow(self, device: str) -> None:
        self.before_growth()
        self.grown.append(device)

    def _freeze(self) -> None:
        # One copy of all, so that they go on sharing what they share; the dpvs are other hosts, and go on.
        memo: dict[int, object] = {id(host): host for host in self.hosts}
        memo |= {id(host.lio): host.lio for host in self.hosts}
        memo[id(self.steps)] = self.steps
        memo[id(self.dm)] = self.dm.copy()
        self._frozen = copy.deepcopy((self.dm, self.initiator, self.logs, self.nodes), memo)

    def _make_node(self, name: str, number: DeviceNumber) -> str:
        self.before_node(number.minor)
        self.nodes[name] = number
        return f"/dev/mapper/{name}"

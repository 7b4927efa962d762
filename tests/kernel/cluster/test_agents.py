"""The agents on a real kernel: a mirrored thin volume over iSCSI, of the model's own wishes, that loses a dpv.

One guest is all hosts: two dpv agents, each with a disk and a portal of its own, and an ihost agent.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import uuid4

import numpy as np
import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, UnavailableError
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.dpv import DpvAgent
from drystone.cluster.agents.ihost import IhostAgent
from drystone.cluster.agents.logs import RamLogs
from drystone.cluster.agents.measuring import measure_dpv, measure_ihost
from drystone.cluster.agents.meters import Meters
from drystone.cluster.agents.slices import Slices
from drystone.cluster.agents.watch import Watcher
from drystone.cluster.model.calls import (
    LegsWish,
    VolumeWish,
    export_calls,
    target_name,
    volume_wish,
    withdrawal_of_legs,
    withdrawal_of_volume,
)
from drystone.cluster.model.dlv import Dlv, Group, Leg
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.in_sync import Assembly, attach, grow, readmit, shrink
from drystone.kernel import loop
from drystone.kernel.blockdev import aligned_buffer
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.iscsi.abc import Timeouts
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.iscsi.names import Portal
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.testing.iscsi_leg import BLOCK, HOST, count_writes, name_this_host

pytestmark = pytest.mark.lab(memory="384M")

SIZE = 16 << 20
DPVS = {
    name: Dpv(name=name, address="127.0.0.1:7001", portal=f"127.0.0.1:{3261 + at}", extents=20)
    for at, name in enumerate(("dpv0", "dpv1"))
}


def make_dlv() -> Dlv:
    groups = (
        Group(number=0, role="metadata", stripes=1, extents=1),
        Group(number=1, role="data", stripes=1, extents=5),
    )
    legs = tuple(
        Leg(id=f"leg-{group.number}{'ab'[place]}", group=group.number, stripe=0, place=place, dpv=f"dpv{place}",
            extents=group.extents)
        for group in groups
        for place in range(2)
    )  # fmt: skip
    return Dlv(
        id=str(uuid4()), name="db", dvg="g", size=SIZE, initial_size=SIZE, mirrors=2, stripes=1, chunk=128, block=128,
        groups=groups, legs=legs,
    )  # fmt: skip


class Cluster:
    """The three agents, and the record: what the API would keep. :ivar is_open: whether the record can be reached."""

    def __init__(self, folder: Path, disks: dict[str, str], dm: KernelDeviceMapper) -> None:
        self.folder = folder
        self.lio = ConfigfsLio()
        self.dm = dm
        self.dlv = make_dlv()
        self.secrets = {leg.id: f"the-secret-of-{leg.id}" for leg in self.dlv.legs}
        self.assemblies: dict[object, Assembly] = {}
        self.is_open = True
        self.asked = 0
        self.dpvs = {}
        for name, disk in disks.items():
            slices = Slices(disk)
            slices.format(uuid4())
            portals = [Portal.parse(DPVS[name].portal)]
            self.dpvs[name] = DpvAgent(folder / name, slices, Devices(dm), self.lio, portals)
        self.restart()

    def restart(self) -> None:
        """Another ihost agent, in the place of the one that was."""
        timeouts = Timeouts(replacement=2, login=5)
        logs = RamLogs(Path("/run/drystone-logs"))
        self.meters = Meters(self.dm)
        self.ihost = IhostAgent(
            self.folder / "ihost", Devices(self.dm), OpenIscsi(), logs, timeouts=timeouts, measure=self.meters.begin
        )

    def export(self, initiators: Collection[str]) -> None:
        """Have the legs, with these let in."""
        self.dlv = replace(self.dlv, epoch=self.dlv.epoch + 1)
        for call in export_calls(self.dlv, DPVS, initiators, self.secrets):
            assert isinstance(call.body, LegsWish)
            self.dpvs[call.host].put(call.body)

    def attach(self) -> VolumeWish:
        epoch = self.dlv.epoch
        self.ihost.put(withdrawal_of_volume(self.dlv.id, epoch, epoch, self.dlv.set_epoch))
        change = attach(self.dlv, "ihost", {leg.id for leg in self.dlv.legs})
        self.dlv = change.dlv
        self.assemblies = {each.mirror: each for each in change.assemblies}
        return volume_wish(self.dlv, change.assemblies, DPVS, self.secrets)

    def shrink(self, wish: VolumeWish, lost: Collection[str]) -> VolumeWish:
        self.asked += 1
        if not self.is_open:
            raise UnavailableError("the record cannot be reached")
        assert wish.epoch == self.dlv.epoch
        change = shrink(self.dlv, "ihost", wish.epoch, lost)
        return self._change(change.dlv, change.assemblies)

    def grow(self, wish: VolumeWish, copied: Collection[str]) -> VolumeWish:
        return self._change(grow(self.dlv, "ihost", wish.epoch, copied).dlv, ())

    def readmit(self, leg: str) -> VolumeWish:
        change = readmit(self.dlv, "ihost", self.dlv.epoch, leg, noted=True)
        return self._change(change.dlv, change.assemblies)

    def _change(self, dlv: Dlv, assemblies: Collection[Assembly]) -> VolumeWish:
        kept = {key: replace(each, bits="kept") for key, each in self.assemblies.items()}
        self.dlv, self.assemblies = dlv, kept | {each.mirror: each for each in assemblies}
        return volume_wish(self.dlv, [self.assemblies[key] for key in kept], DPVS, self.secrets)

    def detach(self, epoch: int) -> VolumeWish:
        assert self.dlv.attachment is not None
        return withdrawal_of_volume(self.dlv.id, epoch, self.dlv.attachment.epoch, self.dlv.set_epoch)

    def remove_all(self) -> None:
        for dpv in self.dpvs.values():
            dpv.put(withdrawal_of_legs(self.dlv.id, self.dlv.epoch + 9, self.dlv.set_epoch))


@dataclass
class Writer:
    """A thread that writes numbered blocks, each durable, until it is stopped.

    :ivar acknowledged: the number of each block; :ivar count: of acknowledgements, :ivar errors: that ended it.
    """

    path: str
    acknowledged: dict[int, int] = field(default_factory=dict)
    count: int = 0
    errors: list[OSError] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a write neither ended nor failed in a minute"

    def wait_for(self, count: int) -> None:
        """Until so many more are acknowledged."""
        wanted, end = self.count + count, time.monotonic() + 60
        while self.count < wanted:
            assert time.monotonic() < end, f"{self.count} of {wanted} in a minute"
            assert not self.errors
            time.sleep(0.01)

    def _write(self) -> None:
        buffer = aligned_buffer(BLOCK)
        handle = os.open(self.path, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC)
        try:
            while not self.stop.is_set():
                block = (self.count * 17) % (SIZE // BLOCK)
                buffer.view(np.uint64)[:] = self.count + 1
                os.pwrite(handle, buffer.data, block * BLOCK)
                self.count += 1
                self.acknowledged[block] = self.count
        except OSError as error:
            self.errors.append(error)
        finally:
            os.close(handle)


def find_missing(path: str, acknowledged: dict[int, int]) -> list[int]:
    """The blocks that are older than what was acknowledged."""
    buffer = aligned_buffer(BLOCK)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        missing = []
        for block, number in acknowledged.items():
            os.preadv(handle, [buffer.data], block * BLOCK)
            if int(buffer.view(np.uint64)[0]) < number:
                missing.append(block)
        return missing
    finally:
        os.close(handle)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    name_this_host()
    with ExitStack() as stack:
        disks = {}
        for name in DPVS:
            file = tmp_path / f"{name}.disk"
            with file.open("wb") as made:
                made.truncate(96 << 20)
            disks[name] = stack.enter_context(loop.hold(str(file))).path
        dm = stack.enter_context(KernelDeviceMapper())
        yield Cluster(tmp_path, disks, dm)


def test_nothing_acknowledged_is_lost_with_a_dpv(cluster: Cluster) -> None:
    cluster.export([HOST])
    wish = cluster.attach()
    seen = cluster.ihost.put(wish)
    assert [each.health for each in seen.mirrors] == ["AA", "AA"]
    watcher = Watcher(cluster.ihost, Devices(cluster.dm), cluster)
    stop = threading.Event()
    watching = threading.Thread(target=watcher.run, args=(stop,), daemon=True)
    watching.start()
    cluster.is_open = False
    with Writer(seen.device) as writer:
        writer.wait_for(200)
        for leg in ("leg-0b", "leg-1b"):
            cluster.lio.enable_target(target_name(leg), enabled=False)
        lost = time.monotonic()
        while not cluster.asked:
            assert time.monotonic() < lost + 30, "no mirror told of it"
            time.sleep(0.02)
        held = writer.count
        time.sleep(2)
        check_metrics(cluster, held, is_held=True)
        assert writer.count == held, "a write was acknowledged while the smaller set was not recorded"
        cluster.is_open = True
        writer.wait_for(200)
    assert writer.errors == []
    assert not {"leg-1b"} & {leg.id for leg in cluster.dlv.legs if leg.in_sync}
    stop.set()
    watching.join(30)
    check_metrics(cluster, writer.count, is_held=False)
    assert find_missing(seen.device, writer.acknowledged) == []
    assert cluster.ihost.look(cluster.dlv.id).epoch == cluster.dlv.epoch
    check_return(cluster, seen.device)
    check_detach(cluster)


def test_what_is_held_back_fails_when_the_attachment_was_ended_without_the_host(cluster: Cluster) -> None:
    """It was shut out and the volume given up: what its mirrors hold must not go through when it is let in again."""
    cluster.export([HOST])
    seen = cluster.ihost.put(cluster.attach())
    with Writer(seen.device) as writer:
        writer.wait_for(50)
        cluster.export([])
        await_held(cluster)
        held = writer.count
        epoch = cluster.dlv.epoch + 1
        nothing = withdrawal_of_volume(cluster.dlv.id, epoch, epoch, cluster.dlv.set_epoch)
        end, why = time.monotonic() + 60, BusyError("")
        while any(each.name.startswith("drystone-dlv-") for each in cluster.dm.list_devices()):
            assert time.monotonic() < end, f"its devices are not given up: {why}, {writer.errors}"
            try:
                cluster.ihost.put(nothing)
            except BusyError as error:  # until the writer has seen its error and closed it
                why = error
    assert [error.errno for error in writer.errors] == [errno.EIO]
    assert writer.count == held
    cluster.ihost.put(nothing)
    assert OpenIscsi().sessions() == []
    legs = [cluster.dm.info(f"drystone-leg-{leg}").number for leg in cluster.secrets]
    written = [count_writes(leg) for leg in legs]
    cluster.export([HOST])
    time.sleep(2)  # whatever would log in by itself, and write what was held
    assert [count_writes(leg) for leg in legs] == written
    cluster.remove_all()
    assert cluster.dm.list_devices() == []


def check_metrics(cluster: Cluster, writes: int, *, is_held: bool) -> None:
    """Every layer has counted the writes that were acknowledged, and tells so also while a mirror holds writes."""
    counts = {(layer.kind, layer.part): found for layer, found in cluster.meters.read()}
    layers = [("final", "volume"), ("thin", "thin0"), ("data", "data"), ("mirror", "g1.s0")]
    for layer in layers:
        found = counts[layer]
        assert found.writes >= writes, (layer, found, writes)
        assert sum(found.slower) == found.reads + found.writes
        assert 0 < found.write_seconds / found.writes < 10, (layer, found)
    means = [counts[layer].write_seconds / counts[layer].writes for layer in layers]
    assert means[0] >= means[-1] * 0.9, f"a layer is faster than what it is on: {means}"
    assert {("metadata", "metadata"), ("mirror", "g0.s0")} <= counts.keys()
    text = measure_ihost(cluster.ihost, cluster.meters).decode()
    failed = sum(
        float(line.split()[-1]) for line in text.splitlines() if line.startswith("drystone_mirror_failed_legs{")
    )
    assert (failed > 0) is is_held, text
    assert 'drystone_layer_writes_total{dlv="db",layer="leg",part="leg-1a"}' in text
    text = measure_dpv(cluster.dpvs["dpv0"], Devices(cluster.dm)).decode()
    assert 'layer="slice",part="leg-1a"} ' in text


def await_held(cluster: Cluster) -> None:
    """Until a mirror holds its writes."""
    end = time.monotonic() + 60
    while not any("D" in each.health or "F" in each.health for each in cluster.ihost.look(cluster.dlv.id).mirrors):
        assert time.monotonic() < end, "no mirror told of it"
        time.sleep(0.1)


def check_return(cluster: Cluster, device: str) -> None:
    """The legs come back, are caught up by the log that was kept, and the larger set is recorded."""
    for leg in ("leg-0b", "leg-1b"):
        cluster.lio.enable_target(target_name(leg))
    cluster.restart()
    cluster.ihost.recover()
    watcher = Watcher(cluster.ihost, Devices(cluster.dm), cluster)
    with Writer(device) as writer:
        writer.wait_for(100)
        for leg in [leg.id for leg in cluster.dlv.legs if not leg.in_sync]:
            cluster.ihost.put(cluster.readmit(leg))
        writer.wait_for(100)
        end = time.monotonic() + 60
        while not all(leg.in_sync for leg in cluster.dlv.legs):
            assert time.monotonic() < end, cluster.ihost.look(cluster.dlv.id).mirrors
            watcher.look()
            time.sleep(0.1)
    assert writer.errors == []
    seen = cluster.ihost.look(cluster.dlv.id)
    assert [(each.health, each.in_sync) for each in seen.mirrors] == [("AA", each.regions) for each in seen.mirrors]
    assert find_missing(device, writer.acknowledged) == []


def check_detach(cluster: Cluster) -> None:
    """Both sides are given up, and nothing is left."""
    cluster.ihost.put(cluster.detach(cluster.dlv.epoch + 1))
    assert OpenIscsi().sessions() == []
    cluster.remove_all()
    assert cluster.dm.list_devices() == []
    assert cluster.lio.targets() == []
    assert cluster.lio.backstores() == []

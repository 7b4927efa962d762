"""A clone on a real kernel, over mirrored legs by iSCSI: used and copied while its source is written to, and through
two ends of its ihost.

One guest is all hosts. An ihost that ends is one whose mirrors fail all at once, under everything that stands on them:
nothing is flushed, no notes are written, and what the legs have then is all there is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, UnavailableError
from drystone.cluster.agents.answers import CloneSeen, VolumeSeen
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.dpv import DpvAgent
from drystone.cluster.agents.ihost import IhostAgent
from drystone.cluster.agents.logs import RamLogs
from drystone.cluster.agents.slices import Slices
from drystone.cluster.model.calls import LegsWish, export_calls, volume_wish, withdrawal_of_volume
from drystone.cluster.model.cloning import MESSAGES, complete, groups_of, settle
from drystone.cluster.model.dlv import Dlv, Leg, Snapshot, Source
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.in_sync import Assembly, attach, detach, detach_fenced
from drystone.cluster.model.layout import first_groups
from drystone.dvm.state import State
from drystone.kernel import loop
from drystone.kernel.blockdev import aligned_buffer
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.iscsi.abc import Timeouts
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.iscsi.names import Portal
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.testing.iscsi_leg import BLOCK, HOST, name_this_host

from .test_agents import Writer, find_missing

pytestmark = pytest.mark.lab(memory="384M")

SIZE = 16 << 20
REGION = 65536
DPVS = {
    name: Dpv(name=name, address="127.0.0.1:7001", portal=f"127.0.0.1:{3261 + at}", extents=22)
    for at, name in enumerate(("dpv0", "dpv1"))
}


def make_dlv(name: str, source: Source | None = None) -> Dlv:
    """With two copies; a clone of `source` where one is given."""
    # The source has room for its snapshot too.
    groups = groups_of(SIZE, SIZE, 1, 128) if source else first_groups(SIZE, 2 * SIZE, 1, 128)
    legs = tuple(
        Leg(id=f"{name}-{group.number}{'ab'[place]}", group=group.number, stripe=0, place=place, dpv=f"dpv{place}",
            extents=group.extents)
        for group in groups
        for place in range(2)
    )  # fmt: skip
    dlv = Dlv(
        id=str(uuid4()), name=name, dvg="g", size=SIZE, initial_size=SIZE, mirrors=2, stripes=1, chunk=128, block=128,
        groups=groups, legs=legs, source=source,
    )  # fmt: skip
    return replace(dlv, messages=MESSAGES) if source else dlv


class Cluster:
    """The agents, and what the record would say: a dlv by its name, and how its mirrors stand."""

    def __init__(self, folder: Path, disks: dict[str, str], dm: KernelDeviceMapper) -> None:
        self.dm = dm
        self.dlvs: dict[str, Dlv] = {}
        self.assemblies: dict[str, tuple[Assembly, ...]] = {}
        self.dpvs = {}
        for name, disk in disks.items():
            slices = Slices(disk)
            slices.format(uuid4())
            portals = [Portal.parse(DPVS[name].portal)]
            self.dpvs[name] = DpvAgent(folder / name, slices, Devices(dm), ConfigfsLio(), portals)
        timeouts, logs = Timeouts(replacement=2, login=5), RamLogs(Path("/run/drystone-logs"))
        self.ihost = IhostAgent(folder / "ihost", Devices(dm), OpenIscsi(), logs, timeouts=timeouts)

    def record(self, dlv: Dlv) -> Dlv:
        """What is recorded of a dlv from now on, in an epoch of its own."""
        self.dlvs[dlv.name] = replace(dlv, epoch=dlv.epoch + 1)
        return self.dlvs[dlv.name]

    def export(self, name: str, initiators: Collection[str]) -> None:
        dlv = self.record(self.dlvs[name])
        for call in export_calls(dlv, DPVS, initiators, _secrets(dlv)):
            assert isinstance(call.body, LegsWish)
            self.dpvs[call.host].put(call.body)

    def attach(self, name: str) -> VolumeSeen:
        self.export(name, [HOST])
        dlv = self.dlvs[name]
        self.ihost.put(withdrawal_of_volume(dlv.id, dlv.epoch, dlv.epoch, dlv.set_epoch))
        change = attach(self.dlvs[name], "ihost", {leg.id for leg in self.dlvs[name].legs})
        self.dlvs[name], self.assemblies[name] = change.dlv, change.assemblies
        return self.put(name)

    def put(self, name: str) -> VolumeSeen:
        """The ihost has the dlv as it is recorded."""
        dlv = self.dlvs[name]
        found = self.ihost.put(volume_wish(dlv, self.assemblies[name], DPVS, _secrets(dlv)))
        self.assemblies[name] = tuple(replace(each, bits="kept") for each in self.assemblies[name])
        return found

    def detach(self, name: str) -> None:
        dlv = self.record(self.dlvs[name])
        assert dlv.attachment is not None
        self.ihost.put(withdrawal_of_volume(dlv.id, dlv.epoch, dlv.attachment.epoch, dlv.set_epoch))
        self.dlvs[name] = detach(dlv, "ihost", dlv.epoch).dlv

    def end(self, *names: str) -> None:
        """The ihost is gone with these, and what it held back; in this order it gives up their devices."""
        for name in names:
            self.export(name, [])
            dlv = self.dlvs[name]
            if dlv.attachment is not None:
                self.dlvs[name] = dlv = detach_fenced(dlv, {leg.id for leg in dlv.legs}).dlv
            self.ihost.put(withdrawal_of_volume(dlv.id, dlv.epoch, dlv.epoch, dlv.set_epoch))

    def seen(self, name: str) -> CloneSeen:
        found = self.ihost.look(self.dlvs[name].id).clone
        assert found is not None
        return found


def _secrets(dlv: Dlv) -> dict[str, str]:
    return {leg.id: f"the-secret-of-{leg.id}" for leg in dlv.legs}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    name_this_host()
    with ExitStack() as stack:
        disks = {}
        for name, dpv in DPVS.items():
            file = tmp_path / f"{name}.disk"
            with file.open("wb") as made:
                made.truncate(dpv.extents * EXTENT)
            disks[name] = stack.enter_context(loop.hold(str(file))).path
        dm = stack.enter_context(KernelDeviceMapper())
        yield Cluster(tmp_path, disks, dm)


def read(path: str) -> np.ndarray:
    """All 64-bit words of a device, past the page cache."""
    buffer = aligned_buffer(SIZE)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        assert os.preadv(handle, [buffer.data], 0) == SIZE
    finally:
        os.close(handle)
    return buffer.view(np.uint64).copy()


def write(path: str, content: np.ndarray, offset: int = 0) -> None:
    """Durable when it returns."""
    buffer = aligned_buffer(content.nbytes)
    buffer.view(np.uint64)[:] = content
    handle = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC)
    try:
        assert os.pwrite(handle, buffer.data, offset) == content.nbytes
    finally:
        os.close(handle)


def test_a_clone_is_used_and_copied_while_its_source_is_written_to_and_its_ihost_ends_twice(cluster: Cluster) -> None:
    cluster.dlvs["old"] = make_dlv("old")
    old = cluster.attach("old").device
    # The second half was never written to: it reads as zeros, in the copy too.
    content = np.random.default_rng(1).integers(1, 1 << 60, SIZE // 8, dtype=np.uint64)
    content[content.size // 2 :] = 0
    write(old, content[: content.size // 2])
    snapshot = Snapshot(id="s", name="s1", thin_id=1, size=SIZE, status="creating", opened=True, temporary=True)
    told = replace(cluster.dlvs["old"], snapshots=(snapshot,), messages=("create_snap 1 0",), transaction_id=2)
    cluster.record(told)
    cluster.put("old")
    source = f"drystone-dlv-old:thin{snapshot.thin_id}"
    assert cluster.dm.info(source).read_only
    with Writer(old) as writer:
        writer.wait_for(50)
        new = begin_copying(cluster, source)
        assert (read(new) == content).all(), "what is not copied yet is the source's snapshot"
        content = change(new, content)
        writer.wait_for(50)
    assert writer.errors == []
    assert 0 < cluster.seen("new").copied < SIZE // REGION
    with pytest.raises(BusyError, match="thin1 is open"):
        cluster.end("old")
    cluster.end("new", "old")
    with pytest.raises(UnavailableError, match="snapshot 1 of dlv"):
        cluster.attach("new")
    cluster.end("new")
    old = cluster.attach("old").device
    assert find_missing(old, writer.acknowledged) == []
    new = cluster.attach("new").device
    assert (read(new) == content).all(), "what was written to the clone is there, and the rest is the source's"
    content = change(new, content, seed=3)
    await_copied(cluster)
    # It is recorded that all is there, and the ihost ends before it is told: what it called durable has to be.
    cluster.record(complete(cluster.dlvs["new"]))
    cluster.end("new", "old")
    cluster.dlvs["new"] = settle(cluster.dlvs["new"])
    new = cluster.attach("new").device
    assert (read(new) == content).all()
    check_end(cluster)


def begin_copying(cluster: Cluster, source: str) -> str:
    """Have the clone put together, with a part of it copied; its device."""
    place = Source(dlv=cluster.dlvs["old"].id, name="old", snapshot="s", thin_id=1)
    cluster.dlvs["new"] = make_dlv("new", place)
    # While the snapshot stands still a few regions are on their way, and no more.
    cluster.dm.suspend(source, no_flush=True, lock_fs=False)
    try:
        new = cluster.attach("new").device
        cluster.dm.message("drystone-dlv-new:clone", "disable_hydration")
    finally:
        cluster.dm.resume(source)
    end = time.monotonic() + 30
    while not cluster.seen("new").copied:
        assert time.monotonic() < end, "nothing is copied"
        time.sleep(0.05)
    return new


def change(device: str, content: np.ndarray, seed: int = 2) -> np.ndarray:
    """Write to a part of every eighth region, and over the whole of every ninth; what is on the device then."""
    words, after = REGION // 8, content.copy()
    chance = np.random.default_rng(seed)
    for region in range(SIZE // REGION):
        count = BLOCK // 8 if region % 8 == 0 else words if region % 9 == 0 else 0
        if count:
            at = region * words
            after[at : at + count] = chance.integers(1, 1 << 60, count, dtype=np.uint64)
            write(device, after[at : at + count], at * 8)
    return after


def await_copied(cluster: Cluster) -> None:
    """Until the ihost says that all is there, and durable."""
    end = time.monotonic() + 60
    while not (found := cluster.seen("new")).is_durable:
        assert time.monotonic() < end, found
        time.sleep(0.1)
    assert found == CloneSeen(SIZE // REGION, SIZE // REGION, REGION, True)


def check_end(cluster: Cluster) -> None:
    """The clone needs nothing of its source; both go, and nothing is left."""
    names = {each.name for each in cluster.dm.list_devices()}
    assert not {"drystone-dlv-new:clone", "drystone-dlv-new:thin16777215", "drystone-dlv-old"} & names
    pool = cluster.ihost.look(cluster.dlvs["new"].id).pool
    assert pool is not None
    assert pool.transaction_id == 2
    cluster.detach("new")
    for dlv in cluster.dlvs.values():
        for dpv in cluster.dpvs.values():
            dpv.put(LegsWish(dlv.id, dlv.epoch + 9, (), State(), dlv.set_epoch))
    assert OpenIscsi().sessions() == []
    assert cluster.dm.list_devices() == []

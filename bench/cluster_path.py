"""The data path of a distributed volume against a hand-built raid1 over iSCSI legs of the same kind.

    drystone lab run --memory 1G -- .venv/bin/python bench/cluster_path.py [--rounds 20] [--seconds 2]

One boot, one kernel: two dpv agents with a disk each (loop devices on a tmpfs) export the legs, by LIO, to this host
over loopback. Ours is the final device of a dlv as the agents put it together (iSCSI legs, mirrors with their logs,
pool, thin device); the peer's is device-mapper's raid1 over two legs of its own. All extents are written beforehand.
fio writes 4 KiB at random places past the cache, at queue depths 1 and 16, one variant after the other, in an order
that is turned in every round; a ratio is of the two of one round.

Prints a JSON list as bench/run.py describes it: I/Os a second (ratio above 1: we are faster), and microseconds of
processor time of the whole machine an I/O (below 1: we need less). "spread" is a bootstrap interval of the median
ratio, 95 of 100. DRBD is not among the peers: its tools are not in the packages that the tests install.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from drystone.base.sizes import SECTOR
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.dpv import DpvAgent
from drystone.cluster.agents.ihost import IhostAgent
from drystone.cluster.agents.legs import LUN, chap_of
from drystone.cluster.agents.logs import RamLogs
from drystone.cluster.agents.slices import Slices
from drystone.cluster.model.calls import LegsWish, VolumeWish, export_calls, target_name, volume_wish
from drystone.cluster.model.dlv import Dlv, Group, Leg
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.in_sync import attach
from drystone.dvm.state import State
from drystone.kernel import loop
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node
from drystone.kernel.iscsi.abc import await_disk
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.iscsi.names import Portal
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.testing.iscsi_leg import HOST, name_this_host

SIZE = 32 << 20
"""Bytes of each variant that are written to."""
DEPTHS = (1, 16)
DPVS = {
    name: Dpv(name=name, address="127.0.0.1:7001", portal=f"127.0.0.1:{3261 + at}", extents=30)
    for at, name in enumerate(("dpv0", "dpv1"))
}
_TICK = 10_000
"""Microseconds of a tick of /proc/stat."""


class Sample(NamedTuple):
    """Of one run of fio. :ivar rate: I/Os a second. :ivar cost: microseconds of processor time an I/O."""

    rate: float
    cost: float


def make_dlv(name: str) -> Dlv:
    """Two copies, one stripe."""
    groups = (
        Group(number=0, role="metadata", stripes=1, extents=1),
        Group(number=1, role="data", stripes=1, extents=SIZE // (4 << 20)),
    )
    legs = tuple(
        Leg(id=f"{name}-{group.number}{place}", group=group.number, stripe=0, place=place, dpv=f"dpv{place}",
            extents=group.extents)
        for group in groups
        for place in range(2)
    )  # fmt: skip
    return Dlv(
        id=str(uuid4()), name=name, dvg="g", size=SIZE, initial_size=SIZE, mirrors=2, stripes=1, chunk=128, block=128,
        groups=groups, legs=legs,
    )  # fmt: skip


class Bench:
    """Two dpvs and an ihost in this kernel."""

    def __init__(self, folder: Path, disks: dict[str, str], dm: KernelDeviceMapper) -> None:
        self._dm = dm
        self._ihost = IhostAgent(folder / "ihost", Devices(dm), OpenIscsi(), RamLogs(Path("/run/bench-logs")))
        self._dpvs = {}
        for name, disk in disks.items():
            slices = Slices(disk)
            slices.format(uuid4())
            portals = [Portal.parse(DPVS[name].portal)]
            self._dpvs[name] = DpvAgent(folder / name, slices, Devices(dm), ConfigfsLio(), portals)

    def _export(self, dlv: Dlv) -> dict[str, str]:
        """Have the legs, with this host let in; their secrets."""
        secrets = {leg.id: f"the-secret-of-{leg.id}" for leg in dlv.legs}
        for call in export_calls(dlv, DPVS, [HOST], secrets):
            assert isinstance(call.body, LegsWish)
            self._dpvs[call.host].put(call.body)
        return secrets

    def ours(self) -> str:
        """The final device of a dlv."""
        dlv = make_dlv("bench")
        secrets = self._export(dlv)
        self._ihost.put(VolumeWish(dlv.id, dlv.epoch, dlv.epoch, (), (), State()))  # every attachment begins so
        change = attach(dlv, "ihost", {leg.id for leg in dlv.legs})
        return self._ihost.put(volume_wish(change.dlv, change.assemblies, DPVS, secrets)).device

    def raid1(self) -> str:
        """device-mapper's raid1 over two legs, as one would build it by hand; alike from the beginning."""
        dlv = make_dlv("peer")
        secrets, initiator, numbers = self._export(dlv), OpenIscsi(), []
        for leg in (each for each in dlv.legs if each.group == 1):
            portal = Portal.parse(DPVS[leg.dpv].portal)
            initiator.login(target_name(leg.id), portal, chap=chap_of(leg.id, secrets[leg.id]))
            numbers.append(await_disk(initiator, target_name(leg.id), portal, LUN).number)
        self._dm.create("raid1")
        legs = " ".join(f"- {number}" for number in numbers)
        self._dm.load("raid1", [TableLine(0, SIZE // SECTOR, "raid", f"raid1 2 0 nosync 2 {legs}")])
        return make_node("raid1", self._dm.resume("raid1").number)


def processor_ticks() -> int:
    """That this machine has worked since it started, idle time and waiting left out."""
    words = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(words) - words[3] - words[4]


def write_all(path: str) -> None:
    """Every extent once."""
    command = ["fio", "--name=fill", f"--filename={path}", "--rw=write", "--bs=1M", f"--size={SIZE}", "--direct=1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure(path: str, depth: int, seconds: float) -> Sample:
    """One run of fio."""
    before = processor_ticks()
    done = subprocess.run(
        ["fio", "--name=run", f"--filename={path}", "--rw=randwrite", "--bs=4k", f"--size={SIZE}", "--direct=1",
         "--ioengine=libaio", f"--iodepth={depth}", "--time_based", f"--runtime={seconds}", "--output-format=json"],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    ticks = processor_ticks() - before
    found = json.loads(done.stdout[done.stdout.index(b"{") :])["jobs"][0]["write"]
    return Sample(found["iops"], ticks * _TICK / max(1, found["total_ios"]))


def interval(ratios: list[float], draws: int = 2000) -> list[float]:
    """Where the median of such ratios lies, 95 times of 100, by drawing from them again and again."""
    choose = random.Random(1)
    medians = sorted(statistics.median(choose.choices(ratios, k=len(ratios))) for _ in range(draws))
    return [medians[draws // 40], medians[-draws // 40]]


def row(name: str, unit: str, pairs: list[tuple[float, float]]) -> dict[str, object]:
    """One measurement for bench/run.py."""
    ratios = [ours / theirs for ours, theirs in pairs]
    return {
        "name": name,
        "unit": unit,
        "ours_s": statistics.median(ours for ours, _ in pairs),
        "peer": "raid1 over the same legs",
        "peer_s": statistics.median(theirs for _, theirs in pairs),
        "ratio": statistics.median(ratios),
        "spread": interval(ratios),
        "rounds": len(pairs),
    }


def compare(paths: tuple[str, str], rounds: int, seconds: float) -> list[dict[str, object]]:
    """All rows. The first round is not counted."""
    found: dict[int, list[tuple[Sample, Sample]]] = {depth: [] for depth in DEPTHS}
    for number in range(rounds + 1):
        for depth in DEPTHS:
            order = (0, 1) if number % 2 else (1, 0)
            samples = {at: measure(paths[at], depth, seconds) for at in order}
            if number:
                found[depth].append((samples[0], samples[1]))
        print(f"cluster_path: round {number} of {rounds}", file=sys.stderr, flush=True)
    rows = []
    for depth, pairs in found.items():
        what = f"dlv, 4 KiB random writes at depth {depth}"
        rows.append(row(what, "IO/s", [(ours.rate, theirs.rate) for ours, theirs in pairs]))
        rows.append(row(f"{what}, processor time", "us/IO", [(ours.cost, theirs.cost) for ours, theirs in pairs]))
    return rows


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    name_this_host()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        disks = {}
        for each in DPVS:
            file = folder / f"{each}.disk"
            with file.open("wb") as made:
                made.truncate(128 << 20)
            disks[each] = stack.enter_context(loop.hold(str(file))).path
        bench = Bench(folder, disks, stack.enter_context(KernelDeviceMapper()))
        paths = bench.ours(), bench.raid1()
        for path in paths:
            write_all(path)
        print(json.dumps(compare(paths, options.rounds, options.seconds), indent=2), flush=True)
        stack.pop_all()  # the guest ends with this program, and its devices with it


if __name__ == "__main__":
    main()

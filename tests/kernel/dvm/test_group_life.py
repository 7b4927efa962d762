"""A volume group on the real kernel: its volumes hold what was written to them, whatever is done to the group.

A raid set is never changed or removed before it is idle: stopping one as its sync begins can bring Linux 6.1 down
(docs/decisions/0009-lab.md).
"""

from __future__ import annotations

import ctypes
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.dvm.discovery.devices import GroupDevice, Span
from drystone.dvm.dmactivate import activate as compile_program
from drystone.dvm.dmexec import execute
from drystone.dvm.groups.group import Group, device_name, uuid_prefix, visible
from drystone.dvm.groups.kinds import Snapshot, ThinPool
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.devices import drop_device, new_group
from drystone.dvm.metadata.edit import seeded_ids
from drystone.dvm.metadata.layers import cache, crypt, era, uncache, unera
from drystone.dvm.metadata.move import begin, finish
from drystone.dvm.metadata.names import rename
from drystone.dvm.metadata.raid import mirror, repair, settled, unmirror
from drystone.dvm.metadata.remove import remove
from drystone.dvm.metadata.size import extend, reduce
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import thin, thin_pool
from drystone.dvm.reports.live import copied, moved_volumes, observe
from drystone.dvm.reports.report import Subject, report
from drystone.dvm.state import State, resolve_paths, with_uuid
from drystone.dvm.state import observe as observe_state
from drystone.dvm.volactivate import activate, blanking, blanks
from drystone.kernel import loop
from drystone.kernel.blockdev import device_number, device_path, open_device
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.statuses import RaidStatus

pytestmark = pytest.mark.lab(memory="768M")

MIB = 1 << 20
DISKS = 5
DISK_SIZE = 66 * MIB


class Host:
    """Loop devices, the kernel's device-mapper, and a group that is active on them."""

    def __init__(self, dm: KernelDeviceMapper, paths: list[str]) -> None:
        self.dm = dm
        self.ids = seeded_ids("host")
        self.paths = {f"disk{at}": path for at, path in enumerate(paths)}
        found = [GroupDevice(uuid, path, DISK_SIZE, regions=(Span(1, 257),)) for uuid, path in self.paths.items()]
        self.group = new_group("vg", found, self.ids, extent_size=MIB)
        self.written: dict[str, bytes] = {}

    def go(self, group: Group) -> None:
        """Bring the kernel to the group, and look whether everything that was written is still there."""
        self.settle()
        zeros = blanking(blanks(self.group, group, self.paths))
        assert execute(zeros, self.dm).outcome == "done"
        self.reach(activate(group, self.paths).state)
        self.group = group
        self.settle()
        self.verify()

    def reach(self, state: State) -> None:
        wanted = resolve_paths(state, device_number)
        current = observe_state(self.dm, with_uuid(uuid_prefix(self.group)))
        result = execute(compile_program(current, wanted), self.dm)
        assert result.outcome == "done", result
        again = observe_state(self.dm, with_uuid(uuid_prefix(self.group)))
        assert compile_program(again, wanted).is_empty

    def settle(self) -> None:
        """Wait until nothing is being copied."""
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            targets = [target for device in observe(self.dm, self.group).devices for target in device.targets]
            pairs = [pair for target in targets if (pair := copied(target)) is not None]
            parsed = [target.parsed() for target in targets]
            idle = all(each.action == "idle" for each in parsed if isinstance(each, RaidStatus))
            if idle and all(done == whole for done, whole in pairs):
                return
            time.sleep(0.2)
        raise AssertionError("it is still copying")

    def path(self, name: str) -> str:
        return device_path(self.dm.info(device_name(self.group.name, name)).number)

    def write(self, name: str) -> None:
        """Fill a volume, or what is new of it."""
        uuid = next(volume.uuid for volume in self.group.volumes if volume.name == name)
        before = self.written.get(uuid, b"")
        with open_device(self.path(name), write=True) as device:
            more = random.Random(f"{uuid}{len(before)}").randbytes(min(device.size, 16 * MIB) - len(before))
            device.pwrite(len(before), more)
            device.flush()
        self.written[uuid] = before + more

    def verify(self) -> None:
        for volume in visible(self.group):
            if volume.uuid in self.written and not isinstance(volume, ThinPool):
                with open_device(self.path(volume.name)) as device:
                    assert device.size == volume.size
                    expected = self.written[volume.uuid][: volume.size]
                    assert device.pread(0, len(expected)) == expected, volume.name

    def keep(self, copy: str, origin: str) -> None:
        """A snapshot holds what its origin held."""
        by_name = {volume.name: volume.uuid for volume in self.group.volumes}
        self.written[by_name[copy]] = self.written[by_name[origin]]

    def close(self) -> None:
        self.settle()
        self.reach(State())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    paths = []
    for at in range(DISKS):
        file = tmp_path / f"disk{at}"
        file.touch()
        with file.open("r+b") as handle:
            # Noise where records and data will begin: what is not zeroed is found out.
            for offset in range(0, DISK_SIZE, MIB):
                handle.seek(offset)
                handle.write(b"noise!!!" * 2048)
            handle.truncate(DISK_SIZE)
        paths.append(loop.attach(str(file)).path)
    with KernelDeviceMapper() as dm:
        made = Host(dm, paths)
        yield made
        made.close()
    for path in paths:
        loop.detach(path)


def test_volumes_keep_their_data_through_all_changes_of_the_group(host: Host) -> None:
    host.go(create(host.group, Wish("lin", 6 * MIB), host.ids))
    host.go(create(host.group, Wish("two", 6 * MIB, 2), host.ids, "striped"))
    host.go(create(host.group, Wish("safe", 6 * MIB), host.ids, "raid1"))
    for name in ("lin", "two", "safe"):
        host.write(name)
    for name in ("lin", "two", "safe"):
        host.go(extend(host.group, name, by=2 * MIB, policy="spread" if name == "lin" else "anywhere"))
        host.write(name)
    host.go(rename(host.group, "lin", "line"))
    host.go(reduce(host.group, "line", size=6 * MIB, lose_data=True))
    host.go(mirror(host.group, "line", host.ids))
    host.go(unmirror(host.group, "line", keep=1))
    host.go(begin(host.group, "disk0"))
    host.go(finish(host.group, moved_volumes(host.group, observe(host.dm, host.group))))
    host.go(drop_device(host.group, "disk0"))
    host.go(remove(host.group, ["line", "two", "safe"]))
    assert host.dm.list_devices() == []


def test_thin_volumes_and_snapshots(host: Host) -> None:
    host.go(thin_pool(host.group, "pool", 24 * MIB, host.ids))
    host.go(thin(host.group, "pool", ["t1", "t2"], 64 * MIB, host.ids))
    host.write("t1")
    host.go(snapshot(host.group, "t1", "s1", host.ids))
    host.keep("s1", "t1")
    host.go(extend(host.group, "pool", by=8 * MIB))
    host.go(extend(host.group, "t2", by=8 * MIB))
    host.go(remove(host.group, ["t1"]))
    host.go(create(host.group, Wish("lin", 4 * MIB), host.ids))
    host.write("lin")
    host.go(snapshot(host.group, "lin", "classic", host.ids, size=6 * MIB))
    assert isinstance(next(each for each in host.group.volumes if each.name == "classic"), Snapshot)
    host.keep("classic", "lin")
    with open_device(host.path("lin"), write=True) as device:
        device.pwrite(0, b"new" * 4096 + bytes(4096))
        device.flush()
    lin = next(volume.uuid for volume in host.group.volumes if volume.name == "lin")
    host.written[lin] = b"new" * 4096 + bytes(4096) + host.written[lin][16384:]
    host.verify()
    rows = report(Subject(host.group, host.paths, observe(host.dm, host.group)), ("lvs",)).lvs
    assert rows is not None
    percents = {row.name: row.live.data_percent for row in rows if row.live is not None}
    assert percents["s1"] == 25.0
    assert 0 < (percents["classic"] or 0) < 20
    host.go(snapshot(host.group, "lin", "second", host.ids, size=6 * MIB))
    host.keep("second", "lin")
    with open_device(host.path("lin"), write=True) as device:
        device.pwrite(MIB, bytes(65536))
        device.flush()
    host.written[lin] = host.written[lin][:MIB] + bytes(65536) + host.written[lin][MIB + 65536 :]
    host.verify()
    host.reach(State())
    host.reach(activate(host.group, host.paths).state)
    host.verify()
    host.go(remove(host.group, ["classic"]))
    host.go(remove(host.group, ["second"]))


def test_after_a_restart_pools_are_woken_one_after_the_other(host: Host) -> None:
    for pool, name in (("p1", "t1"), ("p2", "t2")):
        host.go(thin_pool(host.group, pool, 8 * MIB, host.ids))
        host.go(thin(host.group, pool, [name], 4 * MIB, host.ids))
        host.write(name)
    host.go(create(host.group, Wish("equal", 4 * MIB, nosync=True), host.ids, "raid1"))
    host.write("equal")
    host.reach(State())
    for pools in (0, 1, 2):
        host.reach(activate(host.group, host.paths, pools=pools).state)
    host.verify()


def test_layers(host: Host) -> None:
    host.go(create(host.group, Wish("db", 6 * MIB), host.ids))
    host.write("db")
    host.go(era(host.group, "db", host.ids))
    host.go(cache(host.group, "db", 4 * MIB, host.ids, devices=["disk3"]))
    host.go(extend(host.group, "db", by=2 * MIB))
    host.write("db")
    host.go(uncache(host.group, "db"))
    host.go(unera(host.group, "db"))


def add_key(description: str, key: bytes) -> None:
    """Put a key into the user's keyring, where the kernel's dm-crypt looks for it (add_key(2), x86-64)."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    assert call(248, b"logon", description.encode(), key, len(key), -4) > 0, ctypes.get_errno()


def test_encryption(host: Host) -> None:
    add_key("drystone:db", bytes(range(64)))
    host.go(create(host.group, Wish("db", 4 * MIB), host.ids))
    host.go(crypt(host.group, "db", "logon:drystone:db", host.ids, lose_data=True))
    host.write("db")
    host.go(extend(host.group, "db", by=2 * MIB))
    host.write("db")
    host.verify()
    (secret,) = host.written.values()
    with open_device(host.path("db:base")) as device:
        assert device.pread(0, 4096) not in {secret[:4096], bytes(4096)}


@pytest.mark.parametrize("kind", ["raid1", "raid5", "raid6", "raid10"])
def test_a_raid_set_goes_on_without_a_leg_and_gets_another(host: Host, kind: str) -> None:
    host.go(create(host.group, Wish("db", 6 * MIB), host.ids, kind))
    host.write("db")
    host.go(extend(host.group, "db", by=2 * MIB))
    host.write("db")
    host.go(reduce(host.group, "db", by=2 * MIB, lose_data=True))
    host.go(extend(host.group, "db", by=4 * MIB))
    host.written[host.group.volumes[0].uuid] = host.written[host.group.volumes[0].uuid][: 6 * MIB]
    host.write("db")
    host.reach(State())
    lost = host.paths.pop("disk1")
    activation = activate(host.group, host.paths)
    assert [each.missing for each in activation.degraded] == [("disk1",)]
    host.reach(activation.state)
    host.verify()
    host.go(repair(host.group, "db", ["disk1"], host.ids))
    host.go(settled(host.group, "db"))
    host.paths["disk1"] = lost

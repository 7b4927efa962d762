"""A volume service over a simulated machine, which can be killed and started again."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from drystone.base.names import new_uuid
from drystone.testing.volume_host import DATA, METADATA, PatientClock, SimulatedHost
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.driver import Setting, Volume, Wish
from drystone.volumes.drivers.devicemapper import DeviceMapperDriver
from drystone.volumes.drivers.pool_options import read_options
from drystone.volumes.service import VolumeService

BLOCK = 64 << 10
OPTIONS = {
    "dm.datadev": DATA,
    "dm.metadatadev": METADATA,
    "dm.thinpoolblocksize": "128",
    "dm.defaultvolumesize": "1m",
}


class MortalCatalogue(Catalogue):
    """A catalogue whose process can be killed before a transaction and before its commit."""

    host: SimulatedHost

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        self.host.step("begin")
        with super()._write() as connection:
            yield connection
            self.host.step("commit")


class World:
    """Host, catalogue and service; `start` is a start of the daemon."""

    def __init__(self, folder: Path, host: SimulatedHost | None = None, **options: str) -> None:
        self.folder = folder
        self.host = host or SimulatedHost()
        self.options = {**OPTIONS, **options}
        self.service: VolumeService
        self.catalogue: MortalCatalogue

    def start(self) -> VolumeService:
        clock = PatientClock()
        self.catalogue = MortalCatalogue(self.folder / "catalogue.db", clock)
        self.catalogue.host = self.host
        self.catalogue.open()
        setting = Setting(self.folder, self.folder / "mounts", self.options, clock, self.catalogue)
        driver = DeviceMapperDriver(setting, read_options(self.options), self.host)
        mounts = self.folder / "mounts"
        self.service = VolumeService(self.folder, mounts, self.catalogue, {"devicemapper": driver}, clock)
        self.service.start()
        return self.service

    def restart(self, *, reboot: bool = False) -> VolumeService:
        """The process is gone; another one starts."""
        self.catalogue.close()
        self.host.revive(reboot=reboot)
        return self.start()

    def create(self, name: str, size: int | None = None) -> Volume:
        return self.service.create(Wish(new_uuid(), name, size))

    def names(self) -> tuple[tuple[tuple[str, str, tuple[str, ...]], ...], tuple[str, ...]]:
        """Volumes with their contents and those who have them mounted, and snapshots, as anybody sees them."""
        listed = self.catalogue.list_volumes()
        holders = self.catalogue.list_holders
        volumes = tuple((each.name, each.facts["DevID"], tuple(holders(each.uuid))) for each in listed)
        return volumes, tuple(each.name for each in self.catalogue.list_snapshots())

    def check(self) -> None:
        """Catalogue, pool, devices, nodes and mounts agree, and nothing is half done."""
        volumes, snapshots = self.catalogue.list_volumes(), self.catalogue.list_snapshots()
        ids = {int(each.facts["DevID"]) for each in volumes} | {int(each.facts["DevID"]) for each in snapshots}
        kernel = self.host.kernel
        devices = {entry.name: kernel.info(entry.name) for entry in kernel.list_devices()}
        assert self.catalogue.list_operations() == []
        assert set(devices) == {"convoy-pool", *(f"convoy-pool-{each.uuid}" for each in volumes)}
        assert not any(each.suspended or each.inactive_table for each in devices.values())
        for each in volumes:
            assert kernel.table(f"convoy-pool-{each.uuid}")[0].params.split()[1] == each.facts["DevID"]
        assert self.host.nodes == {name: each.number for name, each in devices.items()}
        assert self.host.thin_ids() == ids
        record = self.catalogue.get_pool("convoy-pool")
        assert record is not None
        assert record.transaction_id == self.host.transaction_id()
        assert all(record.next_device > each for each in self.host.thin_ids())
        wanted = {each.mount_point: devices[f"convoy-pool-{each.uuid}"].number for each in volumes if each.mount_point}
        assert {each.target: each.number for each in self.host.mounted} == wanted
        assert all(bool(self.catalogue.list_holders(each.uuid)) == bool(each.mount_point) for each in volumes)

# ruff: noqa: ARG002  # the parameters are those of the Protocol, needed here or not
"""Driver `devicemapper`: thin volumes and snapshots in a pool over two block devices.

Volumes stay active while the daemon runs and after it. Their file systems are made by mkfs at creation and found out
by looking at mount, so a restored volume keeps its own.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from drystone.backup.thin_source import ThinMap
from drystone.base.errors import BusyError, DamagedError, KernelError, UnavailableError, UnsupportedError, UsageError
from drystone.base.sizes import SECTOR, format_size
from drystone.dvm.describe import describe
from drystone.dvm.program import Program
from drystone.kernel.mounts import Mount
from drystone.volumes.abilities import PoolGrowth, PoolReport
from drystone.volumes.driver import Change, Fill, Finding, Known, Plan, Preview, Setting, Snapshot, Volume, Wish
from drystone.volumes.drivers.adoption import adopt
from drystone.volumes.drivers.host import BLOCK, Host, RealHost, mapper_path
from drystone.volumes.drivers.pool_findings import find
from drystone.volumes.drivers.pool_options import FILE_SYSTEMS, KNOWN, NAME, PoolOptions, check_size, read_options
from drystone.volumes.drivers.pool_room import FAILED, judge
from drystone.volumes.drivers.thin_pool import ThinDevice, ThinPool, snapshot_messages
from drystone.volumes.locks import VolumeLocks

if TYPE_CHECKING:
    from drystone.backup.ranges import Ranges
    from drystone.backup.source import Source

_RENEWING = "renewing-"


class DeviceMapperDriver:
    """See the module."""

    name = NAME

    def __init__(self, setting: Setting, options: PoolOptions, host: Host) -> None:
        self._setting = setting
        self._options = options
        self._host = host
        self._pool: ThinPool | None = None
        self._reading = VolumeLocks()

    def start(self, volumes: Sequence[Volume]) -> None:
        options = self._options
        metadata, data = self._host.find_device(options.metadata), self._host.find_device(options.data)
        self._unmount_renewing()
        record = adopt(self._host, self._setting.pools, options, metadata, data, has_volumes=bool(volumes))
        pool = ThinPool(self._host, self._setting.pools, record)
        pool.bring_up(metadata.number, data.number, [_device(each) for each in volumes])
        self._pool = pool

    def stop(self) -> None:
        self._host.close()

    def info(self) -> dict[str, str]:
        pool = self._started()
        return {
            "Driver": NAME,
            "Root": str(self._setting.root),
            "DataDevice": self._options.data,
            "MetadataDevice": self._options.metadata,
            "ThinpoolDevice": mapper_path(pool.name),
            "ThinpoolSize": str(pool.size),
            "ThinpoolBlockSize": str(pool.block_bytes),
            "DefaultVolumeSize": str(self._options.default_size),
        }

    def plan_volume(self, wish: Wish) -> Plan:
        for flag, value in (("--id", wish.identity), ("--type", wish.kind), ("--iops", wish.iops), ("--vm", wish.vm)):
            if value:
                raise UsageError(f"driver {NAME} has no {flag}")
        pool = self._started()
        size = self._options.default_size if wish.size is None else wish.size
        check_size(size, pool.block_bytes)
        if size < FILE_SYSTEMS[self._options.file_system]:
            least = format_size(FILE_SYSTEMS[self._options.file_system])
            raise UsageError(
                f"size {size} is too small for {self._options.file_system}", hint=f"it wants {least} or more"
            )
        pool.check_room()
        return Plan(size, {"DevID": str(pool.new_id())})

    def create_volume(self, volume: Volume, fill: Fill | None) -> None:
        path = self._started().create(_device(volume))
        if fill is None:
            self._host.make_filesystem(self._options.file_system, path)
        else:
            fill(Path(path))

    def delete_volume(self, volume: Volume, *, keep_data: bool = False) -> None:
        if keep_data:
            raise _cannot_forget()
        self._unmount_renewing(volume.uuid)
        self.check_not_mounted(volume)
        self._started().delete(volume.uuid, int(volume.facts["DevID"]))

    def check_not_mounted(self, volume: Volume) -> None:
        for mount in self._mounts_of(volume):
            raise BusyError(f"volume {volume.name} is mounted at {mount.target}", hint="unmount it first")

    def withdraw(self, volume: Volume) -> None:
        self._unmount_renewing(volume.uuid)
        self.check_not_mounted(volume)
        self._started().deactivate(volume.uuid)

    def bring_back(self, volume: Volume) -> None:
        self._started().activate(_device(volume))

    def volume_info(self, volume: Volume) -> dict[str, str]:
        return {
            "DevID": volume.facts["DevID"],
            "Device": mapper_path(f"{self._options.name}-{volume.uuid}"),
            "MountPoint": volume.mount_point,
            "Size": str(volume.size),
        }

    def mount(self, volume: Volume, mount_point: str) -> str:
        target = self._target(volume, mount_point)
        if self.is_mounted(volume, target):
            return target
        other = self._top_mount(target)
        if other is not None:
            raise BusyError(f"{other.source} is mounted at {target}", hint="name another mount point")
        path = mapper_path(f"{self._options.name}-{volume.uuid}")
        kind = self._host.probe(path)
        if kind not in FILE_SYSTEMS:
            found = f"holds {kind}" if kind else "holds nothing that is known"
            raise DamagedError(
                f"volume {volume.name} cannot be mounted: it {found}", hint=f"make a file system on {path}"
            )
        self._host.mount(path, target, kind)
        return target

    def umount(self, volume: Volume) -> None:
        if not self.is_mounted(volume, volume.mount_point):
            return
        top = self._top_mount(volume.mount_point)
        if top is not None and top.number != self._started().number_of(volume.uuid):
            raise BusyError(f"{top.source} is mounted over it at {volume.mount_point}", hint="unmount that first")
        self._host.unmount(volume.mount_point)
        if Path(volume.mount_point).parent == self._setting.mounts:
            with contextlib.suppress(OSError):  # the folder is a convenience; what keeps it is no reason to fail
                Path(volume.mount_point).rmdir()

    def is_mounted(self, volume: Volume, mount_point: str) -> bool:
        target = self._target(volume, mount_point)
        return any(each.target == target for each in self._mounts_of(volume))

    def plan_snapshot(self, volume: Volume, uuid: str) -> dict[str, str]:
        pool = self._started()
        pool.check_room()
        return {"DevID": str(pool.new_id())}

    def create_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        self.create_snapshots([(volume, snapshot)])

    def delete_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        self._started().delete(snapshot.uuid, int(snapshot.facts["DevID"]))

    def snapshot_info(self, volume: Volume, snapshot: Snapshot) -> dict[str, str]:
        return {"DevID": snapshot.facts["DevID"], "Size": str(snapshot.size)}

    @contextlib.contextmanager
    def read_snapshot(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Source]:
        pool = self._started()
        device = _snapshot_device(snapshot)
        older = int(base.facts["DevID"]) if base else None
        with self._reading.hold(snapshot.uuid), pool.active(device) as path, contextlib.ExitStack() as stack:
            with pool.reserved() as held_root:
                thin_map = ThinMap(self._options.metadata, held_root, device.dev_id, older)
                source = stack.enter_context(self._host.read_thin(path, thin_map))
            yield source

    def can_read_delta(self) -> bool:
        return True

    def create_snapshots(self, pairs: Sequence[tuple[Volume, Snapshot]]) -> None:
        self._started().snapshot(_taken(pairs))

    def preview_snapshots(self, pairs: Sequence[tuple[Volume, Snapshot]]) -> Preview:
        keep = [volume.uuid for volume, _ in pairs]
        return _show(self._started().compile(snapshot_messages(_taken(pairs)), keep=keep))

    # Clones: see abilities.py

    def plan_clone(self, wish: Wish, volume: Volume, snapshot: Snapshot, *, renew: bool) -> Plan:
        pool = self._started()
        pool.check_room()
        return Plan(snapshot.size, {"DevID": str(pool.new_id())})

    def create_clone(self, clone: Volume, snapshot: Snapshot, *, renew: bool) -> None:
        path = self._started().copy(_device(clone), _snapshot_device(snapshot))
        if renew:
            self._host.renew_filesystem(path, str(self._renewing(clone.uuid)))

    def preview_clone(self, clone: Volume, snapshot: Snapshot, *, renew: bool) -> Preview:
        pool = self._started()
        messages = snapshot_messages([(_snapshot_device(snapshot), int(clone.facts["DevID"]))])
        program = pool.compile(messages, add=(_device(clone),), keep=(snapshot.uuid,))
        path = mapper_path(pool.device_name(clone.uuid))
        return _show(program, *([f"then: the file system on {path} gets a new UUID"] if renew else []))

    # Going back: see abilities.py

    def plan_roll_back(self, volume: Volume, snapshot: Snapshot) -> Plan:
        pool = self._started()
        self.check_not_mounted(volume)
        if pool.is_open(volume.uuid):
            raise BusyError(
                f"volume {volume.name} is in use: {mapper_path(pool.device_name(volume.uuid))} is open",
                hint="see who has it open",
            )
        pool.check_room()
        return Plan(snapshot.size, {**volume.facts, "DevID": str(pool.new_id())})

    def roll_back(self, volume: Volume, after: Volume, snapshot: Snapshot) -> None:
        self._started().copy(_device(after), _snapshot_device(snapshot))

    def discard(self, gone: Volume, kept: Volume) -> None:
        if gone.facts["DevID"] != kept.facts["DevID"]:
            self._started().replace(int(gone.facts["DevID"]), _device(kept))

    def measure_loss(self, volume: Volume, snapshot: Snapshot) -> int | None:
        pool = self._started()
        path = mapper_path(pool.device_name(volume.uuid))
        with pool.reserved() as held_root, contextlib.ExitStack() as stack:
            ids = int(volume.facts["DevID"]), int(snapshot.facts["DevID"])
            thin_map = ThinMap(self._options.metadata, held_root, *ids)
            source = stack.enter_context(self._host.read_thin(path, thin_map))
            return int(source.extents()[:, 1].sum())

    def preview_roll_back(self, volume: Volume, after: Volume, snapshot: Snapshot) -> Preview:
        messages = snapshot_messages([(_snapshot_device(snapshot), int(after.facts["DevID"]))])
        program = self._started().compile(messages, add=(_device(after),), keep=(snapshot.uuid,))
        return _show(program, f"then: thin device {volume.facts['DevID']} is deleted")

    def preview(self, change: Change) -> Preview:
        pool, volume = self._started(), change.volume
        path = mapper_path(pool.device_name(volume.uuid))
        match change.action:
            case "create":
                program = pool.compile((f"create_thin {volume.facts['DevID']}",), add=(_device(volume),))
                rest = "the backup's content is written to" if change.restored else f"mkfs.{self._options.file_system}"
                return _show(program, f"then: {rest} {path}")
            case "delete":
                program = pool.compile((f"delete {volume.facts['DevID']}",), remove=(volume.uuid,))
                return _show(program)
            case "forget":
                raise _cannot_forget()
            case "snapshot-create":
                assert change.snapshot is not None
                return self.preview_snapshots([(volume, change.snapshot)])
            case "snapshot-delete":
                assert change.snapshot is not None
                text = f"delete {change.snapshot.facts['DevID']}"
                return _show(pool.compile((text,), remove=(change.snapshot.uuid,)))
            case "mount":
                return Preview("", (f"no program: mount {path} {self._target(volume, change.mount_point)}",))
            case _:
                return Preview("", (f"no program: umount {volume.mount_point}",))

    def examine(self, known: Callable[[], Known]) -> list[Finding]:
        return list(find(self._started(), self._host, self._options.metadata, known))

    def check_resize(self, volume: Volume, *, filesystem: bool) -> None:
        pool = self._started()
        check_size(volume.size, pool.block_bytes)
        pool.check_room()
        if filesystem:
            self._growable(volume)

    def preview_resize(self, volume: Volume, *, filesystem: bool) -> Preview:
        program = self._started().compile((), add=(_device(volume),))
        path = mapper_path(f"{self._options.name}-{volume.uuid}")
        return _show(program, *([f"then: the {self._growable(volume)} on {path} grows"] if filesystem else []))

    def resize_volume(self, volume: Volume) -> None:
        self._started().resize(_device(volume))

    def grow_filesystem(self, volume: Volume) -> None:
        """By its own program, mounted: that is atomic by its journal, and the other way is not."""
        kind = self._growable(volume)
        path = mapper_path(f"{self._options.name}-{volume.uuid}")
        own = str(self._setting.root.resolve() / "growing" / volume.uuid)  # as the kernel lists it
        mounts = self._mounts_of(volume)
        if not mounts:
            self._host.mount(path, own, kind)
        try:
            self._host.grow_filesystem(kind, path, mounts[0].target if mounts else own)
        finally:
            # Left over from a growth that was cut short, or made now.
            if any(each.target == own for each in self._mounts_of(volume)):
                self._host.unmount(own)
                with contextlib.suppress(OSError):  # the folder is a convenience
                    Path(own).rmdir()

    def trim_volume(self, volume: Volume) -> int:
        target = self._target(volume, volume.mount_point)
        top = self._top_mount(target)
        if top is None or top.number != self._started().number_of(volume.uuid):
            there = f"{top.source} is" if top else "nothing is"
            raise BusyError(
                f"volume {volume.name} cannot be trimmed: {there} mounted at {target}", hint="mount it again"
            )
        return self._host.trim(target)

    def list_mapped(self, volume: Volume, base: Snapshot | None) -> Ranges:
        older = int(base.facts["DevID"]) if base else None
        with self._started().reserved() as held_root:
            thin_map = ThinMap(self._options.metadata, held_root, int(volume.facts["DevID"]), older)
            return self._host.list_mapped(thin_map)

    def _growable(self, volume: Volume) -> str:
        """The kind of file system on a volume. :raises UnsupportedError: it cannot be grown here."""
        kind = self._host.probe(mapper_path(f"{self._options.name}-{volume.uuid}"))
        if kind not in FILE_SYSTEMS:
            found = f"holds {kind}" if kind else "holds nothing that is known"
            raise UnsupportedError(
                f"volume {volume.name} {found}, which cannot be grown here",
                hint="--no-filesystem makes the volume larger, and leaves what is on it to you",
            )
        return kind

    def pool_report(self) -> PoolReport:
        pool = self._started()
        try:
            status = pool.look()
        except DamagedError as error:
            return PoolReport(pool.name, NAME, FAILED, error.message)
        room = judge(status)
        used, total = status.used_data * pool.block_bytes, status.total_data * pool.block_bytes
        metadata = (status.used_metadata * BLOCK, status.total_metadata * BLOCK)
        return PoolReport(pool.name, NAME, room.state, room.text, used, total, *metadata)

    def preview_extension(self) -> Preview:
        _, program = self._started().plan_extension(*self._device_sizes())
        return _show(program)

    def extend_pool(self) -> PoolGrowth:
        done = self._started().extend(*self._device_sizes())
        return PoolGrowth(
            done.after.name,
            NAME,
            done.before.data_sectors * SECTOR,
            done.after.data_sectors * SECTOR,
            done.metadata_before * BLOCK,
            done.metadata_after * BLOCK,
        )

    def _device_sizes(self) -> tuple[int, int]:
        """Bytes of the data and of the metadata device, as they are now."""
        return self._host.find_device(self._options.data).size, self._host.find_device(self._options.metadata).size

    def _started(self) -> ThinPool:
        if self._pool is None:
            raise UnavailableError(f"driver {NAME} has not started")
        return self._pool

    def _target(self, volume: Volume, mount_point: str) -> str:
        """Where to mount, without symlinks: the kernel's list of mounts has none."""
        return str(Path(mount_point or self._setting.mounts / volume.uuid).resolve())

    def _renewing(self, key: str) -> Path:
        """Where the clone of this UUID is mounted for a moment, when its file system must be for a new UUID."""
        return self._setting.root.resolve() / f"{_RENEWING}{key}"

    def _unmount_renewing(self, key: str = "") -> None:
        """End what was killed while a clone's file system got a new UUID; of one clone, or of all."""
        for mount in self._host.list_mounts():
            place = Path(mount.target)
            if place == self._renewing(key) or (not key and place.match(str(self._renewing("*")))):
                self._host.unmount(mount.target)
                with contextlib.suppress(OSError):  # somebody's file in it is no reason to fail
                    place.rmdir()

    def _top_mount(self, target: str) -> Mount | None:
        """What is seen at a place: the mount that a later one on the same place hides is not."""
        found = [each for each in self._host.list_mounts() if each.target == target]
        return found[-1] if found else None

    def _mounts_of(self, volume: Volume) -> list[Mount]:
        """Where the volume is mounted; nowhere when its device is not active."""
        try:
            number = self._started().number_of(volume.uuid)
        except KernelError as error:
            if error.errno == errno.ENXIO:
                return []
            raise
        return [each for each in self._host.list_mounts() if each.number == number]


def _show(program: Program, *after: str) -> Preview:
    """A program before it runs, in words and as its document; `after` tells what is done after it, in words."""
    words = (line.strip() for line in describe(program))
    return Preview("", (*words, *after), msgspec.to_builtins(program))


def _device(volume: Volume) -> ThinDevice:
    return ThinDevice(volume.uuid, int(volume.facts["DevID"]), volume.size // SECTOR)


def _snapshot_device(snapshot: Snapshot) -> ThinDevice:
    return ThinDevice(snapshot.uuid, int(snapshot.facts["DevID"]), snapshot.size // SECTOR, read_only=True)


def _taken(pairs: Sequence[tuple[Volume, Snapshot]]) -> list[tuple[ThinDevice, int]]:
    return [(_device(volume), int(snapshot.facts["DevID"])) for volume, snapshot in pairs]


def _cannot_forget() -> UnsupportedError:
    return UnsupportedError(
        f"driver {NAME} cannot forget a volume and keep its data", hint="delete it without --reference (--keep-data)"
    )


class Factory:
    """Makes the driver out of its options, which are checked here; the devices are looked at when it starts."""

    prefix = "dm"
    known = KNOWN

    def make(self, setting: Setting) -> DeviceMapperDriver:
        return DeviceMapperDriver(setting, read_options(setting.options), RealHost())


FACTORY = Factory()

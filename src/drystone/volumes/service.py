"""The volume service: names, order and journal around the drivers. No HTTP here and no kernel.

What changes a volume holds that volume's lock; what only looks takes none and reads the catalogue's last committed
state. An operation is in the journal before its first effect and struck out with its result.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drystone.base.clock import Clock
from drystone.base.errors import BusyError, DrystoneError, NotFoundError, RefusedError, UnavailableError, UsageError
from drystone.base.names import check_name, find_by_reference, new_uuid
from drystone.volumes.abilities import SeesMounts, Withdraws
from drystone.volumes.catalogue import Catalogue, Operation
from drystone.volumes.documents import snapshot_document, volume_document
from drystone.volumes.driver import Driver, Fill, Snapshot, Volume, Wish
from drystone.volumes.locks import Uses, VolumeLocks
from drystone.volumes.reconcile import reconcile, remount
from drystone.volumes.resizing import find_resizer, grow_filesystem, plan_resize

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a new volume is restored from: the driver and size (bytes) it must have, and who writes its content."""

    driver: str
    size: int
    facts: Mapping[str, str]
    fill: Fill


@dataclass(frozen=True, slots=True)
class Reading:
    """A snapshot that is read for a backup, and the older one to compare it with, if there is one."""

    driver: Driver
    volume: Volume
    snapshot: Snapshot
    base: Snapshot | None


class VolumeService:
    """Volumes and snapshots over a catalogue and some drivers.

    :param drivers: by name; the first is the default.
    """

    def __init__(
        self, root: Path, mounts: Path, catalogue: Catalogue, drivers: Mapping[str, Driver], clock: Clock
    ) -> None:
        self.root = root
        self.mounts = mounts
        self.catalogue = catalogue
        self.drivers = dict(drivers)
        self.clock = clock
        self.locks = VolumeLocks()
        self.uses = Uses()

    def start(self) -> None:
        """Bring up every driver, end what a crash cut short, mount what was mounted.

        :raises DrystoneError: a driver refuses. Nothing is served then: volumes that are missing behind a daemon that
            looks well are found out late, and starting without the driver is a word on the command line.
        """
        # Of a volume whose deletion was cut short there may be anything left; it is not brought up, only ended.
        going = {each.volume.uuid for each in self.catalogue.list_operations() if each.action == "delete"}
        volumes = [each for each in self.catalogue.list_volumes() if each.uuid not in going]
        for name, driver in self.drivers.items():
            try:
                driver.start([each for each in volumes if each.driver == name])
            except DrystoneError:
                log.error("driver %s refuses to start, so the daemon does not start", name)  # noqa: TRY400  # the error itself is printed by the command
                raise
        reconcile(self.catalogue, self.drivers)
        remount(self.catalogue, self.drivers)

    def stop(self) -> None:
        """Let go of handles; volumes stay mounted."""
        for driver in self.drivers.values():
            driver.stop()
        self.catalogue.close()

    # Looking: no locks

    def info(self) -> dict[str, dict[str, object]]:
        """General, and a section a driver."""
        general: dict[str, object] = {
            "Root": str(self.root),
            "DriverList": list(self.drivers),
            "DefaultDriver": next(iter(self.drivers)),
            "MountsDir": str(self.mounts),
        }
        sections: dict[str, dict[str, object]] = {"General": general}
        for name, driver in self.drivers.items():
            sections[name] = dict(driver.info())
        return sections

    def list_volumes(self, driver: str = "") -> dict[str, dict[str, object]]:
        """Volume objects by UUID. :raises UsageError: no such driver here."""
        if driver and driver not in self.drivers:
            raise UsageError(f"this daemon runs no driver {driver!r}", hint="it runs " + ", ".join(self.drivers))
        by_volume: dict[str, list[Snapshot]] = {}
        for snapshot in self.catalogue.list_snapshots():
            by_volume.setdefault(snapshot.volume, []).append(snapshot)
        return {
            volume.uuid: self._describe(volume, by_volume.get(volume.uuid, []))
            for volume in self.catalogue.list_volumes()
            if driver in {"", volume.driver}
        }

    def inspect(self, reference: str) -> dict[str, object]:
        """A volume object."""
        volume = self.find_volume(reference)
        return self._describe(volume, self.catalogue.list_snapshots(volume.uuid))

    def inspect_snapshot(self, reference: str) -> dict[str, object]:
        """A snapshot object."""
        snapshot = self.find_snapshot(reference)
        volume = self.catalogue.get_volume(snapshot.volume)
        return snapshot_document(volume, snapshot, self._snapshot_info(volume, snapshot))

    def find_volume(self, reference: str) -> Volume:
        """By UUID, name, or an unambiguous beginning of a UUID."""
        volumes = {each.uuid: each for each in self.catalogue.list_volumes()}
        return volumes[find_by_reference(reference, ((each.uuid, each.name) for each in volumes.values()), "volume")]

    def get_named(self, name: str) -> Volume:
        """The volume of exactly that name. :raises NotFoundError: there is none."""
        for volume in self.catalogue.list_volumes():
            if volume.name == name:
                return volume
        raise NotFoundError(f"there is no volume {name!r}")

    def list_left(self) -> list[Operation]:
        """Operations of the journal that nobody is at any more: their undoing failed."""
        left = []
        for operation in self.catalogue.list_operations():
            # Whoever is at one has the lock of its volume, from before it is in the journal until it is out of it.
            with self.locks.try_hold(operation.volume.uuid) as is_free:
                if is_free and operation.id in {each.id for each in self.catalogue.list_operations()}:
                    left.append(operation)
        return left

    def find_snapshot(self, reference: str) -> Snapshot:
        """By UUID, name, or an unambiguous beginning of a UUID."""
        snapshots = {each.uuid: each for each in self.catalogue.list_snapshots()}
        pairs = ((each.uuid, each.name) for each in snapshots.values())
        return snapshots[find_by_reference(reference, pairs, "snapshot")]

    def find_uuid(self, reference: str) -> str:
        """The UUID of the volume or snapshot that is meant."""
        pairs = [(each.uuid, each.name) for each in self.catalogue.list_volumes()]
        pairs += [(each.uuid, each.name) for each in self.catalogue.list_snapshots()]
        return find_by_reference(reference, pairs, "volume or snapshot")

    def driver_info(self, volume: Volume) -> dict[str, str]:
        """What its driver says of a volume; nothing when that does not run."""
        driver = self.drivers.get(volume.driver)
        return driver.volume_info(volume) if driver else {}

    def driver_of(self, name: str) -> Driver:
        """:raises UnavailableError: the daemon was started without it."""
        driver = self.drivers.get(name)
        if driver is None:
            raise UnavailableError(f"driver {name!r} does not run here", hint=f"start the daemon with --drivers {name}")
        return driver

    # Volumes

    def plan(self, wish: Wish, driver_name: str, origin: Origin | None) -> Volume:
        """The volume that a wish comes to. :raises DrystoneError: it cannot be; nothing was changed."""
        name = check_name(wish.name or f"volume-{wish.uuid[:8]}", "volume name")
        if origin is not None:
            wish = _restored_wish(wish, driver_name, origin)
            driver_name = origin.driver
        driver_name = driver_name or next(iter(self.drivers))
        if driver_name not in self.drivers:
            raise UsageError(f"this daemon runs no driver {driver_name!r}", hint="it runs " + ", ".join(self.drivers))
        self.catalogue.check_volume_name(name)
        plan = self.drivers[driver_name].plan_volume(replace(wish, name=name))
        return Volume(wish.uuid, name, driver_name, plan.size, self.now(), "", plan.facts)

    def create(self, wish: Wish, driver_name: str = "", origin: Origin | None = None) -> Volume:
        """Make a volume, empty or restored. :raises ExistsError: the name is taken."""
        volume = self.plan(wish, driver_name, origin)
        driver = self.drivers[volume.driver]
        with self.locks.hold(volume.uuid):
            operation = self.catalogue.begin_create(volume)
            with self.undone(operation, lambda: driver.delete_volume(volume)):
                driver.create_volume(volume, origin.fill if origin else None)
                self.catalogue.finish_create(operation)
        log.info("created volume %s (%s)", volume.name, volume.uuid)
        return volume

    def delete(self, reference: str, *, keep_data: bool = False, refuse_snapshots: bool = False) -> None:
        """Delete a volume with its snapshots.

        :param keep_data: only forget it, where the driver can.
        :raises BusyError: it is mounted, or a snapshot is being read. :raises RefusedError: it has snapshots, and
            `refuse_snapshots`.
        """
        with self.locks.hold(self.find_volume(reference).uuid):
            volume = self.find_volume(reference)
            driver = self.driver_of(volume.driver)
            snapshots = self.catalogue.list_snapshots(volume.uuid)
            self.check_deletable(volume, snapshots, refuse_snapshots=refuse_snapshots)
            if keep_data:
                # What an operation left would be ended later, and what it is about removed then.
                self.catalogue.check_idle(volume)
                driver.delete_volume(volume, keep_data=True)
                self.catalogue.forget_volume(volume)
                return
            if snapshots:
                self._delete_snapshots(driver, volume, snapshots)
            operation = self.catalogue.begin_delete(volume)
            with self.undone(operation):
                driver.delete_volume(volume)
            self.catalogue.finish_delete(operation)
        log.info("deleted volume %s (%s)", volume.name, volume.uuid)

    def mount(self, reference: str, mount_point: str = "", *, holder: str = "") -> Volume:
        """Mount a volume, durably for a holder; mounted there already is fine.

        :param holder: who wants it; "" for whoever asks by hand. :raises BusyError: it is mounted elsewhere.
        """
        check_mount_point(mount_point)
        with self.locks.hold(self.find_volume(reference).uuid):
            volume = self.find_volume(reference)
            driver = self.driver_of(volume.driver)
            if is_mounted(driver, volume, mount_point):
                self.catalogue.add_holder(volume, holder)
                return volume
            self.catalogue.check_content(volume)
            operation = self.catalogue.begin_mount(replace(volume, mount_point=mount_point), holder)
            with self.undone(operation):
                place = driver.mount(volume, mount_point)
            # A failure from here on leaves it mounted; mounting again, or the next start, writes that down.
            self.catalogue.finish_mount(operation, place)
            return replace(volume, mount_point=place)

    def umount(self, reference: str, *, force: bool = False) -> None:
        """Unmount a volume for everybody.

        :param force: also from under containers that have it. :raises UsageError: it is not mounted.
        :raises BusyError: somebody is in it, or containers have it.
        """
        with self.locks.hold(self.find_volume(reference).uuid):
            volume = self.find_volume(reference)
            if not force:
                self.check_umountable(volume)
            check_mounted(volume)
            self.driver_of(volume.driver).umount(volume)
            self.catalogue.set_umounted(volume)

    def release(self, reference: str, holder: str | None) -> None:
        """A container does not want a volume mounted any more: it is unmounted if nobody else does.

        One that does not hold it is told nothing: its request may come twice.

        :param holder: None: no container does. :raises BusyError: somebody is in it.
        """
        with self.locks.hold(self.find_volume(reference).uuid):
            volume = self.find_volume(reference)
            holders = self.catalogue.list_holders(volume.uuid)
            going = {each for each in holders if each and holder in {None, each}}
            if going and going.issuperset(holders):
                driver = self.driver_of(volume.driver)
                if driver.is_mounted(volume, volume.mount_point):
                    driver.umount(volume)
                self.catalogue.set_umounted(volume)
            elif going:
                self.catalogue.drop_holders(volume, going)

    def resize(self, reference: str, size: int | None, *, filesystem: bool = True) -> Volume:
        """Make a volume larger, and with `filesystem` what is on it; see resizing.py. Durable when it returns.

        :raises RefusedError: it would become smaller. :raises UnsupportedError: its driver cannot.
        """
        with self.locks.hold(self.find_volume(reference).uuid):
            volume = self.find_volume(reference)
            driver = self.driver_of(volume.driver)
            self.catalogue.check_idle(volume)
            larger = plan_resize(driver, volume, size, filesystem=filesystem)
            operation = self.catalogue.begin_resize(larger, filesystem=filesystem)
            with self.undone(operation, lambda: self.catalogue.set_size(volume)):
                find_resizer(driver).resize_volume(larger)
            grow_filesystem(self.catalogue, driver, operation)
        log.info("volume %s (%s) has %d bytes now", volume.name, volume.uuid, larger.size)
        return larger

    # Snapshots

    def plan_snapshot(self, reference: str, name: str) -> tuple[Volume, Snapshot]:
        """The snapshot that is asked for; nothing is changed."""
        volume = self.find_volume(reference)
        uuid = new_uuid()
        name = check_name(name or f"snapshot-{uuid[:8]}", "snapshot name")
        self.catalogue.check_snapshot_name(name)
        self.catalogue.check_content(volume)
        facts = self.driver_of(volume.driver).plan_snapshot(volume, uuid)
        return volume, Snapshot(uuid, name, volume.uuid, self.now(), volume.size, facts)

    def create_snapshot(self, reference: str, name: str = "", *, schedule: str = "") -> Snapshot:
        """Take a snapshot.

        :param schedule: UUID of the schedule that asks for it. :raises ExistsError: the name is taken.
        """
        with self.locks.hold(self.find_volume(reference).uuid):
            volume, planned = self.plan_snapshot(reference, name)
            snapshot = replace(planned, schedule=schedule)
            driver = self.driver_of(volume.driver)
            operation = self.catalogue.begin_create_snapshot(volume, snapshot)
            with self.undone(operation, lambda: driver.delete_snapshot(volume, snapshot)):
                driver.create_snapshot(volume, snapshot)
                self.catalogue.finish_create_snapshot(operation)
        return snapshot

    def delete_snapshot(self, reference: str) -> None:
        """Delete a snapshot. :raises BusyError: a backup or clone reads it."""
        volume = self.find_snapshot(reference).volume
        with self.locks.hold(volume):
            snapshot = self.find_snapshot(reference)
            self.uses.check_free(snapshot.uuid, f"snapshot {snapshot.name}")
            holder = self.catalogue.get_volume(snapshot.volume)
            self._delete_snapshot(self.driver_of(holder.driver), holder, snapshot)

    @contextlib.contextmanager
    def reading(self, reference: str, backed_up: Sequence[str]) -> Iterator[Reading]:
        """Keep a snapshot, and the one it is compared with, from being deleted while they are read.

        :param backed_up: UUIDs of snapshots that the destination has, the one to prefer first; the first that is still
            here, and has the same size, is the base, where the driver can tell what differs.
        """
        with contextlib.ExitStack() as kept:
            # Under the lock, so that no deletion has begun when they are counted as in use.
            with self.locks.hold(self.find_snapshot(reference).volume):
                snapshot = self.find_snapshot(reference)
                volume = self.catalogue.get_volume(snapshot.volume)
                driver = self.driver_of(volume.driver)
                here = {each.uuid: each for each in self.catalogue.list_snapshots(volume.uuid)}
                del here[snapshot.uuid]
                base = choose_base(driver, list(here.values()), backed_up, snapshot.size)
                kept.enter_context(self.uses.using(*(each.uuid for each in (snapshot, base) if each)))
            yield Reading(driver, volume, snapshot, base)

    # Underneath

    def now(self) -> str:
        """The moment, as the catalogue has it: ISO 8601 with offset, whole seconds."""
        return self.clock.now().isoformat(timespec="seconds")

    def _describe(self, volume: Volume, snapshots: list[Snapshot]) -> dict[str, object]:
        return volume_document(
            volume, self.driver_info(volume), [(each, self._snapshot_info(volume, each)) for each in snapshots]
        )

    def _snapshot_info(self, volume: Volume, snapshot: Snapshot) -> dict[str, str]:
        driver = self.drivers.get(volume.driver)
        return driver.snapshot_info(volume, snapshot) if driver else {}

    def check_deletable(self, volume: Volume, snapshots: list[Snapshot], *, refuse_snapshots: bool) -> None:
        """:raises BusyError: it is mounted, or a snapshot is read. :raises RefusedError: it has snapshots."""
        if volume.mount_point:
            raise BusyError(f"volume {volume.name} is mounted at {volume.mount_point}", hint="unmount it first")
        if snapshots and refuse_snapshots:
            raise RefusedError(
                f"volume {volume.name} has snapshots, which would go with it: "
                + ", ".join(each.name for each in snapshots[:3])
                + (f" and {len(snapshots) - 3} more" if len(snapshots) > 3 else ""),
                hint="delete them first, or add --with-snapshots",
            )
        for snapshot in snapshots:
            self.uses.check_free(snapshot.uuid, f"snapshot {snapshot.name}")

    def check_umountable(self, volume: Volume) -> None:
        """:raises BusyError: containers have it."""
        containers = [each for each in self.catalogue.list_holders(volume.uuid) if each]
        if containers:
            count = "a container has" if len(containers) == 1 else f"{len(containers)} containers have"
            raise BusyError(
                f"{count} volume {volume.name}",
                hint="stop them; if Docker does not know them any more: drystone volume umount --force",
            )

    def _delete_snapshots(self, driver: Driver, volume: Volume, snapshots: Sequence[Snapshot]) -> None:
        """Before the volume goes, too: it is out of reach first, as refused after that it would have none."""
        check_not_mounted(driver, volume)
        if isinstance(driver, Withdraws):
            driver.withdraw(volume)
        try:
            for snapshot in snapshots:
                self._delete_snapshot(driver, volume, snapshot)
        except Exception:
            if isinstance(driver, Withdraws):
                driver.bring_back(volume)
            raise

    def _delete_snapshot(self, driver: Driver, volume: Volume, snapshot: Snapshot) -> None:
        operation = self.catalogue.begin_delete_snapshot(volume, snapshot)
        with self.undone(operation):
            driver.delete_snapshot(volume, snapshot)
        self.catalogue.finish_delete_snapshot(operation)

    @contextlib.contextmanager
    def undone(self, operation: Operation, undo: Callable[[], object] = lambda: None) -> Iterator[None]:
        """The supervisor of an operation under way: whatever fails in it is undone, and its line struck out.

        Every Exception, because a driver may be anybody's: a defect in it must not keep a name reserved until the next
        start. What cannot be undone stays in the journal, and the next start ends it.

        :raises DrystoneError: the undoing failed too; it says both.
        """
        try:
            yield
        except Exception as error:
            try:
                undo()
                self.catalogue.drop(operation)
            except Exception as second:
                log.exception("%s of volume %s cannot be undone", operation.action, operation.volume.name)
                raise DrystoneError(
                    f"{error}; undoing it failed too: {second}",
                    hint="drystone volume fsck --repair, or the daemon's next start, ends it",
                ) from error
            raise


def choose_base(driver: Driver, snapshots: Sequence[Snapshot], backed_up: Sequence[str], size: int) -> Snapshot | None:
    """What a backup of `size` bytes is compared with.

    :param backed_up: UUIDs of snapshots that the destination has, the one to prefer first; the first of those that
        are still here, and have that size, is it, where the driver can tell what differs.
    """
    here = {each.uuid: each for each in snapshots if each.size == size}
    fitting = [here[uuid] for uuid in backed_up if uuid in here]
    return fitting[0] if fitting and driver.can_read_delta() else None


def is_mounted(driver: Driver, volume: Volume, mount_point: str) -> bool:
    """Whether it is mounted where it is wanted. :raises BusyError: it is mounted elsewhere."""
    if not volume.mount_point or not driver.is_mounted(volume, volume.mount_point):
        return False
    if mount_point and Path(mount_point).resolve() != Path(volume.mount_point).resolve():
        raise BusyError(f"volume {volume.name} is mounted at {volume.mount_point}", hint="unmount it first")
    return True


def check_mount_point(mount_point: str) -> None:
    """:raises UsageError: it is neither "" nor an absolute path."""
    if mount_point and (not Path(mount_point).is_absolute() or "\0" in mount_point):
        raise UsageError(f"mount point {mount_point!r} is no absolute path")


def check_not_mounted(driver: Driver, volume: Volume) -> None:
    """:raises BusyError: it is mounted, by whomever, as far as its driver can tell."""
    if isinstance(driver, SeesMounts):
        driver.check_not_mounted(volume)


def check_mounted(volume: Volume) -> None:
    """:raises UsageError: it is not."""
    if not volume.mount_point:
        raise UsageError(f"volume {volume.name} is not mounted")


def _restored_wish(wish: Wish, driver_name: str, origin: Origin) -> Wish:
    """The wish with the backup's size. :raises UsageError: another size or driver was asked for."""
    if driver_name and driver_name != origin.driver:
        raise UsageError(f"the backup was made by driver {origin.driver!r}, not {driver_name!r}")
    if wish.size is not None and wish.size != origin.size:
        raise UsageError(
            f"the backup's volume has {origin.size} bytes, {wish.size} were asked for",
            hint="leave --size out",
        )
    vm = wish.vm or origin.facts.get("PrepareForVM") == "true"
    return replace(wish, size=origin.size or None, vm=vm)

"""A volume goes back to what one of its snapshots holds; all its snapshots stay.

The order, under the volume's lock:

1. the journal has the volume as it was and as it will be (durable);
2. the driver has it hold what the snapshot holds, and keeps what it held until now;
3. the catalogue has the volume as it is now (durable): this is the moment;
4. what it held until now is discarded, and the journal's line struck out. Where that fails the line stays, and the
   next start, or fsck, does it.

Cut short before 3 the new content is discarded, after it the old one: reconcile.py looks which of the two the catalogue
has. Nobody sees anything else: the volume is not mounted meanwhile.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from drystone.base.errors import BusyError, DrystoneError, UsageError
from drystone.volumes.abilities import back_roller
from drystone.volumes.driver import Preview, Snapshot, Volume
from drystone.volumes.reconcile import settle_rollback
from drystone.volumes.service import VolumeService

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """What is lost when a volume goes back to a snapshot.

    :ivar changed: bytes that the volume holds otherwise than the snapshot; None where that cannot be told.
    """

    volume: Volume
    snapshot: Snapshot
    changed: int | None


def roll_back(service: VolumeService, reference: str, snapshot_reference: str) -> Volume:
    """Have a volume hold again what a snapshot of it holds. Durable when it returns.

    What was written to the volume since then is lost, unless a later snapshot has it; its size is the snapshot's.

    :raises BusyError: it is mounted, or open. :raises UsageError: the snapshot is another volume's.
    :raises UnsupportedError: its driver cannot.
    """
    with service.locks.hold(service.find_volume(reference).uuid):
        volume, snapshot, after = _plan(service, reference, snapshot_reference)
        whole = service.driver_of(volume.driver)
        driver = back_roller(whole)
        operation = service.catalogue.begin_rollback(volume, after)
        with service.undone(operation, lambda: settle_rollback(service.catalogue, whole, operation)):
            driver.roll_back(volume, after, snapshot)
            service.catalogue.commit_rollback(operation)
        try:
            driver.discard(volume, after)
        except (DrystoneError, OSError) as error:
            # It is done; what is left of the old content is in the journal, and the next start or fsck ends it.
            log.error("what volume %s held before it went back is still there: %s", volume.name, error)  # noqa: TRY400  # the message is the news, not our stack
            return after
        service.catalogue.finish_rollback(operation)
    log.info("volume %s (%s) went back to snapshot %s", volume.name, volume.uuid, snapshot.name)
    return after


def measure(service: VolumeService, reference: str, snapshot_reference: str) -> Loss:
    """What would be lost by `roll_back`, whose refusals are raised."""
    volume, snapshot, _ = _plan(service, reference, snapshot_reference)
    driver = back_roller(service.driver_of(volume.driver))
    return Loss(volume, snapshot, driver.measure_loss(volume, snapshot))


def preview_roll_back(service: VolumeService, reference: str, snapshot_reference: str) -> tuple[Preview, ...]:
    """What `roll_back` would do, its refusals included."""
    volume, snapshot, after = _plan(service, reference, snapshot_reference)
    driver = back_roller(service.driver_of(volume.driver))
    return (driver.preview_roll_back(volume, after, snapshot),)


def _plan(service: VolumeService, reference: str, snapshot_reference: str) -> tuple[Volume, Snapshot, Volume]:
    """The volume as it is, the snapshot, and the volume as it will be; nothing is changed."""
    volume, snapshot = service.find_volume(reference), service.find_snapshot(snapshot_reference)
    if snapshot.volume != volume.uuid:
        own = [each.name for each in service.catalogue.list_snapshots(volume.uuid)]
        raise UsageError(
            f"snapshot {snapshot.name} is none of volume {volume.name}",
            hint="it has " + ", ".join(own[:5])
            if own
            else f"drystone volume clone {snapshot.name} makes a volume of it",
        )
    if volume.mount_point:
        raise BusyError(f"volume {volume.name} is mounted at {volume.mount_point}", hint="unmount it first")
    service.catalogue.check_idle(volume)
    driver = back_roller(service.driver_of(volume.driver))
    plan = driver.plan_roll_back(volume, snapshot)
    return volume, snapshot, replace(volume, size=plan.size, facts=plan.facts)

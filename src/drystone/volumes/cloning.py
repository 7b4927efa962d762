"""A volume out of a snapshot: the clone shares what the snapshot holds until one of them changes, and needs it no more.

To the journal it is a creation: what is cut short is removed.
"""

from __future__ import annotations

import logging

from drystone.base.names import check_name, new_uuid
from drystone.volumes.abilities import cloner
from drystone.volumes.driver import Preview, Snapshot, Volume, Wish
from drystone.volumes.service import VolumeService

log = logging.getLogger(__name__)


def clone(service: VolumeService, reference: str, name: str = "", *, renew: bool = False) -> Volume:
    """Make a volume out of a snapshot. Durable when it returns; whenever it is cut short there is none.

    :param name: the new volume's; "" for volume-XXXXXXXX.
    :param renew: its file system gets a UUID of its own, which takes as long as checking it.
    :raises NotFoundError: no such snapshot. :raises ExistsError: the name is taken.
    :raises UnsupportedError: its driver cannot, or not `renew`.
    """
    # It is read: a deletion is refused meanwhile, and other work on its volume goes on.
    with service.reading(reference, ()) as reading:
        driver = cloner(service.driver_of(reading.volume.driver))
        made = _plan(service, reading.volume, reading.snapshot, name, renew=renew)
        with service.locks.hold(made.uuid):
            operation = service.catalogue.begin_create(made)
            with service.undone(operation, lambda: reading.driver.delete_volume(made)):
                driver.create_clone(made, reading.snapshot, renew=renew)
                service.catalogue.finish_create(operation)
    log.info("created volume %s (%s) out of snapshot %s", made.name, made.uuid, reading.snapshot.name)
    return made


def preview_clone(
    service: VolumeService, reference: str, name: str = "", *, renew: bool = False
) -> tuple[Preview, ...]:
    """What `clone` would do, its refusals included."""
    snapshot = service.find_snapshot(reference)
    volume = service.catalogue.get_volume(snapshot.volume)
    driver = cloner(service.driver_of(volume.driver))
    made = _plan(service, volume, snapshot, name, renew=renew)
    return (driver.preview_clone(made, snapshot, renew=renew),)


def _plan(service: VolumeService, volume: Volume, snapshot: Snapshot, name: str, *, renew: bool) -> Volume:
    uuid = new_uuid()
    name = check_name(name or f"volume-{uuid[:8]}", "volume name")
    service.catalogue.check_volume_name(name)
    driver = cloner(service.driver_of(volume.driver))
    plan = driver.plan_clone(Wish(uuid, name), volume, snapshot, renew=renew)
    return Volume(uuid, name, volume.driver, plan.size, service.now(), "", plan.facts)

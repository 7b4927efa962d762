"""Snapshots of several volumes at one moment: all of them, or none.

The journal has a line for each before the first effect, written in one transaction, and all lines are struck out with
the snapshots in one transaction. So what is cut short before that is undone one by one, and nobody has seen any.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from functools import partial

from drystone.base.errors import UsageError
from drystone.base.names import check_name, new_uuid
from drystone.volumes.abilities import group_taker
from drystone.volumes.driver import Driver, Preview, Snapshot, Volume
from drystone.volumes.service import VolumeService

log = logging.getLogger(__name__)


def create_group(service: VolumeService, references: Sequence[str], name: str = "") -> list[Snapshot]:
    """Take a snapshot of each volume, all of one moment. Durable when it returns.

    :param name: each snapshot is called NAME-VOLUME; "" for group-XXXXXXXX.
    :raises UsageError: less than two volumes, one twice, or volumes of different drivers.
    :raises ExistsError: a name is taken. :raises UnsupportedError: their driver cannot.
    """
    volumes = _find(service, references)
    with contextlib.ExitStack() as held:
        # In one order, whatever was asked: two groups never wait for each other's volumes.
        for uuid in sorted(each.uuid for each in volumes):
            held.enter_context(service.locks.hold(uuid))
        volumes = _find(service, [each.uuid for each in volumes])
        driver, pairs = _plan(service, volumes, name)
        taker = group_taker(driver)
        operations = service.catalogue.begin_create_snapshots(pairs)
        # The last that is entered is the first that undoes: each its own snapshot.
        for operation, (volume, snapshot) in zip(operations, pairs, strict=True):
            held.enter_context(service.undone(operation, partial(driver.delete_snapshot, volume, snapshot)))
        taker.create_snapshots(pairs)
        service.catalogue.finish_create_snapshots(operations)
    return [snapshot for _, snapshot in pairs]


def preview_group(service: VolumeService, references: Sequence[str], name: str = "") -> tuple[Preview, ...]:
    """What `create_group` would do, its refusals included."""
    driver, pairs = _plan(service, _find(service, references), name)
    return (group_taker(driver).preview_snapshots(pairs),)


def _find(service: VolumeService, references: Sequence[str]) -> list[Volume]:
    """The volumes, in the order asked."""
    volumes = [service.find_volume(each) for each in references]
    if len(volumes) < 2:
        raise UsageError("a group is of two volumes or more", hint="drystone snapshot create takes one of a volume")
    named = {each.uuid: each.name for each in volumes}
    for each in volumes:
        if each.uuid not in named:
            raise UsageError(f"volume {each.name} is named twice")
        del named[each.uuid]
    return volumes


def _plan(service: VolumeService, volumes: Sequence[Volume], name: str) -> tuple[Driver, list[tuple[Volume, Snapshot]]]:
    drivers = sorted({each.driver for each in volumes})
    if len(drivers) > 1:
        raise UsageError(f"the volumes are of the drivers {' and '.join(drivers)}", hint="name volumes of one driver")
    driver = service.driver_of(drivers[0])
    group_taker(driver)
    group = check_name(name or f"group-{new_uuid()[:8]}", "snapshot name")
    now = service.now()
    pairs = []
    for volume in volumes:
        uuid = new_uuid()
        called = check_name(f"{group}-{volume.name}", "snapshot name")
        service.catalogue.check_snapshot_name(called)
        service.catalogue.check_content(volume)
        facts = driver.plan_snapshot(volume, uuid)
        pairs.append((volume, Snapshot(uuid, called, volume.uuid, now, volume.size, facts)))
    return driver, pairs

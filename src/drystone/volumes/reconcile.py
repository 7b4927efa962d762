"""After a crash: end what the journal says was cut short, and mount again what was mounted.

Creations are undone: nobody was told that they succeeded. Deletions are completed, and so is growth. A volume that was
going back to a snapshot has the content that the catalogue says, and the other one goes. A mount is recorded when it is
there and forgotten when it is not. Each step is harmless when done twice, so a crash in here is mended by the next
start.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from drystone.base.errors import DrystoneError, NotFoundError
from drystone.volumes.abilities import back_roller
from drystone.volumes.catalogue import Catalogue, Operation
from drystone.volumes.driver import Driver
from drystone.volumes.resizing import complete_resize

log = logging.getLogger(__name__)


def reconcile(catalogue: Catalogue, drivers: Mapping[str, Driver]) -> None:
    """End every operation of the journal whose driver runs; one that fails stays for the next start, and is logged."""
    for operation in catalogue.list_operations():
        driver = drivers.get(operation.volume.driver)
        if driver is None:
            log.warning("%s is left as it is: its driver does not run", name_operation(operation))
            continue
        try:
            outcome = end_operation(catalogue, driver, operation)
        except (DrystoneError, OSError) as error:
            log.error("%s was cut short and cannot be ended now: %s", name_operation(operation), error)  # noqa: TRY400  # the message is the news, not our stack
        else:
            log.warning("%s was cut short and is %s", name_operation(operation), outcome)


def end_operation(catalogue: Catalogue, driver: Driver, operation: Operation) -> str:
    """End one operation that was cut short; what became of it, in a word."""
    volume, snapshot = operation.volume, operation.snapshot
    match operation.action:
        case "create":
            driver.delete_volume(volume)
            catalogue.drop(operation)
            return "undone"
        case "delete":
            driver.delete_volume(volume)
            catalogue.finish_delete(operation)
            return "completed"
        case "snapshot-create":
            assert snapshot is not None
            driver.delete_snapshot(volume, snapshot)
            catalogue.drop(operation)
            return "undone"
        case "snapshot-delete":
            assert snapshot is not None
            driver.delete_snapshot(volume, snapshot)
            catalogue.finish_delete_snapshot(operation)
            return "completed"
        case "resize":
            complete_resize(catalogue, driver, operation)
            return "completed"
        case "rollback":
            if settle_rollback(catalogue, driver, operation):
                catalogue.finish_rollback(operation)
                return "completed"
            catalogue.drop(operation)
            return "undone"
        case _:
            return _end_mount(catalogue, driver, operation)


def settle_rollback(catalogue: Catalogue, driver: Driver, operation: Operation) -> bool:
    """Of a volume's contents, keep the one that the catalogue has; whether that is the new one.

    It may be neither, when the volume went back once more since, or was deleted: then both go.
    """
    was, will_be = operation.was, operation.volume
    assert was is not None
    try:
        kept = catalogue.get_volume(will_be.uuid)
    except NotFoundError:
        for gone in (was, will_be):
            driver.delete_volume(gone)
        return False
    for gone in (was, will_be):
        if gone.facts != kept.facts:
            back_roller(driver).discard(gone, kept)
    return kept.facts == will_be.facts


def _end_mount(catalogue: Catalogue, driver: Driver, operation: Operation) -> str:
    volume = operation.volume
    if driver.is_mounted(volume, volume.mount_point):
        catalogue.finish_mount(operation, driver.mount(volume, volume.mount_point))
        return "completed"
    catalogue.drop(operation)
    return "undone"


def name_operation(operation: Operation) -> str:
    """What it is, of what, and since when."""
    subject = operation.snapshot.name if operation.snapshot else operation.volume.name
    return f"{operation.action} of {subject!r} (begun {operation.begun})"


def remount(catalogue: Catalogue, drivers: Mapping[str, Driver]) -> None:
    """Mount each volume that was mounted and is not; one that cannot be stays recorded, and is logged."""
    for volume in catalogue.list_volumes():
        driver = drivers.get(volume.driver)
        if not volume.mount_point or driver is None or driver.is_mounted(volume, volume.mount_point):
            continue
        try:
            driver.mount(volume, volume.mount_point)
        except (DrystoneError, OSError) as error:
            log.error("volume %s is not mounted at %s again: %s", volume.name, volume.mount_point, error)  # noqa: TRY400  # likewise
        else:
            log.warning("mounted volume %s at %s again", volume.name, volume.mount_point)

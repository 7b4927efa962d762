"""`drystone volume fsck`: the catalogue held against what there is; what differs is mended where nothing is lost by it.

Looking changes nothing, and other work goes on meanwhile: what an operation under way is about is left alone. Mending
takes the lock of the volume that it is about. What is left of an operation whose undoing failed is ended as the next
start would end it (reconcile.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from drystone.base.errors import DrystoneError
from drystone.volumes.catalogue import Operation
from drystone.volumes.driver import Driver, Finding, Known, Volume
from drystone.volumes.reconcile import end_operation, name_operation
from drystone.volumes.service import VolumeService

log = logging.getLogger(__name__)


class Difference(msgspec.Struct, frozen=True):
    """A finding and what became of it.

    :ivar loses: mending it throws data away; it is done only when that is asked for.
    :ivar state: `left`, `mended` or `failed`, with :ivar problem: why.
    """

    driver: str
    kind: str
    subject: str
    text: str
    remedy: str
    loses: bool = False
    state: str = "left"
    problem: str = ""


def examine(service: VolumeService) -> list[Difference]:
    """What differs; nothing is changed."""
    return [_tell(driver, finding) for driver, finding in _find(service)]


def repair(service: VolumeService, *, delete_unknown: bool = False) -> list[Difference]:
    """Mend what can be, each by itself, and look once more: what is seen then is in the list, too, once.

    :param delete_unknown: also what throws away data that the catalogue knows nothing of.
    """
    done: list[Difference] = []
    for driver, finding in _find(service):
        if finding.mend is not None and (delete_unknown or not finding.loses):
            done.append(_mend(service, driver, finding))
    seen = {(each.driver, each.kind, each.subject) for each in done if each.state == "failed"}
    return done + [each for each in examine(service) if (each.driver, each.kind, each.subject) not in seen]


def _tell(driver: str, finding: Finding, state: str = "left", problem: str = "") -> Difference:
    return Difference(
        driver, finding.kind, finding.subject, finding.text, finding.remedy, finding.loses, state, problem
    )


def _mend(service: VolumeService, driver: str, finding: Finding) -> Difference:
    assert finding.mend is not None
    try:
        # An entry of its own: of what ends an operation the trail says who asked for that, too.
        with service.locks.hold(finding.volume), service.catalogue.noting(f"fsck-{finding.kind}", finding.subject):
            finding.mend()
    except (DrystoneError, OSError) as error:
        return _tell(driver, finding, "failed", str(error))
    log.warning("%s %s: %s", finding.kind, finding.subject, finding.remedy)
    return _tell(driver, finding, "mended")


def _find(service: VolumeService) -> Iterable[tuple[str, Finding]]:
    for operation in service.list_left():
        yield operation.volume.driver, _of_operation(service, operation)
    for name, driver in service.drivers.items():
        for finding in driver.examine(lambda name=name: _know(service, name)):  # type: ignore[misc]  # the name of now
            yield name, finding
        for volume in _know(service, name).volumes:
            if volume.mount_point and not driver.is_mounted(volume, volume.mount_point):
                yield name, _of_mount(service, driver, volume)
    for volume in service.catalogue.list_volumes():
        if volume.driver not in service.drivers:
            text = f"its driver {volume.driver} does not run"
            yield (
                volume.driver,
                Finding("no-driver", volume.name, text, f"start the daemon with it to look at {volume.name}"),
            )


def _know(service: VolumeService, driver: str) -> Known:
    catalogue = service.catalogue
    # The journal first and last: what an operation has made or removed meanwhile is passing in one of them.
    operations = catalogue.list_operations()
    volumes = [each for each in catalogue.list_volumes() if each.driver == driver]
    own = {each.uuid for each in volumes}
    snapshots = [each for each in catalogue.list_snapshots() if each.volume in own]
    operations += catalogue.list_operations()
    passing = {each.volume.uuid if each.snapshot is None else each.snapshot.uuid for each in operations}
    return Known(tuple(volumes), tuple(snapshots), frozenset(passing))


def _of_operation(service: VolumeService, operation: Operation) -> Finding:
    def end() -> None:
        if operation.id in {each.id for each in service.catalogue.list_operations()}:
            end_operation(service.catalogue, service.driver_of(operation.volume.driver), operation)

    words = (
        "is completed"
        if operation.action in {"delete", "snapshot-delete", "resize"}
        else "is undone, or completed if it is done"
    )
    text = f"{name_operation(operation)} was cut short"
    return Finding("cut-short", operation.volume.name, text, f"it {words}", end, operation.volume.uuid)


def _of_mount(service: VolumeService, driver: Driver, volume: Volume) -> Finding:
    def mount() -> None:
        if service.catalogue.get_volume(volume.uuid).mount_point == volume.mount_point:
            driver.mount(volume, volume.mount_point)

    text = f"it is not mounted at {volume.mount_point}, as the catalogue has it"
    return Finding("not-mounted", volume.name, text, f"it is mounted at {volume.mount_point}", mount, volume.uuid)

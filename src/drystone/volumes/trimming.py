"""Free blocks of mounted volumes are given back to their pool: what was deleted in a file system keeps its room there
until then. Nothing that is in a file changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from drystone.base.errors import DrystoneError, UnsupportedError, UsageError
from drystone.volumes.abilities import Trims
from drystone.volumes.service import VolumeService


class Trimmed(msgspec.Struct, frozen=True):
    """What one volume gave back. Bytes; `problem` says why it could not, "" when it did."""

    name: str
    bytes: int = 0
    problem: str = ""


def trim(service: VolumeService, references: Sequence[str] = ()) -> list[Trimmed]:
    """Trim volumes one after the other.

    :param references: none: all that are mounted and whose drivers can; then one that fails does not keep the others.
    :raises UsageError: one that is named is not mounted. :raises UnsupportedError: its driver cannot.
    """
    if references:
        volumes = [service.find_volume(each) for each in references]
        for volume in volumes:
            if not volume.mount_point:
                raise UsageError(f"volume {volume.name} is not mounted", hint="what is free is known while it is")
            if not isinstance(service.driver_of(volume.driver), Trims):
                raise UnsupportedError(f"driver {volume.driver} cannot trim volumes")
        return [_trim(service, each.uuid) for each in volumes]
    found = []
    for volume in service.catalogue.list_volumes():
        if volume.mount_point and isinstance(service.drivers.get(volume.driver), Trims):
            try:
                found.append(_trim(service, volume.uuid))
            except (DrystoneError, OSError) as error:
                found.append(Trimmed(volume.name, problem=str(error)))
    return found


def _trim(service: VolumeService, uuid: str) -> Trimmed:
    """Under the volume's lock, so that it stays mounted."""
    with service.locks.hold(uuid):
        volume = service.find_volume(uuid)
        driver = service.driver_of(volume.driver)
        assert isinstance(driver, Trims)
        if not volume.mount_point:
            raise UsageError(f"volume {volume.name} is not mounted")
        return Trimmed(volume.name, driver.trim_volume(volume))

"""From the state's entry of a backup to its manifest."""

from __future__ import annotations

from drystone.backup.format.keys import manifest_key
from drystone.backup.format.manifest import Manifest
from drystone.backup.objects import read_manifest
from drystone.backup.reading.locate import Locator
from drystone.base.errors import DamagedError, NotFoundError


def read_entry(locator: Locator, volume: str, backup: str) -> Manifest:
    """The manifest of a backup that the state has.

    :raises NotFoundError: it has none such. :raises DamagedError: the manifest is missing or wrong.
    :raises UsageError: `volume` or `backup` is no UUID.
    """
    manifest_key(volume, backup)
    if locator.vault.version == 1:
        return read_manifest(locator.vault, volume, backup)
    entry = locator.state.find(volume, backup)
    if entry is None:
        raise NotFoundError(f"there is no backup {backup} of volume {volume}", backup=backup, volume=volume)
    try:
        return read_manifest(locator.vault, volume, backup, entry.manifest)
    except NotFoundError as error:
        raise DamagedError(
            f"the manifest of backup {backup} of volume {volume} is missing", backup=backup, volume=volume
        ) from error

"""A backup's URL: `<destination>?backup=<uuid>&volume=<uuid>`, the destination as the user wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from drystone.backup.format.keys import UUID
from drystone.base.errors import UsageError

_URL = re.compile(rf"(.+)\?backup=({UUID})&volume=({UUID})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BackupUrl:
    """A destination, and a backup of a volume there."""

    destination: str
    backup: str
    volume: str

    def __str__(self) -> str:
        return f"{self.destination}?backup={self.backup}&volume={self.volume}"


def parse_backup_url(text: str) -> BackupUrl:
    """:raises UsageError: it is no URL of a backup."""
    match = _URL.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is no URL of a backup", hint="as `backup list` prints it: DESTINATION?backup=UUID&volume=UUID"
        )
    return BackupUrl(match[1], match[2], match[3])


def is_backup_url(text: str) -> bool:
    """Whether `parse_backup_url` takes it."""
    return _URL.fullmatch(text) is not None

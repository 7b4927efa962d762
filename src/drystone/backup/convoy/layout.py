"""The names of the objects in a Convoy store, and nothing else.

A volume's folder is found by its id alone: older programs take two pairs of letters of the volume's UUID as the folders
above it, later ones of the sum of its name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from drystone.base.errors import UsageError

ROOT = "convoy-objectstore"
VOLUMES = f"{ROOT}/volumes"

_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_NAME = re.compile(_ID)
_LONGEST = 200
"""Characters of an id: with it, every key is shorter than a store's longest."""
_FOLDER = rf"{re.escape(VOLUMES)}/[A-Za-z0-9_.-]{{2}}/[A-Za-z0-9_.-]{{2}}/({_ID})"
_BACKUP_KEY = re.compile(rf"({_FOLDER})/backups/backup_({_ID})\.cfg")
_VOLUME_KEY = re.compile(rf"({_FOLDER})/volume\.cfg")
_SUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Folder:
    """Where all of a volume is."""

    volume: str
    path: str

    @property
    def volume_key(self) -> str:
        """What is known of the volume."""
        return f"{self.path}/volume.cfg"

    @property
    def backups(self) -> str:
        """The prefix of its backups."""
        return f"{self.path}/backups"

    @property
    def blocks(self) -> str:
        """The prefix of its blocks."""
        return f"{self.path}/blocks"

    def backup_key(self, backup: str) -> str:
        """Where a backup's map is."""
        return f"{self.backups}/backup_{check_id(backup, 'backup')}.cfg"

    def block_key(self, checksum: str) -> str:
        """Where the block with a sum (64 hex digits) is."""
        return f"{self.blocks}/{checksum[:2]}/{checksum[2:4]}/{checksum}.blk"


def check_id(text: str, what: str) -> str:
    """`text` itself when it can be the id of a volume or backup. :raises UsageError: otherwise."""
    if len(text) > _LONGEST or _NAME.fullmatch(text) is None:
        raise UsageError(f"{what} {text[:60]!r} is no name of Convoy's", hint="letters, digits, _ . -")
    return text


def is_sum(text: str) -> bool:
    """Whether this is how a block is named."""
    return _SUM.fullmatch(text) is not None


def likely_folders(volume: str) -> list[Folder]:
    """The folders where a volume of that id is, whichever program wrote it. :raises UsageError: it is no id."""
    check_id(volume, "volume")
    by_sum = hashlib.sha512(volume.encode()).hexdigest()
    pairs = [(volume[:2], volume[2:4]), (by_sum[:2], by_sum[2:4])]
    return [
        Folder(volume, f"{VOLUMES}/{one}/{two}/{volume}") for one, two in pairs if len(two) == 2 and two[0] not in ".-"
    ]


def parse_backup_key(key: str) -> tuple[Folder, str] | None:
    """(its volume's folder, backup) of a map's key; None for another object's."""
    match = _BACKUP_KEY.fullmatch(key)
    return (Folder(match[2], match[1]), match[3]) if match else None


def parse_volume_key(key: str) -> Folder | None:
    """The folder of a volume whose key it is; None for another object's."""
    match = _VOLUME_KEY.fullmatch(key)
    return Folder(match[2], match[1]) if match else None

"""What `drystone backup create` was asked for, and the backup to build upon."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from drystone.base.errors import MismatchError, UsageError
from drystone.cli.backup.progress import Report

if TYPE_CHECKING:
    from drystone.backup.repository import Repository

_NAMES = uuid.UUID("5b0a3b7e-4a0f-5d8e-9c55-2d7f0f6a1c11")
"""The name space of volume UUIDs that are made from a source's name (RFC 9562, version 5)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A backup to be made.

    :ivar known: what the source is called. :ivar base: URL of the backup to build upon; None: find one.
    :ivar open: opens the repository, or makes it. :ivar warnings: takes what somebody should know, a line each.
    """

    source: Path
    known: str
    dest: str
    base: str | None
    full: bool
    open: Callable[[], Repository]
    progress: Report
    warnings: list[str] = field(default_factory=list)

    def name_base(self) -> tuple[str, str]:
        """(volume, base backup or ""), of the URL that was given, or of the source's name.

        :raises UsageError: `full` and a base. :raises MismatchError: the base is elsewhere.
        """
        from drystone.backup.url import parse_backup_url
        from drystone.store.destination import parse_destination

        if self.base is not None and self.full:
            raise UsageError("--full builds upon no backup, --base upon one", hint="say one of the two")
        if self.base is None:
            return str(uuid.uuid5(_NAMES, self.known)), ""
        url = parse_backup_url(self.base)
        if parse_destination(url.destination) != parse_destination(self.dest):
            raise MismatchError(f"the base is at {url.destination!r} and the new backup would be at {self.dest!r}")
        return url.volume, url.backup

    def find_base(self, repository: Repository) -> tuple[str, str]:
        """(volume, base backup or ""): those of the URL that was given, or what is known of the source.

        Damaged ones are passed over, with a warning.
        """
        volume, base = self.name_base()
        if base:
            return volume, repository.inspect(volume, base).backup
        if self.full:
            return volume, ""
        passed_over: list[str] = []
        found = repository.find_base(volume, damaged=lambda error: passed_over.append(error.message))
        instead = f"built upon backup {found.backup} instead" if found else "a full backup was made instead"
        self.warnings.extend(f"{each}; {instead}" for each in passed_over)
        return volume, found.backup if found else ""

"""The repositories that an ihost backs up to: names, and what they stand for, in the ihost's own configuration.

URLs and keys stay here: the cluster's database and its API know the names alone, and no message shows more.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from drystone.backup.credentials import find_credential
from drystone.backup.repository import Repository, create_repository, open_repository
from drystone.base.errors import NotFoundError, UsageError
from drystone.cluster.agents.repository_settings import RepositorySettings
from drystone.store.opening import open_store

log = logging.getLogger(__name__)


class Repositories:
    """By their names. The constructor has no effects."""

    def __init__(self, settings: Mapping[str, RepositorySettings]) -> None:
        self._settings = settings

    def open(self, name: str, *, make: bool = True) -> Repository:
        """The repository of that name. :param make: it is made when there is none yet.

        :raises NotFoundError: the configuration has no such name, or there is none. :raises UsageError: a file of it is
            wrong.
        :raises DrystoneError: the store, or the repository, cannot be used.
        """
        if name not in self._settings:
            raise NotFoundError(
                f"this ihost has no repository {name[:100]!r}", hint="name it in the ihost's configuration"
            )
        settings = self._settings[name]
        own = read_environment(settings.environment) if settings.environment else {}
        credential = find_credential(
            own, log.warning, passphrase_file=settings.passphrase_file, key_file=settings.key_file
        )
        store = open_store(settings.url, endpoint=settings.endpoint, environ={**os.environ, **own})
        return create_repository(store, credential) if make else open_repository(store, credential)


def read_environment(path: Path) -> dict[str, str]:
    """Lines NAME=VALUE; empty ones and those that begin with # are passed over.

    :raises UsageError: it cannot be read, has another line, or others than its owner can read it.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"{path} can be read by others than its owner", hint=f"chmod 600 {path}")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{path}, line {number}: it is not NAME=VALUE")
        found[name.strip()] = value.strip()
    return found

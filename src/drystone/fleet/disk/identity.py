"""A disk's identity, without which it is not used: the folder of a disk that is not mounted has none."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import msgspec

from drystone.base import documents, names
from drystone.base.errors import DamagedError, RefusedError, UnavailableError, UsageError
from drystone.base.files import replace_file, sync_folder
from drystone.fleet.disk import places
from drystone.fleet.disk.index import Index

_LONGEST = 65536


class Identity(msgspec.Struct, frozen=True):
    """`.drystone/disk.json`. :ivar fleet: id of the fleet. :ivar made: seconds since 1970.

    :ivar format: of the disk.
    """

    fleet: str
    disk_id: str
    made: float
    format: int = 1


def read_identity(root: Path) -> Identity:
    """The identity of the disk at `root`.

    :raises UnavailableError: there is none, or it cannot be read. :raises DamagedError: it says nothing sensible.
    """
    path = root / places.IDENTITY
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST)
    except FileNotFoundError:
        raise UnavailableError(
            f"{root} has no identity ({places.IDENTITY})", hint="mount the disk, or initialize it"
        ) from None
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}", errno=error.errno) from error
    try:
        identity = documents.decode(data, Identity, str(path))
    except UsageError as error:
        raise DamagedError(error.message) from error
    if identity.format != 1:
        raise UnavailableError(f"{root} has format {identity.format}, which this version does not know")
    return identity


def initialize(root: Path, fleet: str) -> Identity:
    """Make a disk of `root`, an existing folder: its folders, index and identity, durable when it returns.

    One that is a disk of this fleet stays as it is.

    :raises RefusedError: it is a disk of another fleet. :raises OSError: the file system refuses.
    :raises DamagedError: so does SQLite.
    """
    if (root / places.IDENTITY).exists():
        identity = read_identity(root)
        if identity.fleet != fleet:
            raise RefusedError(
                f"{root} is a disk of fleet {identity.fleet}, not of {fleet}", hint="empty it, or use it there"
            )
        return identity
    for folder in places.FOLDERS:
        (root / folder).mkdir(mode=0o755, exist_ok=True)
    try:
        Index(root / places.INDEX).create()  # before the identity: from then on a disk without an index has lost it
    except sqlite3.Error as error:
        raise DamagedError(f"{root / places.INDEX} cannot be made: {error}") from error
    sync_folder(root / places.OWN)
    sync_folder(root)
    identity = Identity(fleet=fleet, disk_id=names.new_uuid(), made=time.time())
    replace_file(root / places.IDENTITY, documents.encode(identity, indent=2) + b"\n", mode=0o644)
    return identity


def mount_of(root: Path) -> int:
    """The number of the file system that is mounted at `root` (st_dev)."""
    return os.stat(root).st_dev  # noqa: PTH116

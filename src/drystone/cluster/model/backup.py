"""Backups of dlvs: asked for at the API, made by the agent of the ihost that has the dlv, out of a snapshot; and
restored by one, to a dlv that is made for it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

BackupStatus = Literal["creating", "processing", "finished", "canceling", "canceled", "failed"]
BackupState = Literal["running", "finished", "failed"]
"""At its ihost."""

PREFIX = "backup-"
"""How the names of snapshots begin that are made for backups."""


class Backup(Struct, frozen=True, kw_only=True):
    """A backup that was asked for, and what became of it. It is remembered longer than its dlv.

    :ivar dlv: its name then, :ivar volume: its id: what the repository knows it by. :ivar snapshot: its name.
    :ivar size: bytes of the volume, when the snapshot was made. :ivar repository: as ihosts call it.
    :ivar done, total: bytes that are read, of those that are to be. :ivar backup: the UUID by which the repository has
        it; "" until it is finished.
    """

    id: str
    dlv: str
    volume: str
    snapshot: str
    size: int
    repository: str
    status: BackupStatus = "creating"
    reason: str = ""
    done: int = 0
    total: int = 0
    backup: str = ""


class BackupWish(Struct, frozen=True):
    """What an ihost is to back up. Again, it is the same backup.

    :ivar dlv: its id. :ivar thin_id: of the snapshot, whose name is `snapshot`. :ivar size: bytes.
    """

    id: str
    dlv: str
    name: str
    snapshot: str
    thin_id: int
    size: int
    repository: str


class RestoreWish(Struct, frozen=True):
    """What an ihost is to fill a dlv from. Again, it is the same restore.

    :ivar dlv: its id. :ivar repository: as the ihost calls it. :ivar volume: whose backup it is, :ivar backup: and the
        backup's UUID, both as the repository knows them.
    """

    id: str
    dlv: str
    name: str
    repository: str
    volume: str
    backup: str


class BackupSeen(Struct, frozen=True):
    """How a backup, or a restore of one, stands at its ihost.

    :ivar backup: its UUID in the repository, once it is finished, durably.
    """

    id: str
    status: BackupState
    reason: str = ""
    done: int = 0
    total: int = 0
    backup: str = ""

"""Backups by an ihost's agent: of a snapshot in a dlv's pool, while the volume above it is written to.

The snapshot's thin device is activated for the time of it, read only, by a name of its own. What is read is what the
pool maps for it, or what differs from the snapshot that the last backup in the repository was made of, where that is
still there and nobody wrote to it (drystone.backup.thin_state proves that).

Nothing is noted on disk. A backup bears the id of the wish in its manifest: one that is asked for again, after this
agent was killed or its answer was lost, is found in the repository, or gone on with from what is there of it. The
device that a killed agent left is removed when the next one starts, or the dlv is backed up again or taken down.

A backup is ended before its dlv is taken down, as the pool cannot go under it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from msgspec.structs import replace

from drystone.backup.format.keys import UUID
from drystone.backup.repository import BackupRequest, Repository
from drystone.backup.thin_backup import ThinDisk, back_up_thin, plan_thin
from drystone.base.errors import DamagedError, UnavailableError, UsageError
from drystone.base.names import check_name
from drystone.base.sizes import SECTOR
from drystone.cluster.agents.devices import PREFIX, Devices
from drystone.cluster.agents.repositories import Repositories
from drystone.cluster.agents.runs import Run, Runs
from drystone.cluster.model.backup import BackupSeen, BackupWish
from drystone.cluster.model.dlv import VOLUME_ID
from drystone.dvm.metadata_snapshot import POOL, held_metadata
from drystone.dvm.state import Device, Line, State
from drystone.dvm.thin_pool import LARGEST_ID
from drystone.kernel.dm.abc import DeviceEntry
from drystone.kernel.dm.targets import Thin

log = logging.getLogger(__name__)

WISH_FACT = "cluster.backup"
"""Under which a manifest has the id of its wish."""
_ENDING = "-backup"
"""Of the UUID of the device that is read."""
_UUID = re.compile(UUID)


class Backups:
    """The backups of an ihost. The constructor has no effects."""

    def __init__(self, devices: Devices, repositories: Repositories) -> None:
        self._devices = devices
        self._repositories = repositories
        self._runs: Runs[BackupWish] = Runs("backup", self._back_up)

    def put(self, wish: BackupWish) -> BackupSeen:
        """Make a backup, in a thread of its own, unless it is made already; how it stands.

        :raises BusyError: another one of the dlv is under way. :raises UsageError: a wish that cannot be.
        """
        check_wish(wish)
        return self._runs.put(wish)

    def stop(self, backup: str) -> None:
        """End a backup; when this returns nothing of it runs. What the repository has of it is for the next one.

        :raises NotFoundError: it is not known. :raises BusyError: it does not end; ask again.
        """
        self._runs.stop(backup)

    def leave(self, dlv: str) -> None:
        """End the backups of a dlv (its id), which is to be taken down: they go on when it is attached again.

        :raises BusyError: one does not end.
        """
        self._runs.leave(dlv)
        self._remove(dlv)

    def recover(self) -> None:
        """Remove what an agent left that was killed. :raises DrystoneError: a removal failed."""
        self._devices.remove_all({each.uuid for each in self._devices.entries() if is_of_backup(each.uuid)})

    def _back_up(self, run: Run[BackupWish]) -> BackupSeen:
        wish = run.wish
        repository = self._repositories.open(wish.repository)
        for info in repository.list(wish.dlv, damaged=_say):
            if info.about.get(WISH_FACT) == wish.id:
                return replace(run.seen, status="finished", done=wish.size, total=wish.size, backup=info.backup)
        with self._opened(wish) as disk:
            made = self._make(run, repository, disk)
        return replace(run.seen, status="finished", backup=made)

    def _make(self, run: Run[BackupWish], repository: Repository, disk: ThinDisk) -> str:
        """Make it upon the newest backup that is whole, or upon none when that is not; its UUID."""
        wish = run.wish
        about = {WISH_FACT: wish.id, "cluster.dlv": wish.name, "cluster.snapshot": wish.snapshot}
        request = BackupRequest(wish.dlv, f"{wish.name}@{wish.snapshot}", about=about)
        base, reading = plan_thin(repository, disk, request, damaged=_say)
        run.note(0, 0)
        made, warnings = back_up_thin(
            repository, disk, BackupRequest(wish.dlv, request.source_name, base, about), reading, progress=run.note
        )
        for each in warnings:
            log.info("backup %s of dlv %s: %s", wish.id, wish.name, each)
        return made.backup

    @contextmanager
    def _opened(self, wish: BackupWish) -> Iterator[ThinDisk]:
        """The snapshot as a device, read only, while the block runs.

        :raises UnavailableError: the pool of the dlv is not here. :raises DrystoneError: it cannot be activated.
        """
        pool, metadata = self._find(wish.dlv, "pool"), self._find(wish.dlv, "metadata")
        self._remove(wish.dlv)
        target = Thin(str(pool.number), wish.thin_id)
        line = Line(0, wish.size // SECTOR, Thin.kind, target.to_params())
        name = f"drystone-dlv-{wish.name}:backup"
        device = Device(name, _uuid(wish.dlv), (line,), read_only=True)
        self._devices.bring(State(()), State((device,)))
        try:
            yield ThinDisk(
                path=_path(self._find(wish.dlv, "backup")),
                metadata=_path(metadata),
                pool=pool.uuid,
                device=wish.thin_id,
                size=wish.size,
                hold=partial(held_metadata, self._devices.dm, pool.number, POOL, run=self._devices.attempt),
            )
        finally:
            self._remove(wish.dlv)

    def _find(self, dlv: str, part: str) -> DeviceEntry:
        uuid = f"{PREFIX}{dlv}-{part}"
        for each in self._devices.entries():
            if each.uuid == uuid:
                return each
        raise UnavailableError(f"the {part} of dlv {dlv} is not here")

    def _remove(self, dlv: str) -> None:
        self._devices.remove_all({_uuid(dlv)})


def check_wish(wish: BackupWish) -> None:
    """:raises UsageError: a wish that cannot be."""
    check_name(wish.name, "dlv")
    check_name(wish.snapshot, "snapshot")
    check_name(wish.repository, "repository")
    for each in (wish.id, wish.dlv):
        if _UUID.fullmatch(each) is None:
            raise UsageError(f"{each[:80]!r} is no id")
    if not VOLUME_ID < wish.thin_id <= LARGEST_ID:
        raise UsageError(f"{wish.thin_id} is no thin id of a snapshot")
    if wish.size <= 0 or wish.size % SECTOR:
        raise UsageError(f"{wish.size} is no size of a volume")


def is_of_backup(uuid: str) -> bool:
    """Whether a device's UUID is one that a backup gives to what it reads."""
    return uuid.startswith(PREFIX) and uuid.endswith(_ENDING)


def _uuid(dlv: str) -> str:
    return f"{PREFIX}{dlv}{_ENDING}"


def _path(entry: DeviceEntry) -> str:
    """The kernel's own node, which is there with udev and without."""
    return f"/dev/dm-{entry.number.minor}"


def _say(error: DamagedError) -> None:
    log.warning("a backup is passed over: %s", error)

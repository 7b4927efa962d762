"""Restores by an ihost's agent: a backup is written to the thin device of a dlv, of which nobody has the final device.

The device reads as zeros where nothing was written, and what an agent wrote that was killed is of the same backup: so
it is begun anew, and holes of the backup are never written. The kernel lets nobody else have the device meanwhile.

A restore is ended before its dlv is taken down, and begun anew when that is put together again. A call may come late:
when the dlv is being taken down, or is its users' by then. So what is noted of the dlv is asked once the restore is
known, to whoever takes the dlv down: nothing is filled but what is wished here without a final device.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from msgspec.structs import replace

from drystone.backup.format.keys import UUID
from drystone.base.errors import UnavailableError, UsageError
from drystone.base.names import check_name
from drystone.cluster.agents.devices import PREFIX, Devices
from drystone.cluster.agents.repositories import Repositories
from drystone.cluster.agents.runs import Run, Runs
from drystone.cluster.model.backup import BackupSeen, RestoreWish
from drystone.cluster.model.dlv import VOLUME_ID
from drystone.cluster.model.tables import thin_part

log = logging.getLogger(__name__)

_UUID = re.compile(UUID)


class Restores:
    """The restores of an ihost. The constructor has no effects.

    :param is_to_be_filled: whether a dlv (its id) is wished here, by what is noted, and its users have no device of it.
    """

    def __init__(self, devices: Devices, repositories: Repositories, is_to_be_filled: Callable[[str], bool]) -> None:
        self._devices = devices
        self._repositories = repositories
        self._is_to_be_filled = is_to_be_filled
        self._runs: Runs[RestoreWish] = Runs("restore", self._restore)

    def put(self, wish: RestoreWish) -> BackupSeen:
        """Fill a dlv, in a thread of its own, unless that is done; how it stands. `finished`: all is durable on it.

        :raises UnavailableError: the dlv is not here. :raises BusyError: another restore of it is under way.
        :raises UsageError: a wish that cannot be.
        """
        check_wish(wish)
        if self._runs.find(wish.id) is None:
            self._find(wish)
        return self._runs.put(wish)

    def leave(self, dlv: str) -> None:
        """End the restore of a dlv (its id), which is to be taken down. :raises BusyError: it does not end."""
        self._runs.leave(dlv, forget=True)

    def _restore(self, run: Run[RestoreWish]) -> BackupSeen:
        wish = run.wish
        try:
            path = self._find(wish)
        except UnavailableError as error:
            log.info("restore %s: %s", wish.id, error)
            run.give_up()
        repository = self._repositories.open(wish.repository, make=False)
        repository.restore(wish.volume, wish.backup, path, zeroed=True, progress=run.note)
        log.info("restore %s: dlv %s is filled from backup %s", wish.id, wish.name, wish.backup)
        return replace(run.seen, status="finished", backup=wish.backup)

    def _find(self, wish: RestoreWish) -> str:
        """The thin device: the kernel's own node of it.

        :raises UnavailableError: it is not here, or not to be filled.
        """
        if not self._is_to_be_filled(wish.dlv):
            raise UnavailableError(f"dlv {wish.name} is not here to be filled", hint="read the dlv anew")
        uuid = f"{PREFIX}{wish.dlv}-{thin_part(VOLUME_ID)}"
        for each in self._devices.entries():
            if each.uuid == uuid and self._devices.is_there(each.name):
                return f"/dev/dm-{each.number.minor}"
        raise UnavailableError(f"dlv {wish.name} is not here", hint="it is filled when it was put together")


def check_wish(wish: RestoreWish) -> None:
    """:raises UsageError: a wish that cannot be."""
    check_name(wish.name, "dlv")
    check_name(wish.repository, "repository")
    for each in (wish.id, wish.dlv, wish.volume, wish.backup):
        if _UUID.fullmatch(each) is None:
            raise UsageError(f"{each[:80]!r} is no id")

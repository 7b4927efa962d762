"""An agent, for who calls it: the monitor, and commands. Nothing of an agent's own kernel is imported."""

from __future__ import annotations

import urllib.parse
from typing import Any, TypeVar, overload

from drystone.base.errors import MismatchError
from drystone.cluster.agents.answers import LegsSeen, Survey, VolumeSeen
from drystone.cluster.connection import ClientTls, Connection
from drystone.cluster.model.backup import BackupSeen, BackupWish, RestoreWish
from drystone.cluster.model.calls import LegsWish, VolumeWish

Seen = TypeVar("Seen", LegsSeen, VolumeSeen)

SECONDS = 60.0
"""That an answer may take: an agent waits for fences and for disks, each for up to 20 seconds."""


class AgentClient:
    """The agent at an address. The constructor has no effects.

    Every call raises UnavailableError (nobody is there: what was asked for may have been done), TimedOutError
    (likewise), and what the agent raises, by its class.

    :param address: HOST:PORT. :param tls: None for plain HTTP, which agents speak on a loopback address alone.
    :param seconds: that an answer may take.
    :raises UsageError: no address; certificates that cannot be read.
    """

    def __init__(self, address: str, *, tls: ClientTls | None = None, seconds: float = SECONDS) -> None:
        url = f"{'https' if tls else 'http'}://{address}"
        self._connection = Connection("the agent", url, tls=tls.context() if tls else None, seconds=seconds)

    @overload
    def put(self, wish: LegsWish) -> LegsSeen: ...

    @overload
    def put(self, wish: VolumeWish) -> VolumeSeen: ...

    def put(self, wish: LegsWish | VolumeWish) -> LegsSeen | VolumeSeen:
        """Have what is wished; what is seen when all is so. The same call again is harmless.

        :raises MismatchError: an older epoch, or another wish of the same one; fact `epoch`: the one that it is in.
        :raises RefusedError: an attachment of another boot. :raises BusyError: an earlier call is under way.
        """
        kind: type[Any] = LegsSeen if isinstance(wish, LegsWish) else VolumeSeen
        seen: LegsSeen | VolumeSeen = self._connection.ask("PUT", _place(wish.dlv), kind, wish)
        if (seen.dlv, seen.epoch) != (wish.dlv, wish.epoch):
            raise MismatchError(f"the agent answered about dlv {seen.dlv} in epoch {seen.epoch}, not about {wish.dlv}")
        return seen

    def look(self, dlv: str, kind: type[Seen]) -> Seen:
        """What is there of a dlv. :raises NotFoundError: the agent was never told of it."""
        return self._connection.ask("GET", _place(dlv), kind)

    def survey(self) -> Survey:
        """All that the agent sees."""
        return self._connection.ask("GET", "/v1/dlvs", Survey)

    def back_up(self, wish: BackupWish) -> BackupSeen:
        """Have a backup made by an ihost; how it stands. The same call again is harmless.

        :raises BusyError: another one of the dlv is under way there.
        """
        return self._ask_for("backups", wish)

    def restore(self, wish: RestoreWish) -> BackupSeen:
        """Have a dlv filled from a backup by the ihost that has it; how that stands. The same call again is harmless.

        :raises UnavailableError: the ihost does not have the dlv.
        """
        return self._ask_for("restores", wish)

    def _ask_for(self, what: str, wish: BackupWish | RestoreWish) -> BackupSeen:
        seen = self._connection.ask("PUT", f"/v1/{what}/{urllib.parse.quote(wish.id, safe='')}", BackupSeen, wish)
        if seen.id != wish.id:
            raise MismatchError(f"the agent answered about {seen.id} of its {what}, not about {wish.id}")
        return seen

    def stop_backup(self, backup: str) -> None:
        """Have a backup ended. :raises NotFoundError: none of that id is under way there."""
        self._connection.ask("DELETE", f"/v1/backups/{urllib.parse.quote(backup, safe='')}", dict[str, str])

    def check(self) -> None:
        """:raises DrystoneError: nobody answers, or not as an agent does."""
        self._connection.ask("GET", "/v1/health", dict[str, str])


def _place(dlv: str) -> str:
    return f"/v1/dlvs/{urllib.parse.quote(dlv, safe='')}"

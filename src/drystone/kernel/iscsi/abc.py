"""What an iSCSI initiator can be asked, and the values it answers with.

Two implementations answer: the host's own (`initiator.py`: iscsiadm changes, sysfs tells) and a simulated one
(`simulated.py`). Both pass `drystone.testing.iscsi`, the conformance check.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import NotFoundError, TimedOutError, UsageError
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.names import Chap, Portal

LONGEST_TIMEOUT = 3600
"""Seconds."""
_PAUSE = 0.02
"""Seconds between two looks for a disk."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an initiator waits, in whole seconds, 1 to 3600; `replacement` and the two of noop may be 0.

    :ivar replacement: from the loss of the connection until what is under way fails; new I/O fails then at once. 0: at
        the loss. :ivar noop_interval, noop_timeout: a ping is sent after so long without traffic, and the connection is
        given up when it was not answered for so long; 0: no pings. :ivar login: until a login is given up.
    :raises UsageError: other numbers.
    """

    replacement: int = 5
    noop_interval: int = 1
    noop_timeout: int = 1
    login: int = 10

    def __post_init__(self) -> None:
        for name in ("replacement", "noop_interval", "noop_timeout", "login"):
            seconds, least = getattr(self, name), 1 if name == "login" else 0
            if not least <= seconds <= LONGEST_TIMEOUT:
                raise UsageError(f"the timeout {name} is {least} to {LONGEST_TIMEOUT} seconds, not {seconds}")


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that a session has brought.

    :ivar name: its node below /dev, such as sda. :ivar size: bytes. :ivar wwid: as sysfs shows it, such as
        naa.6001405...; "" when it was not told. :ivar state: of the SCSI device: running, blocked (the connection is
        lost, I/O waits), transport-offline (I/O fails), ...
    """

    lun: int
    name: str
    number: DeviceNumber
    size: int
    wwid: str
    state: str

    @property
    def path(self) -> str:
        """Its node."""
        return f"/dev/{self.name}"


@dataclass(frozen=True, slots=True)
class Session:
    """A session of this host with a target.

    :ivar identifier: a number that no other session has or had since boot. :ivar replacement: seconds, see Timeouts.
    :ivar state: LOGGED_IN; FAILED: the connection is lost, and tried again and again; FREE: likewise, for longer than
        `replacement`. :ivar disks: those that are there by now, by LUN.
    """

    identifier: int
    target: str
    portal: Portal
    state: str
    replacement: int
    disks: tuple[Disk, ...]

    @property
    def is_logged_in(self) -> bool:
        """Whether it has a connection."""
        return self.state == "LOGGED_IN"


class Initiator(Protocol):
    """Every call may be repeated. Of several sessions of one target each is known by its portal.

    Every call that changes something may raise UnsupportedError (no open-iscsi, or no iSCSI in this kernel) and
    UnavailableError (iscsid cannot be started or does not answer).
    """

    def name(self) -> str:
        """The IQN of this host. :raises NotFoundError: it has none. :raises DamagedError: it is no IQN."""

    def sessions(self) -> list[Session]:
        """All, also those that others have made, by identifier."""

    def login(self, target: str, portal: Portal, *, chap: Chap | None = None, timeouts: Timeouts | None = None) -> None:
        """Have a session. Its disks appear soon after; see `await_disk`.

        One that is there stays as it is, but for the replacement timeout, which holds from now on: CHAP and the other
        timeouts are the session's for its life. The secret is kept in open-iscsi's records until `logout`.
        :raises MismatchError: the target refuses this initiator or its CHAP. :raises UnavailableError: the target does
            not answer, or does not take logins, or the session that is there has lost it.
        """

    def set_replacement(self, target: str, portal: Portal, seconds: int) -> None:
        """Have the replacement timeout of a session be so, from the next loss of its connection on.

        :raises NotFoundError: there is no session. :raises UsageError: other seconds than `Timeouts` takes.
        """

    def logout(self, target: str, portal: Portal) -> None:
        """End the session, with its disks, and forget its record. No session: only the latter.

        :raises BusyError: a disk of it is mounted, or another device is built on it; nothing was changed.
        :raises UnavailableError: iscsid was started anew while the target was away: it ends such a session when the
            target is back. Until then the session stays, and all I/O of its disks fails.
        """


def no_session(target: str, portal: Portal) -> NotFoundError:
    """The error that there is none."""
    return NotFoundError(f"there is no session with {target} at {portal}")


def find_session(sessions: Iterable[Session], target: str, portal: Portal) -> Session | None:
    """The one with that target by that portal."""
    return next((each for each in sessions if (each.target, each.portal) == (target, portal)), None)


def await_disk(
    initiator: Initiator, target: str, portal: Portal, lun: int, *, timeout: float = 10.0, clock: Clock | None = None
) -> Disk:
    """The disk that a LUN of a target is here, once it has appeared and has a size.

    :param timeout: seconds.
    :raises NotFoundError: there is no session. :raises TimedOutError: it did not appear: is the LUN granted?
    """
    clock = clock or SystemClock()
    end = clock.monotonic() + timeout
    while True:
        session = find_session(initiator.sessions(), target, portal)
        if session is None:
            raise no_session(target, portal)
        for disk in session.disks:
            if disk.lun == lun and disk.size:
                return disk
        if clock.monotonic() >= end:
            raise TimedOutError(
                f"LUN {lun} of {target} at {portal} did not appear within {timeout:g} s",
                hint="does the target's ACL show it to this initiator?",
            )
        clock.sleep(_PAUSE)

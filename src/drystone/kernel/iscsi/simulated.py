"""An initiator without a kernel, for plans and tests. It logs in to what stands behind a Door: a simulated LIO.

Nothing takes time: disks are there at once, and a lost connection is seen at once. It passes the same conformance check
as the host's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from drystone.base.errors import DrystoneError
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.abc import Disk, Session, Timeouts, no_session
from drystone.kernel.iscsi.exits import failure, in_use, lost
from drystone.kernel.iscsi.names import Chap, Portal, check_iqn, wwid_of

_MAJOR, _MINORS_A_DISK = 8, 16


class Refusal(Exception):  # noqa: N818 - it is an answer; the initiator makes an error of it
    """Why a Door lets nobody in. :ivar status: the exit code that iscsiadm has for it."""

    UNREACHABLE: ClassVar[int] = 8
    NOT_AUTHORIZED: ClassVar[int] = 24

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Offer:
    """What a LUN is to who has logged in: its serial, and its size in bytes."""

    serial: str
    size: int


class Door(Protocol):
    """A target's side, for simulated initiators."""

    def log_in(self, initiator: str, target: str, portal: Portal, chap: Chap | None) -> Mapping[int, Offer]:
        """What the initiator sees, by LUN. :raises Refusal: it is not let in."""

    def serves(self, initiator: str, target: str) -> bool:
        """Whether it is logged in."""

    def log_out(self, initiator: str, target: str) -> None:
        """End its session."""


@dataclass(slots=True)
class _Login:
    identifier: int
    target: str
    portal: Portal
    chap: Chap | None
    replacement: int
    disks: tuple[Disk, ...]


class SimulatedInitiator:
    """Initiator without a kernel.

    :param doors: who stands where. :param name: the IQN of this host. :ivar held: numbers of disks that are mounted, or
        that another device is built on.
    """

    def __init__(self, doors: Mapping[Portal, Door], name: str) -> None:
        self.doors = dict(doors)
        self.held: set[DeviceNumber] = set()
        self._name = check_iqn(name, "initiator")
        self._logins: list[_Login] = []
        self._identifiers = 0

    def name(self) -> str:
        return self._name

    def sessions(self) -> list[Session]:
        return [self._describe(each) for each in self._logins]

    def login(self, target: str, portal: Portal, *, chap: Chap | None = None, timeouts: Timeouts | None = None) -> None:
        check_iqn(target, "target")
        replacement = (timeouts or Timeouts()).replacement
        known = self._find(target, portal)
        if known is not None:
            if not self._is_served(known):
                raise lost(target, portal)
            known.replacement = replacement
            return
        offers = self._knock(target, portal, chap)
        self._identifiers += 1
        fresh = _Login(self._identifiers, target, portal, chap, replacement, ())
        taken = {disk.number.minor for each in self._logins for disk in each.disks}
        for lun, offer in sorted(offers.items()):
            place = next(at for at in range(26) if at * _MINORS_A_DISK not in taken)
            number = DeviceNumber(_MAJOR, place * _MINORS_A_DISK)
            taken.add(number.minor)
            name = f"sd{chr(ord('a') + place)}"
            fresh.disks += (Disk(lun, name, number, offer.size, wwid_of(offer.serial), "running"),)
        self._logins.append(fresh)

    def set_replacement(self, target: str, portal: Portal, seconds: int) -> None:
        known = self._find(check_iqn(target, "target"), portal)
        if known is None:
            raise no_session(target, portal)
        known.replacement = Timeouts(replacement=seconds).replacement

    def logout(self, target: str, portal: Portal) -> None:
        known = self._find(check_iqn(target, "target"), portal)
        if known is None:
            return
        for disk in known.disks:
            if disk.number in self.held:
                raise in_use(disk, target, "in use")
        self._logins.remove(known)
        if portal in self.doors:
            self.doors[portal].log_out(self._name, target)

    def _find(self, target: str, portal: Portal) -> _Login | None:
        return next((each for each in self._logins if (each.target, each.portal) == (target, portal)), None)

    def _knock(self, target: str, portal: Portal, chap: Chap | None) -> Mapping[int, Offer]:
        try:
            if portal not in self.doors:
                raise Refusal(Refusal.UNREACHABLE)
            return self.doors[portal].log_in(self._name, target, portal, chap)
        except Refusal as refusal:
            raise failure(refusal.status, "login", target, portal) from refusal

    def _is_served(self, login: _Login) -> bool:
        """Whether it has a connection; where it lost one it tries again, as iscsid does all the time."""
        door = self.doors.get(login.portal)
        if door is not None and door.serves(self._name, login.target):
            return True
        with contextlib.suppress(DrystoneError):
            self._knock(login.target, login.portal, login.chap)
            return True
        return False

    def _describe(self, login: _Login) -> Session:
        served = self._is_served(login)
        disks = login.disks if served else tuple(replace(each, state="blocked") for each in login.disks)
        state = "LOGGED_IN" if served else "FAILED"
        return Session(login.identifier, login.target, login.portal, state, login.replacement, disks)

"""What LIO can be asked, and the values it answers with.

A *backstore* is a block device that LIO holds open. A *target* has an IQN and one portal group: the addresses it
listens at (portals), the backstores it offers (LUNs), and who may log in (ACLs), each with a CHAP user and the LUNs
that it sees. Two implementations answer: the kernel's own, by configfs (`configfs.py`), and the same over a simulated
configfs (`simulated.py`). Both pass `drystone.testing.lio`, the conformance check.

Nothing here is durable: LIO forgets it all when the kernel stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.names import Chap, Portal

MOST_LUNS = 256
"""LUNs 0 to 255: those that every initiator asks for alike."""
FENCE_TIMEOUT = 60.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Backstore:
    """A backstore as LIO has it, of whatever kind and by whomever made.

    :ivar hba: the folder of its kind, such as iblock_740 (ours) or fileio_0.
    :ivar serial: its unit serial, "" for none.
    :ivar number: of its block device; None when it has none (yet).
    """

    hba: str
    name: str
    number: DeviceNumber | None
    serial: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Lun:
    """A LUN of a target. :ivar hba, backstore: what it offers; both "" when nothing is linked (yet)."""

    number: int
    hba: str
    backstore: str


@dataclass(frozen=True, slots=True)
class Acl:
    """Who may log in.

    :ivar user: its CHAP user, "" for none: then no login succeeds. :ivar luns: (LUN as it sees it, LUN of the target).
    :ivar logged_in: whether it has a session.
    """

    initiator: str
    user: str
    luns: tuple[tuple[int, int], ...]
    logged_in: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A target as LIO has it. Everything is in the kernel's spelling and in order.

    :ivar enabled: whether logins are taken. :ivar chap_only: whether nobody without CHAP or without an ACL gets in.
    :ivar other_groups: portal groups besides the one that is described; we make none.
    """

    iqn: str
    enabled: bool
    chap_only: bool
    portals: tuple[str, ...]
    luns: tuple[Lun, ...]
    acls: tuple[Acl, ...]
    other_groups: tuple[str, ...] = ()


class Lio(Protocol):
    """Every call may be repeated: what is there already as it was asked for is left as it is, and what an earlier call
    began is completed. A call changes what it names and nothing else.

    Every call may raise UnsupportedError (this kernel has no LIO), and KernelError for what is not named below.
    """

    def backstores(self) -> list[Backstore]:
        """All, also those that others have made, by folder and name."""

    def targets(self) -> list[Target]:
        """All iSCSI targets, also those that others have made, by IQN."""

    def create_backstore(self, name: str, device: str, serial: str) -> Backstore:
        """Have LIO hold a block device, exclusively as a mount does, under a name of [a-zA-Z0-9][a-zA-Z0-9_.-]+.

        :param device: its path. :param serial: a UUID, out of which iscsi.names.wwid_of makes what initiators see.
        :raises UsageError: a name, path or serial that is none. :raises NotFoundError: no such device.
        :raises BusyError: something else holds the device.
        :raises MismatchError: a backstore of that name has another device or serial.
        """

    def remove_backstore(self, name: str) -> None:
        """Let a device of `create_backstore` go. :raises BusyError: a LUN offers it."""

    def create_target(self, iqn: str) -> Target:
        """A target that takes no logins yet, and then those of ACLs by CHAP only."""

    def enable_target(self, iqn: str, *, enabled: bool = True) -> None:
        """Take logins, or take none any more and end the sessions. :raises NotFoundError: no such target."""

    def remove_target(self, iqn: str) -> None:
        """Remove a target with its portals.

        :raises BusyError: it has LUNs or ACLs: whoever uses it is fenced and its disks are let go by their own calls.
        """

    def add_portal(self, iqn: str, portal: Portal) -> None:
        """Listen; also at an address that this host does not have yet. Targets may share a portal.

        :raises NotFoundError: no such target. :raises KernelError: EADDRINUSE, another program listens there.
        """

    def remove_portal(self, iqn: str, portal: Portal) -> None:
        """Listen no more; sessions by it end."""

    def add_lun(self, iqn: str, lun: int, backstore: str) -> None:
        """Offer a backstore of `create_backstore`.

        :raises NotFoundError: no such target, or no such backstore. :raises UsageError: a LUN is 0 to 255.
        :raises MismatchError: the LUN offers something else.
        """

    def remove_lun(self, iqn: str, lun: int) -> None:
        """Offer it no more. :raises BusyError: an ACL shows it: that is revoked first, which is what fences."""

    def grant(self, iqn: str, initiator: str, chap: Chap, luns: Sequence[int]) -> None:
        """Let an initiator log in and see these LUNs, each under its own number; others that it sees stay.

        One that is there gets the new CHAP; sessions that it has go on.
        :raises NotFoundError: no such target or LUN. :raises MismatchError: it sees another LUN under such a number.
        """

    def revoke(self, iqn: str, initiator: str, *, timeout: float = FENCE_TIMEOUT) -> None:
        """The fence: remove an initiator's ACL, and end its sessions. No ACL, or no target: there is nothing to fence.

        When this has returned, no write of the initiator by this target is under way, none will be done, and its logins
        are refused until `grant`. It returns when the kernel has completed the ACL's rmdir, which waits for the
        initiator's writes, and for a login of it that is under way. After an error nothing is known: call it again.

        :param timeout: seconds.
        :raises TimedOutError: the rmdir is not completed. It goes on; the next call waits for the same one. Until then
            `targets` tells of this ACL alone, as one that shows nothing, and every change of the target's ACLs is a
            BusyError. A device below does not answer; or a login has come to a standstill, for which Linux 6.1 has no
            limit. Where the leg must be safe now, put a table of errors below it.
        """

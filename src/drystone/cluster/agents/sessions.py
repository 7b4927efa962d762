"""The iSCSI sessions by which an ihost has the legs of a volume: logins, what is in caches, logouts."""

from __future__ import annotations

from collections.abc import Callable, Collection

from drystone.base.errors import MismatchError, UnavailableError
from drystone.cluster.agents.failures import Failures
from drystone.cluster.agents.legs import LUN, chap_of, wwid_of_leg
from drystone.cluster.agents.timeouts import SessionTimeouts
from drystone.cluster.agents.views import find_leg_session
from drystone.cluster.model.calls import Disk, VolumeWish
from drystone.kernel.iscsi.abc import Initiator, await_disk, find_session
from drystone.kernel.iscsi.names import Portal


def log_in(wish: VolumeWish, initiator: Initiator, timeouts: SessionTimeouts, failures: Failures) -> None:
    """Have all disks. One that is not to be had keeps none of the others.

    :raises MismatchError: a target offers something else than its leg: nothing here can be relied on.
    """
    there = initiator.sessions()
    for each in wish.disks:
        portal, chap = Portal.parse(each.portal), chap_of(each.leg, each.secret)
        known = timeouts.at_login(find_leg_session(there, each))
        with failures.kept():
            initiator.login(each.target, portal, chap=chap, timeouts=known)
            await_disk(initiator, each.target, portal, LUN)
        session = find_session(initiator.sessions(), each.target, portal)
        for found in session.disks if session else ():
            if found.lun == LUN and found.size and found.wwid != wwid_of_leg(each.leg):
                raise MismatchError(f"{each.target} at {portal} offers {found.wwid}, which is not leg {each.leg}")


def flush_legs(disks: Collection[Disk], initiator: Initiator, flush: Callable[[str], None]) -> None:
    """Have what was written to legs on their dpvs' disks. :param flush: writes back what a disk has in its cache.

    :raises UnavailableError: a leg cannot be reached.
    """
    sessions = initiator.sessions()
    for each in disks:
        session = find_leg_session(sessions, each)
        if session is None or not session.is_logged_in:
            raise UnavailableError(
                f"leg {each.leg} cannot be reached: what was written to it may be in a cache still",
                hint="take it out of the in-sync set, then detach",
            )
        for disk in session.disks:
            flush(disk.path)


def log_out(disks: Collection[Disk], initiator: Initiator) -> None:
    """Have no session to legs. One that cannot be ended keeps none of the others.

    :raises DrystoneError: of the first that cannot.
    """
    failures = Failures()
    for each in disks:
        with failures.kept():
            initiator.logout(each.target, Portal.parse(each.portal))
    failures.tell()

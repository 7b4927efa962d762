"""iscsiadm's exit codes as errors, by what the caller should do.

Source: iscsiadm(8), "EXIT STATUS"; open-iscsi `include/iscsi_err.h`.
"""

from __future__ import annotations

from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    MismatchError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from drystone.kernel.iscsi.abc import Disk
from drystone.kernel.iscsi.names import Portal

SESSION_EXISTS = 15
NOTHING_FOUND = frozenset({2, 21})
"""No such session; no such record."""
DISTURBED = frozenset({6, 21})
"""Of a record that was written before: iscsiadm walks through all records, and stumbles where another is removed."""
NOT_CONNECTED = 32
ENDING = frozenset({0, *NOTHING_FOUND, 28, 29, NOT_CONNECTED})
"""Of a logout that is asked for again while the session is there: done; not known (yet); busy; again; not connected."""

_ERRORS: dict[int, tuple[type[DrystoneError], str, str]] = {
    2: (NotFoundError, "there is no such session", ""),
    3: (ExhaustedError, "out of memory", ""),
    4: (UnavailableError, "it cannot be connected to", "is the target's portal up, and the way to it?"),
    5: (UnavailableError, "it takes no login", "is the target enabled?"),
    6: (DrystoneError, "open-iscsi's records cannot be used", ""),
    8: (UnavailableError, "it did not answer in time", "is there such a target, and is it enabled?"),
    11: (UnavailableError, "it stopped answering", "is the way to it whole?"),
    12: (UnsupportedError, "this kernel has no iSCSI over TCP", "modprobe iscsi_tcp"),
    13: (UnsupportedError, "the initiator is for root", "run it as root"),
    14: (UnsupportedError, "the transport cannot do that", ""),
    15: (ExistsError, "there is such a session", ""),
    18: (UnavailableError, "iscsid does not answer", "is iscsid well?"),
    19: (UnavailableError, "it ended the login for good", "read the kernel's log on both sides"),
    20: (UnavailableError, "iscsid does not run", "systemctl start iscsid"),
    21: (NotFoundError, "there is no such record or session", ""),
    23: (UnavailableError, "there is no such host", ""),
    24: (
        MismatchError,
        "it refuses this initiator",
        "compare the initiator's name, the CHAP user and the secret with the target's ACL",
    ),
    27: (UnsupportedError, "open-iscsi cannot do that", ""),
    28: (BusyError, "it is in use", ""),
    29: (BusyError, "it is busy", "try again"),
    NOT_CONNECTED: (UnavailableError, "its session is not connected now", "try again in a moment"),
}


def failure(status: int, operation: str, target: str, portal: Portal, said: str = "") -> DrystoneError:
    """The error for an exit code of iscsiadm other than 0.

    :param said: the last line that it wrote. Facts: program, status, operation, target, portal, output.
    """
    kind, reason, hint = _ERRORS.get(status, (DrystoneError, f"iscsiadm ended with {status}", ""))
    if kind is DrystoneError and said:
        reason = f"{reason}: {said}"
    return kind(
        f"{operation} of {target} at {portal} failed: {reason}",
        hint=hint,
        program="iscsiadm",
        status=status,
        operation=operation,
        target=target,
        portal=str(portal),
        output=said or None,
    )


def lost(target: str, portal: Portal) -> UnavailableError:
    """For a login where there is a session that has no connection."""
    return UnavailableError(
        f"there is a session with {target} at {portal} that has lost its connection",
        hint="it comes back by itself when the target does; or log out first",
    )


def in_use(disk: Disk, target: str, user: str) -> BusyError:
    """For a logout that would take a disk away from its user, who is told in words."""
    return BusyError(f"{disk.path} of {target} is {user}", device=disk.path)

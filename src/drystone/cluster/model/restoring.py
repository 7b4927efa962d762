"""A dlv that is filled from a backup: made as any, put together at an ihost without the device that users open, filled
there, and taken down again. Only then it is a dlv like others. If that fails, or is canceled, it is deleted.
"""

from __future__ import annotations

from msgspec.structs import replace

from drystone.base.errors import BusyError
from drystone.cluster.model.dlv import Dlv, DlvStatus


def check_filled(dlv: Dlv) -> None:
    """:raises BusyError: it does not hold all of its backup yet."""
    if dlv.restore is not None:
        raise BusyError(
            f"dlv {dlv.name} is being restored from backup {dlv.restore.backup}",
            hint="wait until its job is finished, or cancel that: it is deleted then",
        )


def status_held(dlv: Dlv) -> DlvStatus:
    """Of a dlv that its ihost has as it is recorded."""
    return "attached" if dlv.restore is None else "restoring"


def complete(dlv: Dlv) -> Dlv:
    """All of the backup is there, and durable on every leg that is in sync. It is taken down, and is like any other."""
    return replace(
        dlv, restore=None, wanted="", status="detaching", reason="all of it is restored", epoch=dlv.epoch + 1
    )

"""How a leg is called on both sides: in LIO, by iSCSI, in device-mapper."""

from __future__ import annotations

import uuid

from drystone.cluster.agents.devices import PREFIX
from drystone.cluster.model.calls import target_name
from drystone.kernel.iscsi.names import Chap, wwid_of

LUN = 0
"""The one LUN of a leg's target."""

_SPACE = uuid.UUID("6f1d3c0e-2b57-4c4e-9d0a-7f6f5f1d2a31")
"""Of the serials that are made out of legs' ids."""
_TARGETS = target_name("")


def serial_of(leg: str) -> str:
    """The serial of its backstore: the same wherever the leg is, and no other leg's."""
    return str(uuid.uuid5(_SPACE, leg))


def wwid_of_leg(leg: str) -> str:
    """The WWID of its disk, as sysfs shows it."""
    return wwid_of(serial_of(leg))


def chap_of(leg: str, secret: str) -> Chap:
    """With what its ihost proves itself. :raises UsageError: the secret is none."""
    return Chap(leg, secret)


def uuid_of_leg(leg: str) -> str:
    """The UUID of its device on the dpv."""
    return f"{PREFIX}leg-{leg}"


def is_leg_target(target: str) -> bool:
    """Whether an iSCSI name is a leg's, of whatever cluster."""
    return target.startswith(_TARGETS)

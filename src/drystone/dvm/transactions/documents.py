"""What `transact` tells: the outcome of a change, the versions there are, how two of them differ."""

from __future__ import annotations

from typing import Literal

import msgspec

from drystone.dvm.discovery.devices import GroupReference
from drystone.dvm.replication.documents import Transaction
from drystone.dvm.transactions.difference import Change
from drystone.dvm.transactions.version import Holder


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a change led to.

    :ivar transaction: the one that counts now; with `dry_run`, the one that the change would be put on.
    :ivar changed: whether there is, or would be, a new version. :ivar changes: in the metadata.
    :ivar steps: what is, or would be, done to device-mapper, in words.
    """

    schema: Literal["drystone.dvm.transaction"] = "drystone.dvm.transaction"
    version: Literal[1] = 1
    group: GroupReference
    command: tuple[str, ...]
    transaction: Transaction
    changed: bool
    dry_run: bool = False
    devices: tuple[Holder, ...] = ()
    changes: tuple[Change, ...] = ()
    steps: tuple[str, ...] = ()


class LogEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version that can be read. :ivar devices: how many held it."""

    sequence: int
    hash: str
    parent: str
    at: str
    command: tuple[str, ...]
    devices: int
    length: int


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The versions, newest first."""

    schema: Literal["drystone.dvm.log"] = "drystone.dvm.log"
    version: Literal[1] = 1
    group: GroupReference
    versions: tuple[LogEntry, ...]


class Difference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How two versions differ."""

    schema: Literal["drystone.dvm.diff"] = "drystone.dvm.diff"
    version: Literal[1] = 1
    group: GroupReference
    old: Transaction
    new: Transaction
    changes: tuple[Change, ...]

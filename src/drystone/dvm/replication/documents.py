"""What `replicate` tells: transactions, the status of regions, the history. Hashes are hex, sizes whole bytes."""

from __future__ import annotations

from typing import Literal

import msgspec

RegionState = Literal["clean", "prepared", "unformatted", "damaged", "unreadable"]
Agreement = Literal["clean", "prepared", "out-of-step"]


class Transaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A transaction: it put `length` bytes in the place of what its parent left.

    :ivar sequence: 0 for the empty data of a new group. :ivar parent: 64 zeros for that one.
    """

    sequence: int
    hash: str
    parent: str
    length: int
    group: str


class RegionStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One region.

    :ivar name: path and pages. :ivar region: its own UUID. :ivar next: what it is prepared for.
    :ivar versions: how many can be read. :ivar used_pages: pages that hold them, of `pages`; 0: not
        counted.
    :ivar problem: what is wrong with it. :ivar errno: of what failed.
    """

    name: str
    state: RegionState
    pages: int
    region: str = ""
    committed: Transaction | None = None
    next: Transaction | None = None
    versions: int = 0
    used_pages: int = 0
    problem: str = ""
    errno: int = 0


class Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All regions of a call.

    :ivar agreement: clean and prepared mean all of them, in the same transaction; else out-of-step.
    :ivar problem: why they are out of step. :ivar hint: what to do about it.
    """

    regions: tuple[RegionStatus, ...]
    agreement: Agreement
    group: str = ""
    problem: str = ""
    hint: str = ""
    schema: Literal["drystone.dvm.replicate.status"] = "drystone.dvm.replicate.status"
    version: Literal[1] = 1


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The versions that can be read, newest first."""

    transactions: tuple[Transaction, ...]
    schema: Literal["drystone.dvm.replicate.history"] = "drystone.dvm.replicate.history"
    version: Literal[1] = 1


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one operation led to: the transaction that was formatted, prepared, committed, kept or read."""

    operation: Literal["format", "prepare", "commit", "abort", "read"]
    transaction: Transaction
    schema: Literal["drystone.dvm.replicate.outcome"] = "drystone.dvm.replicate.outcome"
    version: Literal[1] = 1


class Committed(msgspec.Struct, frozen=True):
    """A version, and its data."""

    transaction: Transaction
    data: bytes

"""What operators and storage servers ask of a mapper beside heartbeats, allocations and reports: buckets, keys, disks.

All are JSON over HTTP, below /internal/, with the fleet's secret as the bearer token.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from drystone.fleet.documents import Policy

DiskMark = Literal["", "bad", "draining"]
"""What an operator says of a disk: nothing, that it is bad (nothing on it counts), or that it shall be emptied."""


class NewBucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /internal/buckets. The answer is the Bucket, or that it exists (409).

    :ivar policy: "" for the one that the mapper is set to. :ivar owner: an access key. :ivar quota: bytes, 0 for none.
    """

    name: str
    policy: Policy | Literal[""] = ""
    owner: str = ""
    quota: int = 0
    settings: dict[str, str] = {}


class BucketChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /internal/buckets/NAME. The answer is the Bucket as it is then.

    :ivar settings: merged into those it has; "" removes one. :ivar quota: bytes, None leaves it.
    """

    settings: dict[str, str] = {}
    quota: int | None = None


class DiskOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /internal/disks: mark a disk of a server, by its name there, or all of its disks when `disk` is ""."""

    server: str
    disk: str
    mark: DiskMark
    reason: str = ""


class LeadOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /internal/lead: make `server` lead a placement. The answer is the Placement.

    :ivar accept_loss: also when its copy is not known to hold every acknowledged write. What only others hold is lost.
    """

    placement: str
    server: str
    accept_loss: bool = False


class DrillOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /internal/drill: have a placement's newest objects read back whole, next of all. The answer: 204."""

    placement: str


class RememberOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /internal/remember: have a host back that was forgotten, of which disks hold data still. The answer is the
    Placement."""

    namespace: str
    host: str


class VbucketOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /internal/vbuckets: groups of `per_disk` of the vbuckets 0 to `total` - 1, a placement a group."""

    namespace: str
    per_disk: int
    total: int


class Moves(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /internal/rebalance: copies that may be moved at the same time, 0 to stop. The answer is the same."""

    moves: int

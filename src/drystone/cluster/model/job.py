"""Jobs: work on a dlv that takes longer than a request, and the states that it passes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from drystone.base.errors import RefusedError

JobKind = Literal["extend", "failover", "move", "resize", "rollback", "clone", "restore"]
JobStatus = Literal["creating", "processing", "finishing", "finished", "canceling", "canceled", "failed"]
ENDED: tuple[JobStatus, ...] = ("finished", "canceled", "failed")

NEXT: dict[JobStatus, frozenset[JobStatus]] = {
    "creating": frozenset({"processing", "canceling", "failed"}),
    "processing": frozenset({"finishing", "canceling", "failed"}),
    "finishing": frozenset({"finished", "failed"}),
    "canceling": frozenset({"canceled", "failed"}),
    "finished": frozenset(),
    "canceled": frozenset(),
    "failed": frozenset(),
}
"""A state and those that may follow. What is finishing cannot be canceled: the volume is using it already. Nor can what
has failed: a job knows its dlv by name, and that may be another's by then.

A `resize` begins as processing: its size is the dlv's from the moment that it is recorded."""


class Job(Struct, frozen=True, kw_only=True):
    """Work on a dlv.

    :ivar dlv: its name. :ivar group: number of the group that an `extend` adds, or that a `failover` or `move` is
        of; else -1.
    :ivar leg: id of the one that a `failover` puts in the place of a lost one, or that a `move` puts in the place of
        one that is given up once the new one has joined.
    :ivar fill: of a `resize` that the file system is to follow: the dlv's `fill` that it waits for; else 0.
    :ivar done: bytes that are copied, of :ivar total:, where that is counted: by a `clone` and a `restore`.
    """

    id: str
    kind: JobKind
    dlv: str
    group: int = -1
    status: JobStatus = "creating"
    reason: str = ""
    leg: str = ""
    fill: int = 0
    done: int = 0
    total: int = 0


def check_step(job: Job, status: JobStatus) -> None:
    """:raises RefusedError: the job cannot go from where it is to `status`."""
    if status not in NEXT[job.status]:
        raise RefusedError(f"job {job.id} is {job.status}, it cannot become {status}", status=job.status)

"""How much room a pool has left, in a word: what the daemon warns of, and from when on it takes no new work.

Warned of early, refused late: between the two there is time to give the pool larger devices. Both numbers of blocks are
looked at, because a pool whose metadata is full takes no write at all, whatever data is free.

| state       | data blocks free     | metadata blocks used   | new volumes and snapshots |
|-------------|----------------------|------------------------|---------------------------|
| ok          | a tenth or more      | three quarters or less | taken                     |
| low         | less than a tenth    | more                   | taken; a warning          |
| full        | less than a 20th     | more than nine tenths  | refused                   |
| needs-check | (the kernel made it read-only)                || refused                   |
| failed      | (the kernel cannot use its metadata)          || refused                   |
"""

from __future__ import annotations

from dataclasses import dataclass

from drystone.base.errors import DamagedError, ExhaustedError
from drystone.kernel.dm.statuses import ThinPoolStatus

_METADATA_LOW, _METADATA_FULL = 0.75, 0.9
"""Shares of used metadata blocks: the kernel needs some free ones to write at all."""

OK, LOW, FULL, NEEDS_CHECK, FAILED = "ok", "low", "full", "needs-check", "failed"
"""The states, from good to bad."""


def low_water(total: int) -> int:
    """Free data blocks below which a pool of `total` blocks is low: the kernel sends an event there, too."""
    return max(1, total // 10)


def reserve(total: int) -> int:
    """Free data blocks below which a pool of `total` blocks takes no new work."""
    return max(1, total // 20)


@dataclass(frozen=True, slots=True)
class Room:
    """The room of a pool.

    :ivar state: a word of the module's table. :ivar text: why, for people; "" when it is ok.
    """

    state: str
    text: str


def judge(status: ThinPoolStatus) -> Room:
    """The room that a pool's status tells of. One that has failed has no such status."""
    if status.needs_check or status.mode == "ro":
        return Room(NEEDS_CHECK, "it needs a check: the kernel takes no more changes")
    free, total = status.total_data - status.used_data, status.total_data
    data = f"{free} of {total} data blocks are free"
    metadata = f"{status.used_metadata} of {status.total_metadata} metadata blocks are used"
    share = status.used_metadata / max(status.total_metadata, 1)
    if status.mode == "out_of_data_space" or free < reserve(total):
        return Room(FULL, f"{data}, new work needs {reserve(total)}")
    if share > _METADATA_FULL:
        return Room(FULL, metadata)
    if free < low_water(total):
        return Room(LOW, data)
    if share > _METADATA_LOW:
        return Room(LOW, metadata)
    return Room(OK, "")


def check_room(name: str, status: ThinPoolStatus) -> None:
    """May the pool take a new volume or snapshot?

    :raises ExhaustedError: it is too full. :raises DamagedError: it needs a check.
    """
    room = judge(status)
    if room.state == NEEDS_CHECK:
        raise DamagedError(
            f"pool {name} needs a check: the kernel takes no more changes",
            hint="see dmesg; stop the daemon and run drystone thin check on its metadata device",
        )
    if room.state == FULL:
        raise ExhaustedError(
            f"pool {name} is full: {room.text}",
            hint="delete volumes or snapshots, or enlarge its devices and: drystone volume pool extend",
            free_blocks=status.total_data - status.used_data,
            total_blocks=status.total_data,
        )

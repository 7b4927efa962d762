"""dm-stats: what a mapped device counts of its I/O, asked for by messages. Spelling and reading; no I/O happens here.

Facts: Linux 6.1 `drivers/md/dm-stats.c`, `Documentation/admin-guide/device-mapper/statistics.rst`. A region counts from
its creation on, whatever tables the device gets; it goes with the device. Times are asked for in nanoseconds
(`precise_timestamps`): otherwise they are in jiffies, of 4 or 10 ms.

`@stats_create` suspends the device for a moment, inside the kernel, and waits until no I/O is in flight, without an end
and without a signal being heard (`dm_internal_suspend_fast`). Meanwhile nobody else can suspend it. On a mirror that
holds its writes it would so wait for a swap that waits for it. `@stats_list` and `@stats_print` wait for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from drystone.base.errors import DamagedError
from drystone.base.sizes import SECTOR

_NANOSECONDS = 1_000_000_000
_REGION = re.compile(r"([0-9]+): ([0-9]+)\+([0-9]+) ([0-9]+) (\S+) \S*")
_COUNTERS = 13


class Region(msgspec.Struct, frozen=True):
    """What is counted: sectors [start, start + length). :ivar program: who asked for it."""

    number: int
    start: int
    length: int
    program: str


class IoCounts(msgspec.Struct, frozen=True):
    """What was counted. Bytes; seconds that requests took, summed up, so that seconds / reads is a mean.

    :ivar in_flight: requests under way. :ivar slower: requests, of both kinds, that took less than each bound, and the
        last those that took longer; () without bounds.
    """

    reads: int
    read_bytes: int
    read_seconds: float
    writes: int
    written_bytes: int
    write_seconds: float
    in_flight: int
    slower: tuple[int, ...] = ()


def create_message(length: int, bounds: Sequence[float], program: str) -> str:
    """Have the first `length` sectors counted in one. :param bounds: of the histogram, in seconds, rising."""
    spelled = ",".join(str(round(each * _NANOSECONDS)) for each in bounds)
    return f"@stats_create 0+{length} /1 2 precise_timestamps histogram:{spelled} {program}"


def list_message(program: str) -> str:
    """Ask for the regions of a program."""
    return f"@stats_list {program}"


def print_message(number: int) -> str:
    """Ask for what a region has counted."""
    return f"@stats_print {number}"


def delete_message(number: int) -> str:
    """Have a region gone. It waits as a creation does."""
    return f"@stats_delete {number}"


def parse_list(text: str) -> list[Region]:
    """The answer to `list_message`. :raises DamagedError: it is none."""
    found = []
    for line in text.splitlines():
        match = _REGION.match(line)
        if match is None:
            raise DamagedError(f"a region of dm-stats says {line[:100]!r}")
        number, start, length, _, program = match.groups()
        found.append(Region(int(number), int(start), int(length), program))
    return found


def parse_counts(text: str) -> IoCounts:
    """The answer to `print_message`, of a region of one area. :raises DamagedError: it is none."""
    words = text.split()
    numbers = words[1 : 1 + _COUNTERS]
    histogram = words[1 + _COUNTERS].split(":") if len(words) == _COUNTERS + 2 else []
    if len(words) not in {_COUNTERS + 1, _COUNTERS + 2} or not all(
        each.isascii() and each.isdigit() for each in (*numbers, *histogram)
    ):
        raise DamagedError(f"the counters of dm-stats say {text[:200]!r}")
    values = [int(each) for each in numbers]
    return IoCounts(
        reads=values[0],
        read_bytes=values[2] * SECTOR,
        read_seconds=values[3] / _NANOSECONDS,
        writes=values[4],
        written_bytes=values[6] * SECTOR,
        write_seconds=values[7] / _NANOSECONDS,
        in_flight=values[8],
        slower=tuple(int(each) for each in histogram),
    )

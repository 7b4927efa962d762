"""Open files under numbers that somebody else chose."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

_MOST_HANDLES = 1 << 20


def rearrange(received: Sequence[int], numbers: Sequence[int], kept: int) -> int:
    """Give the open files `received` these numbers, which programs inherit, and close all others but `kept`.

    :returns: the number that `kept` has afterwards, above all of `numbers` and above stderr's.
    :raises OSError: the limit of open files.
    """
    above = max(2, *numbers, 2) + 1
    moved = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, above) for handle in (kept, *received)]
    close_others(moved)
    for handle, number in zip(moved[1:], numbers, strict=True):
        os.dup2(handle, number)
        os.close(handle)
    return moved[0]


def close_others(kept: Sequence[int]) -> None:
    """Close all open files of this process but these."""
    begin = 0
    for handle in sorted(kept):
        os.closerange(begin, handle)
        begin = handle + 1
    os.closerange(begin, _MOST_HANDLES)

"""Other processes of this machine, as /proc shows them."""

from __future__ import annotations

import os
from pathlib import Path


def program_of(pid: int, proc: Path = Path("/proc")) -> str:
    """The words of a process' command line, its name where it has none; "" when there is no such process (any more).

    It is what the process says of itself: no proof of anything.
    """
    folder = proc / str(pid)
    try:
        words = (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        return os.fsdecode(words or (folder / "comm").read_bytes().rstrip(b"\n"))[:_MOST]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


_MOST = 500
"""Characters: a command line may have two million."""

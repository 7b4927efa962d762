"""Other processes of this machine, as /proc shows them."""

from __future__ import annotations

from pathlib import Path


def program_of(pid: int, proc: Path = Path("/proc")) -> str:
    """The words of a process' command line, its name where it has none; "" when there is no such process (any more).

    It is what the process says of itself: no proof of anything. Bytes that are no UTF-8, and characters that are not
    for printing, are escaped: it is text that can be written down, on one line, and does nothing to a terminal.
    """
    folder = proc / str(pid)
    try:
        words = (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        text = (words or (folder / "comm").read_bytes().rstrip(b"\n"))[:_MOST_BYTES].decode(errors="backslashreplace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)[:_MOST]


_MOST = 500
"""Characters: a command line may have two million."""
_MOST_BYTES = 4 * _MOST

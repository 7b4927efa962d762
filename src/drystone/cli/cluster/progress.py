"""How something stands that is waited for: a line that is drawn anew on a terminal, else a line a change."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time

from drystone.cli.output import interactive, tell

_CLEAR = "\r\x1b[K"


class Progress:
    """On stderr; `finish` when nothing more comes."""

    def __init__(self) -> None:
        self._draws = interactive()
        self._begun = time.monotonic()
        self._last = ""

    def show(self, text: str) -> None:
        """How it stands now."""
        text = printable(text)
        if self._draws:
            line = f"{text} ({time.monotonic() - self._begun:.0f} s)"
            self._write(f"{_CLEAR}{line[: shutil.get_terminal_size().columns - 1]}")
        elif text != self._last:
            tell(text)
        self._last = text

    def finish(self) -> None:
        """Leave the line empty."""
        if self._draws and self._last:
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def printable(text: str) -> str:
    """Without what would move a terminal's cursor, or change its colours."""
    return "".join(each if each.isprintable() else "?" for each in text)

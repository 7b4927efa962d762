"""The tools that ours are compared with: thin-provisioning-tools, of the 0.9 line and of the 1.x line.

0.9 is Debian 12's own package, found on PATH. 1.x is what scripts/peers puts into the folder .peers/ of a checkout, run
with the libraries that lie beside it; where the machine's own package is 1.x already, that one is taken.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

CHECKOUT = Path(__file__).resolve().parents[3]
"""The folder with .peers/ in it, when the package is used from a checkout."""

Line = Literal["0.9", "1.x"]

_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of the tools.

    :ivar line: 0.9 or 1.x. :ivar version: as the tools print it.
    :ivar prefix: what comes before a tool's name on the command line; empty when the tools are on PATH.
    """

    line: Line
    version: str
    prefix: tuple[str, ...]

    def command(self, tool: str, *arguments: str | os.PathLike[str]) -> list[str]:
        """The command line that runs `tool`."""
        return [*self.prefix, tool, *(os.fspath(each) for each in arguments)]

    def run(self, tool: str, *arguments: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
        """Run `tool` to its end, whatever that is; stdout and stderr as text, bytes that are none replaced.

        :raises subprocess.TimeoutExpired: after two minutes.
        """
        return subprocess.run(
            self.command(tool, *arguments),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )


@cache
def find_peer(line: Line, *, checkout: Path = CHECKOUT) -> Peer | None:
    """The tools of that line; None when they are not here."""
    fetched = checkout / ".peers"
    if line == "1.x" and (fetched / "version").exists():
        loader, libraries, program = (str(fetched / each) for each in (fetched / "command").read_text().split())
        version = (fetched / "version").read_text().strip()
        return Peer(line, version, (loader, "--library-path", libraries, program))
    if shutil.which("thin_check") is None:
        return None
    found = Peer(line, "", ()).run("thin_check", "--version")
    version = found.stdout.split()[-1] if found.stdout.split() else ""
    fits = version.startswith("0.9") if line == "0.9" else version.startswith("1.")
    return Peer(line, version, ()) if fits else None

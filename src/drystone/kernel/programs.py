"""Programs of the operating system, run and waited for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from drystone.base.errors import UnsupportedError

_PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program left: its exit code (negative: the signal that ended it) and its two outputs as text."""

    program: str
    code: int
    stdout: str
    stderr: str

    def last_line(self) -> str:
        """The last line that it wrote, of errors first: what to tell people."""
        for text in (self.stderr, self.stdout):
            if lines := [line.strip() for line in text.splitlines() if line.strip()]:
                return lines[-1]
        return f"{self.program} ended with {self.code}"


def find_program(name: str) -> str | None:
    """Where a program is: on PATH, or where Debian keeps those of root, which PATH may lack."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES])
    return shutil.which(name, path=path)


def run_program(name: str, arguments: Sequence[str], *, package: str) -> Outcome:
    """Run a program with no input, in the C locale, and wait for its end.

    :param package: the Debian package that it comes with.
    :raises UnsupportedError: it is not installed.
    """
    program = find_program(name)
    if program is None:
        raise UnsupportedError(f"{name} is not installed", hint=f"apt-get install {package}", package=package)
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        errors="backslashreplace",
        env={**os.environ, "LC_ALL": "C"},
    )
    return Outcome(name, done.returncode, done.stdout, done.stderr)

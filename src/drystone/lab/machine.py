"""What this machine has for a lab: the User-Mode Linux kernel, its modules, memory, a place on a tmpfs.

Debian's packages: `user-mode-linux` holds `linux.uml` and the modules, `kmod` the modprobe that a guest's kernel calls.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from drystone.base.errors import ExhaustedError, UnsupportedError
from drystone.base.sizes import format_size

MODULES = Path("/usr/lib/uml/modules")
SYSTEMD = Path("/usr/lib/systemd/systemd")
_MEMORY_PLACES = ("/dev/shm", "/run/shm", "/tmp", "/var/tmp")  # noqa: S108 - places to look at, nothing is made here


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that can be booted: its program, its release, the folder of its modules."""

    program: Path
    release: str
    modules: Path


def find_kernel(modules_root: Path = MODULES, search_path: str | None = None) -> Kernel:
    """The User-Mode Linux kernel of this machine. `search_path` replaces $PATH.

    :raises UnsupportedError: a package is missing; the message names it.
    """
    program = shutil.which("linux.uml", path=search_path)
    if program is None:
        raise UnsupportedError(
            "linux.uml, the kernel of the lab, is not installed",
            hint="apt-get install user-mode-linux",
            package="user-mode-linux",
        )
    if shutil.which("modprobe", path="/sbin:/usr/sbin:/bin:/usr/bin") is None:
        raise UnsupportedError("modprobe is not installed", hint="apt-get install kmod", package="kmod")
    releases = sorted(modules_root.glob("*/modules.dep"))
    if not releases:
        raise UnsupportedError(
            f"{modules_root} holds no kernel modules for the lab",
            hint="apt-get install --reinstall user-mode-linux",
            package="user-mode-linux",
        )
    folder = releases[0].parent if len(releases) == 1 else modules_root / _ask_release(program)
    return Kernel(Path(program), folder.name, folder)


def _ask_release(program: str) -> str:
    """What `linux.uml --version` prints: the release, on one line."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def check_systemd(program: Path = SYSTEMD) -> None:
    """Whether this machine has the systemd that guests could run.

    :raises UnsupportedError: it has not.
    """
    if not program.exists():
        raise UnsupportedError(f"{program} is not installed", hint="apt-get install systemd", package="systemd")


def available_memory(meminfo: str) -> int:
    """Bytes of MemAvailable in the text of /proc/meminfo."""
    match = re.search(r"^MemAvailable:\s+([0-9]+) kB$", meminfo, re.MULTILINE)
    return int(match[1]) << 10 if match else 0


def check_memory(wanted: int, meminfo: str) -> None:
    """Whether guests of `wanted` bytes together fit into the memory that /proc/meminfo's text says is available.

    :raises ExhaustedError: they do not.
    """
    available = available_memory(meminfo)
    if wanted > available:
        raise ExhaustedError(
            f"the guests want {format_size(wanted)} of memory, {format_size(available)} are available",
            hint="fewer nodes, or a smaller --memory (96M boots)",
            wanted=wanted,
            available=available,
        )


def find_memory_place(wanted: int, places: tuple[str, ...] = _MEMORY_PLACES) -> Path:
    """A folder with `wanted` bytes free where the guests' memory can live: files there may be mapped executable.

    A tmpfs comes first in `places`, as elsewhere the disk is written to.

    :raises ExhaustedError: none has the room.
    """
    for place in places:
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        room = found.f_bavail * found.f_frsize
        if room >= wanted and not found.f_flag & os.ST_NOEXEC and os.access(place, os.W_OK):
            return Path(place)
    raise ExhaustedError(
        f"none of {', '.join(places)} has {format_size(wanted)} free for the guests' memory",
        hint="in a container, give it a larger /dev/shm (--shm-size), or use a smaller --memory",
        wanted=wanted,
    )

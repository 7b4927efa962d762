"""The folders of running labs: where they are, who holds them, and what is left of labs that died.

A lab's folder is locked (flock on the folder itself) by its supervisor for as long as that lives. A folder that can be
locked is nobody's: its guests, if any are left, are ended and it is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from drystone.base.errors import ExistsError, RefusedError, UsageError
from drystone.base.names import check_name

LONGEST_LAB_NAME = 32
"""Characters: the kernel's own socket lies below the lab's folder, and a socket's path has at most 107."""

_CLAIMS = 10
_CLAIM_PAUSE = 0.05
_ABANDONED = 60.0
"""Seconds. A folder is empty for a moment before it is locked; one that stays so is nobody's."""


def runtime_root() -> Path:
    """The folder of all labs of this user, made when it is missing: short, private.

    :raises RefusedError: it belongs to somebody else.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and len(base) <= 32 and os.access(base, os.W_OK):
        root = Path(base) / "drystone"
    else:
        root = Path(f"/tmp/drystone-{os.getuid()}")  # noqa: S108 - made private and checked below
    return _make_private(root)


def disks_root() -> Path:
    """The folder for disks that have no file of their own: below $TMPDIR, which may hold more than memory."""
    return _make_private(Path(tempfile.gettempdir()) / f"drystone-disks-{os.getuid()}")


def _make_private(folder: Path) -> Path:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise RefusedError(f"{folder} is not a private folder of this user", hint="remove it, or set XDG_RUNTIME_DIR")
    return folder


def check_lab_name(name: str) -> str:
    """`name`, when a lab can be called so.

    :raises UsageError: it cannot.
    """
    check_name(name, "lab name")
    if len(name) > LONGEST_LAB_NAME:
        raise UsageError(f"lab name {name[:20]!r}... has {len(name)} characters, {LONGEST_LAB_NAME} are allowed")
    return name


def claim_folder(root: Path, name: str) -> tuple[Path, int]:
    """Make and lock the folder of the lab `name`; the descriptor that holds the lock, for the supervisor to inherit.

    What a dead lab of that name has left is cleared away first.

    :raises ExistsError: a lab of that name runs.
    """
    folder = root / name
    for _ in range(_CLAIMS):
        folder.mkdir(mode=0o700, exist_ok=True)
        handle = _lock(folder)
        if handle is None:  # held by a lab, or for a moment by a sweep
            time.sleep(_CLAIM_PAUSE)
            continue
        if not any(folder.iterdir()):
            return folder, handle
        clear_remains(folder)
        os.close(handle)
    raise ExistsError(f"the lab {name!r} is up already", hint=f"drystone lab down --name {name}, or another --name")


def _lock(folder: Path) -> int | None:
    """The locked descriptor of `folder`; None when somebody holds it or it is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == folder.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def sweep(root: Path) -> None:
    """Clear away what labs have left whose supervisors died."""
    for folder in [each for each in root.iterdir() if each.is_dir()]:
        with contextlib.suppress(FileNotFoundError):  # whoever it belongs to, or another sweep, was faster
            if not any(folder.iterdir()):
                if time.time() - folder.stat().st_mtime > _ABANDONED:
                    folder.rmdir()
            elif (handle := _lock(folder)) is not None:
                clear_remains(folder)
                os.close(handle)


def clear_remains(folder: Path) -> None:
    """End the guests that a dead supervisor left behind, then remove the folder. The caller holds its lock."""
    for record in folder.glob("*/pid"):
        pid, _, started = record.read_text().partition(" ")
        if pid.isdigit() and started_at(int(pid)) == started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pid), signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree((folder / "disks").readlink(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def started_at(pid: int) -> str:
    """When the process began, in clock ticks since boot, as text; "" when there is none. Tells a pid from its reuse."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def running_labs(root: Path) -> Iterator[str]:
    """Names of the labs whose control socket exists, sorted."""
    for path in sorted(root.glob("*/control")):
        yield path.parent.name

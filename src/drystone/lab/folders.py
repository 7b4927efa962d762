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
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from drystone.base.errors import ExistsError, RefusedError, UsageError
from drystone.base.names import check_name

LONGEST_LAB_NAME = 32
"""Characters: the kernel's own socket lies below the lab's folder, and a socket's path has at most 107."""

_LONGEST_BASE = 32
"""Characters of $XDG_RUNTIME_DIR, for the same reason; with a longer one the labs are in /tmp."""
_CLAIMS = 10
_CLAIM_PAUSE = 0.05
_ABANDONED = 60.0
"""Seconds. A folder is empty for a moment before it is locked; one that stays so is nobody's."""


def runtime_root() -> Path:
    """The folder of all labs of this user: short, private. It exists while a lab does; `claim_folder` makes it.

    :raises RefusedError: it belongs to somebody else.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and len(base) <= _LONGEST_BASE and os.access(base, os.W_OK):
        root = Path(base) / "drystone"
    else:
        root = Path(f"/tmp/drystone-{os.getuid()}")  # noqa: S108 - made private and checked below
    _check_private(root)
    return root


def make_disks_folder(lab: str) -> str:
    """A new folder for a lab's disks that have no file of their own: below $TMPDIR, which may hold more than memory.

    :raises RefusedError: the folder of all labs' disks belongs to somebody else. :raises OSError: no room, no right.
    """
    root = Path(tempfile.gettempdir()).resolve() / f"drystone-disks-{os.getuid()}"
    while True:
        _make_folder(root)
        _check_private(root)
        try:
            return tempfile.mkdtemp(prefix=f"{lab}-", dir=root)
        except FileNotFoundError:  # the lab that was the last to end has removed it just now
            continue


def remove_disks_folder(folder: Path) -> None:
    """Remove what make_disks_folder made, and the folder of all labs' disks with the last one in it."""
    shutil.rmtree(folder, ignore_errors=True)
    _remove_if_empty(folder.parent)


def remove_lab_folder(folder: Path) -> None:
    """Remove a lab's folder, and the folder of all labs with the last one in it."""
    shutil.rmtree(folder, ignore_errors=True)
    _remove_if_empty(folder.parent)


def _remove_if_empty(root: Path) -> None:
    """rmdir decides in one step whether it is empty; whoever wants to make something in it makes it again first."""
    with contextlib.suppress(OSError):
        root.rmdir()


def _make_folder(folder: Path) -> None:
    """Make it unless it is there. Not by exist_ok, which fails when the folder goes while it looks what is there."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)


def _check_private(folder: Path) -> None:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not stat.S_ISDIR(found.st_mode):
        raise RefusedError(f"{folder} is not a private folder of this user", hint="remove it, or set XDG_RUNTIME_DIR")


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

    :raises ExistsError: a lab of that name runs. :raises RefusedError: `root` belongs to somebody else.
    """
    folder = root / name
    for _ in range(_CLAIMS):
        handle = None
        with contextlib.suppress(FileNotFoundError):  # the lab that was the last to end has removed the root just now
            _make_folder(root)
            _check_private(root)
            _make_folder(folder)
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
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    # A caller without standard streams must not have the lock among the three numbers that a child's are put on.
    handle = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(opened)
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
    try:
        folders = [each for each in root.iterdir() if each.is_dir()]
    except FileNotFoundError:
        return
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):  # whoever it belongs to, or another sweep, was faster
            if any(folder.iterdir()) or time.time() - folder.stat().st_mtime > _ABANDONED:
                clear_dead(folder)
    _remove_if_empty(root)


def clear_dead(folder: Path) -> bool:
    """Clear a lab's folder away when nobody holds it; whether there was one to clear."""
    handle = _lock(folder)
    if handle is None:
        return False
    clear_remains(folder)
    os.close(handle)
    return True


def clear_remains(folder: Path) -> None:
    """End the guests that a dead supervisor left behind, then remove the folder. The caller holds its lock."""
    for pid in kernels_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError):
        remove_disks_folder((folder / "disks").readlink())
    remove_lab_folder(folder)


def kernels_of(folder: Path) -> list[int]:
    """The processes of the guests of the lab in `folder`: kernels, and helpers that outlive their kernel.

    Every one of them has the folder in its own words (`uml_dir=`), which no other process and no reuse of a number has.
    """
    mark = b"\0uml_dir=" + os.fsencode(folder) + b"/"
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is somebody else's
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def running_labs(root: Path) -> Iterator[str]:
    """Names of the labs whose control socket exists, sorted."""
    for path in sorted(root.glob("*/control")):
        yield path.parent.name

"""The part of configfs that is LIO's, as a tree of folders: making one makes an object in the kernel, removing it ends
the object, its files are the object's settings, and links tie objects together.

Source: Linux `Documentation/filesystems/configfs.rst`, `fs/configfs/`. A place is a tuple of names below
/sys/kernel/config/target; every name is checked, so that no text leads out of there.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from drystone.base.errors import BusyError, KernelError, TimedOutError, UnsupportedError

Place = tuple[str, ...]


def check_place(place: Place) -> Place:
    """`place` itself, when each of its parts is the name of one entry of a folder.

    :raises ValueError: one of them is empty, leads elsewhere, or holds a slash or NUL: what called did not check it.
    """
    for part in place:
        if part in {"", ".", ".."} or "/" in part or "\0" in part:
            raise ValueError(f"{part!r} is no name of an entry in configfs")
    return place


def leaving_in(place: Place, leaving: Iterable[Place]) -> list[str] | None:
    """The names of what leaves the folder `place`; [] when `place` is below such a folder; None for neither."""
    names = []
    for each in leaving:
        if place == each[:-1]:
            names.append(each[-1])
        elif place[: len(each) - 1] == each[:-1]:
            return []
    return sorted(names) or None


def check_still(place: Place, leaving: Iterable[Place]) -> None:
    """:raises BusyError: something leaves a folder that `place` is below: the kernel would have the caller wait."""
    for each in leaving:
        if place[: len(each) - 1] == each[:-1]:
            raise BusyError(f"the removal of {each[-1]} is under way", hint="wait for that first")


class Tree(Protocol):
    """The calls. What fails is a KernelError whose `device` is the place, with the errno of configfs.

    EEXIST and ENOENT are no failures of `make` and `remove`: they say False. Of something that is not there `read` says
    "", and `folders` and `links` say that it holds none.

    While something leaves by `remove_within`, the kernel lets nobody look into its folder, and no signal ends that
    wait. Until it is gone, the folder is told as if it held nothing else, and what leaves as if it were empty; who
    would change anything below gets a BusyError. That holds for removals that were begun by the same object.
    """

    def prepare(self) -> None:
        """Have LIO in the kernel, and its part of configfs. :raises UnsupportedError: it is not to be had."""

    def exists(self, place: Place) -> bool:
        """Whether there is a folder or file."""

    def folders(self, place: Place) -> list[str]:
        """The names of the folders in a folder, in order."""

    def links(self, place: Place) -> dict[str, Place]:
        """The links in a folder, by name: where each leads."""

    def read(self, place: Place) -> str:
        """A file's text without blanks at its ends."""

    def write(self, place: Place, text: str) -> None:
        """Write a file in one piece."""

    def make(self, place: Place) -> bool:
        """mkdir; False: it is there. ENOENT: the folder that it is to be in is not."""

    def remove(self, place: Place) -> bool:
        """rmdir; False: it is not there, nor on its way out. EBUSY: a link leads to it; ENOTEMPTY."""

    def remove_within(self, place: Place, inner: str, seconds: float) -> bool:
        """As `remove`, with the folders in it whose names begin with `inner` and the links in those, where the kernel
        may have to wait for others before it is done.

        :raises TimedOutError: it is not done yet. It goes on, and the next call waits for the same.
        """

    def link(self, place: Place, target: Place) -> None:
        """symlink."""

    def unlink(self, place: Place) -> None:
        """Remove a link; one that is gone is fine."""


CONFIGFS = "/sys/kernel/config"
_RMDIR = """import contextlib, os, sys
path, inner = sys.argv[1:]
try:
    with contextlib.suppress(FileNotFoundError):
        folders = [each.path for each in os.scandir(path) if each.name.startswith(inner)]
        for folder in folders:
            # What is gone in there is gone by somebody else; whether the place itself is, that says nothing of.
            with contextlib.suppress(FileNotFoundError):
                for each in os.scandir(folder):
                    if each.is_symlink():
                        os.unlink(each.path)
                os.rmdir(folder)
    os.rmdir(path)  # asked in any case: it waits for a removal that another process has under way, a look does not
    print(0)
except OSError as error:
    print(error.errno)
"""


class _Removal:
    """A removal under way, by a process of its own: nothing ends who waits in the kernel for it, and no process ends
    before all of its threads do.

    :ivar answer: once it has ended, what the process said: an errno, 0 for done; anything else is no answer.
    """

    def __init__(self, path: str, inner: str) -> None:
        self.answer = b""
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _RMDIR, path, inner], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        self.waiting = threading.Thread(target=self._await, daemon=True)
        self.waiting.start()

    def _await(self) -> None:
        self.answer = self.process.communicate()[0].strip()


class FolderTree:
    """The kernel's own. The constructor has no effects.

    :param configfs: where configfs is mounted, or will be by `prepare`.
    """

    def __init__(self, configfs: str = CONFIGFS) -> None:
        self._configfs = configfs
        self._root = Path(configfs, "target")
        self._lock = threading.Lock()
        self._removals: dict[Place, _Removal] = {}

    def prepare(self) -> None:
        from drystone.kernel.modules import load_module
        from drystone.kernel.mounts import mount, mount_at

        if self._root.is_dir():
            return
        if not load_module("target_core_mod"):
            raise UnsupportedError("this kernel has no SCSI target (LIO)", hint="modprobe target_core_mod")
        if not self._root.is_dir() and mount_at(self._configfs) is None:
            mount("configfs", self._configfs, "configfs")
        if not self._root.is_dir():
            raise UnsupportedError(f"{self._root} did not appear", hint=f"is configfs mounted at {self._configfs}?")

    def exists(self, place: Place) -> bool:
        path, leaving = self._path(place), self._leaving()
        if leaving_in(place, leaving) == []:
            return place in leaving
        return path.exists()

    def folders(self, place: Place) -> list[str]:
        leaving = leaving_in(check_place(place), self._leaving())
        if leaving is not None:
            return leaving
        return sorted(each.name for each in self._entries(place) if each.is_dir(follow_symlinks=False))

    def links(self, place: Place) -> dict[str, Place]:
        folder = self._path(place)
        found: dict[str, Place] = {}
        if leaving_in(place, self._leaving()) is not None:
            return found
        for each in self._entries(place):
            if each.is_symlink():
                target = Path(os.path.normpath(folder / Path(each.path).readlink()))
                if target.is_relative_to(self._root):
                    found[each.name] = target.relative_to(self._root).parts
        return found

    def read(self, place: Place) -> str:
        path = self._path(place)
        if leaving_in(place, self._leaving()) is not None:
            return ""
        try:
            return path.read_text(encoding="utf-8", errors="backslashreplace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            raise _refusal("read", place, error) from error

    def write(self, place: Place, text: str) -> None:
        path = self._still(place)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(handle, text.encode())
            finally:
                os.close(handle)
        except OSError as error:
            raise _refusal("write", place, error) from error

    def make(self, place: Place) -> bool:
        path = self._still(place)
        try:
            path.mkdir()
        except FileExistsError:
            return False
        except OSError as error:
            raise _refusal("mkdir", place, error) from error
        return True

    def remove(self, place: Place) -> bool:
        path = self._still(place)
        try:
            path.rmdir()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _refusal("rmdir", place, error) from error
        return True

    def remove_within(self, place: Place, inner: str, seconds: float) -> bool:
        path = str(self._path(place))
        with self._lock:
            removal = self._removals.get(place)
            # One that has ended says nothing of now: there may have been another such folder since.
            if removal is None or not removal.waiting.is_alive():
                removal = self._removals[place] = _Removal(path, inner)
        removal.waiting.join(seconds)
        if removal.waiting.is_alive():
            raise TimedOutError(f"the kernel has not removed {'/'.join(place)} within {seconds:g} s", path=path)
        with self._lock:
            if self._removals.get(place) is removal:
                del self._removals[place]
        number = int(removal.answer) if removal.answer.isdigit() else errno.EIO
        if number not in {0, errno.ENOENT}:
            raise _refusal("rmdir", place, OSError(number, ""))
        return number == 0

    def link(self, place: Place, target: Place) -> None:
        path = self._still(place)
        try:
            path.symlink_to(self._path(target))
        except OSError as error:
            raise _refusal("symlink", place, error) from error

    def unlink(self, place: Place) -> None:
        path = self._still(place)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _refusal("unlink", place, error) from error

    def _path(self, place: Place) -> Path:
        return self._root.joinpath(*check_place(place))

    def _leaving(self) -> list[Place]:
        with self._lock:
            return [place for place, removal in self._removals.items() if removal.waiting.is_alive()]

    def _still(self, place: Place) -> Path:
        """The path of what is to be changed. :raises BusyError: see Tree."""
        path = self._path(place)
        check_still(place, self._leaving())
        return path

    def _entries(self, place: Place) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._path(place)) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _refusal("list", place, error) from error


def _refusal(operation: str, place: Place, error: OSError) -> KernelError:
    return KernelError(f"configfs {operation}", error.errno or errno.EIO, device="/".join(place))

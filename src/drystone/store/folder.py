"""A local folder as a store: a file an object, durable before it is visible, and one winner among processes.

How an object comes to be: write it under a passing name in the folder where it will live, fsync the file, link it to
its key (link(2) never replaces: whoever comes second gets EEXIST), fsync the folder, remove the passing name. Folders
that had to be made, or that another process may have made a moment ago, are fsynced up to the store's root before.
Folders are never removed, so what was once made durable stays so.

A killed writer leaves a passing file at most. It holds a POSIX lock on it while it lives; `clean` removes those that
nobody holds. Where locks are not seen (another machine's, over some network file systems), a living writer finds its
passing file gone when it links it, and starts over.

A long range is read, and an object that comes in parts is written, past the page cache where the file
system lets it (kernel/direct.py); the sync at its end then finds little left to write.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from drystone.base.errors import (
    DamagedError,
    DrystoneError,
    ExhaustedError,
    KernelError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from drystone.base.files import write_all
from drystone.kernel.direct import read_directly, write_directly
from drystone.kernel.naming import NO_LINKS
from drystone.store.abc import Data, check_key

_PASSING = ".passing."
_ATTEMPTS = 10
_STREAM = 3 << 19
"""Bytes of a range from which on it is taken for a part of a long stream, and is not put into the page cache."""
_HINTS = {
    errno.EACCES: "this user has no right to it",
    errno.EPERM: "this user has no right to it",
    errno.EROFS: "mount it for writing: what is mounted read-only can be listed, verified and restored",
}

_WRITING: set[str] = set()
"""Names of passing files that this process writes: a POSIX lock does not keep out its own process. A process id in the
name would not do: after a power cut the same one comes again."""


class Steps(Protocol):
    """The file system calls that make an object, one a method: tests stand between them."""

    def write(self, path: Path, data: Data) -> int:
        """Make a new file, lock it, write all of `data`, fsync; its open descriptor."""

    def create(self, path: Path) -> int:
        """Make a new file and lock it; its open descriptor."""

    def append(self, handle: int, data: Data) -> None:
        """Write all of `data` behind what was written before."""

    def sync(self, handle: int) -> None:
        """fsync."""

    def link(self, path: Path, target: Path) -> None:
        """Give the file a second name; FileExistsError when that is taken."""

    def unlink(self, path: Path) -> None:
        """Remove a name."""

    def make_folder(self, path: Path) -> None:
        """Make a folder; FileExistsError when it is there."""

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""


class SystemSteps:
    """The machine's own file system."""

    def write(self, path: Path, data: Data) -> int:
        """Written and fsynced, or no file is left."""
        handle = self.create(path)
        try:
            write_all(handle, memoryview(data))
            os.fsync(handle)
        except BaseException:
            os.close(handle)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return handle

    def create(self, path: Path) -> int:
        """open(2) and lockf(3), or no file is left."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.lockf(handle, os.F_LOCK, 0)
        except BaseException:
            os.close(handle)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return handle

    def append(self, handle: int, data: Data) -> None:
        """Directly where address, length and place are aligned and the file system can, else by the page cache."""
        view = memoryview(data)
        view = view[write_directly(handle, view) :]
        write_all(handle, view)

    def sync(self, handle: int) -> None:
        """fsync(2)."""
        os.fsync(handle)

    def link(self, path: Path, target: Path) -> None:
        """link(2)."""
        os.link(path, target)

    def unlink(self, path: Path) -> None:
        """unlink(2)."""
        path.unlink()

    def make_folder(self, path: Path) -> None:
        """mkdir(2)."""
        path.mkdir(mode=0o700)

    def sync_folder(self, path: Path) -> None:
        """open(2) and fsync(2)."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class FolderStore:
    """Objects as files below the folder `root`, which is made with the first object.

    What the file system refuses comes as KernelError; a full one as ExhaustedError, one without hard links as
    UnsupportedError, a file where a folder is needed as UsageError.

    :ivar steps: the calls of the file system that it makes.
    """

    def __init__(self, root: str | Path, steps: Steps | None = None) -> None:
        self.root = Path(root)
        self.steps = steps or SystemSteps()
        self._durable: set[Path] = set()

    def put_if_absent(self, key: str, data: Data) -> bool:
        """Durable when this returns, whoever won."""
        target = self._path(key)
        with _told("put", target):
            for _ in range(_ATTEMPTS):
                self._make_folders(target.parent)
                if target.exists():
                    self.steps.sync_folder(target.parent)
                    return False
                try:
                    return self._put(target, data)
                except FileNotFoundError:  # somebody's `clean` took the passing file, or the folder: start over
                    self._durable.discard(target.parent)
        raise DrystoneError(f"{target} could not be put: its passing file vanished {_ATTEMPTS} times")

    def _put(self, target: Path, data: Data) -> bool:
        passing = target.with_name(f"{_PASSING}{os.urandom(12).hex()}")
        _WRITING.add(passing.name)
        try:
            return self._put_as(target, passing, data)
        finally:
            _WRITING.discard(passing.name)

    def _put_as(self, target: Path, passing: Path, data: Data) -> bool:
        handle = self.steps.write(passing, data)
        try:
            return self._link(passing, target)
        finally:
            try:
                with contextlib.suppress(FileNotFoundError):
                    self.steps.unlink(passing)
            finally:
                os.close(handle)

    def _link(self, passing: Path, target: Path) -> bool:
        """Give a whole and durable file its name, durably; False: somebody else's has it."""
        try:
            self.steps.link(passing, target)
        except FileExistsError:
            won = False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            raise UnsupportedError(
                f"the file system at {self.root} makes no hard links, which a store needs",
                hint="use one that does, such as ext4 or xfs",
            ) from error
        else:
            won = True
        self.steps.sync_folder(target.parent)
        return won

    def begin(self, key: str) -> FolderParts:
        """A passing file that takes the parts."""
        target = self._path(key)
        with _told("put", target):
            for _ in range(_ATTEMPTS):
                self._make_folders(target.parent)
                passing = target.with_name(f"{_PASSING}{os.urandom(12).hex()}")
                _WRITING.add(passing.name)
                try:
                    return FolderParts(self, key, passing, self.steps.create(passing))
                except FileNotFoundError:  # the folder is gone
                    _WRITING.discard(passing.name)
                    self._durable.discard(target.parent)
                except BaseException:
                    _WRITING.discard(passing.name)
                    raise
        raise DrystoneError(f"{target} could not be put: its folder vanished {_ATTEMPTS} times")

    def finish(self, key: str, passing: Path, handle: int) -> bool:
        """Make what was written to a passing file the object of `key`; the caller removes the file and closes it."""
        target = self._path(key)
        with _told("put", target):
            self.steps.sync(handle)
            try:
                return self._link(passing, target)
            except FileNotFoundError:  # somebody's `clean` took the passing file: what it held goes the other way
                pass
        with _told("put", target), os.fdopen(os.dup(handle), "rb") as held:
            held.seek(0)
            data = held.read()
        return self.put_if_absent(key, data)

    def get(self, key: str) -> bytes:
        """The file's bytes."""
        path = self._path(key)
        with _told("get", path, key):
            return path.read_bytes()

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """A part of the file."""
        if offset < 0 or length < 0:
            raise UsageError(f"bytes {offset}+{length} of {key} are no range")
        path = self._path(key)
        with _told("get", path, key), path.open("rb", buffering=0) as file:
            parts = bytearray()
            if length >= _STREAM:
                part = read_directly(file.fileno(), offset, length)
                if len(part) == length:
                    return part
                parts += part
            while len(parts) < length:
                part = os.pread(file.fileno(), length - len(parts), offset + len(parts))
                if not part:
                    raise DamagedError(
                        f"{path} ends at byte {offset + len(parts)}, before {offset + length}", key=key, offset=offset
                    )
                if len(part) == length:
                    return part
                parts += part
            return bytes(parts)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Files below a folder, walked as the caller asks for more."""
        top = self._path(prefix) if prefix else self.root
        with _told("list", top):
            yield from _walk(top, f"{prefix}/" if prefix else "")

    def delete(self, key: str) -> None:
        """Unlink and fsync of the folder; the latter too when it is gone: who removed it may have been killed then."""
        path = self._path(key)
        with _told("delete", path):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                self.steps.unlink(path)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self.steps.sync_folder(path.parent)

    def clean(self) -> int:
        """Remove passing files that no living process holds."""
        removed = 0
        with _told("clean", self.root):
            for folder, _, names in os.walk(self.root):
                for name in names:
                    if name.startswith(_PASSING) and name not in _WRITING:
                        removed += _remove_unheld(Path(folder) / name)
        return removed

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _make_folders(self, folder: Path) -> None:
        """`folder` and its parents exist and are durable; those known to be so are not looked at again."""
        if folder in self._durable:
            return
        missing: list[Path] = []
        at = folder.absolute()
        while not at.exists():
            if at.is_symlink():
                raise UsageError(f"{at} is a link that leads nowhere", hint="name a folder as the destination")
            missing.append(at)
            at = at.parent
        if not at.is_dir():
            raise UsageError(f"{at} is a file where a folder is needed", hint="name a folder as the destination")
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                self.steps.make_folder(path)
        # Also the parents that were there: whoever made them may not have synced them yet.
        top = self.root.absolute()
        within = [path for path in (folder.absolute(), *folder.absolute().parents) if path.is_relative_to(top)]
        for path in sorted({each.parent for each in [*within, *missing]}, reverse=True):
            try:
                self.steps.sync_folder(path)
            except PermissionError:
                if (
                    path != top.parent or missing
                ):  # we may not read the folder that holds the root, nor did we change it
                    raise
        self._durable.add(folder)


class FolderParts:
    """An object of a folder that is put piece by piece: `FolderStore.begin` makes it."""

    def __init__(self, store: FolderStore, key: str, passing: Path, handle: int) -> None:
        self._store = store
        self._key = key
        self._passing = passing
        self._handle = handle

    def write(self, data: Data) -> None:
        """To the passing file."""
        with _told("put", self._passing):
            self._store.steps.append(self._handle, data)

    def finish(self) -> bool:
        """fsync, link, fsync of the folder: as `put_if_absent`."""
        try:
            return self._store.finish(self._key, self._passing, self._handle)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Remove the passing file."""
        handle, self._handle = self._handle, -1
        if handle < 0:
            return
        try:
            with _told("put", self._passing), contextlib.suppress(FileNotFoundError):
                self._store.steps.unlink(self._passing)
        finally:
            os.close(handle)
            _WRITING.discard(self._passing.name)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{prefix}{entry.name}/")
                continue
            with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                yield f"{prefix}{entry.name}", entry.stat(follow_symlinks=False).st_size


def _remove_unheld(path: Path) -> int:
    """1 when the passing file was removed, 0 when its writer lives, it is gone, or it is another user's."""
    try:
        handle = os.open(path, os.O_RDWR)
    except (FileNotFoundError, PermissionError):
        return 0
    try:
        os.lockf(handle, os.F_TLOCK, 0)
        path.unlink()
    except (BlockingIOError, PermissionError, FileNotFoundError):
        return 0
    finally:
        os.close(handle)
    return 1


@contextlib.contextmanager
def _told(operation: str, path: Path, key: str | None = None) -> Iterator[None]:
    """Errors of the file system as ours; a missing file is NotFoundError when a `key` was asked for."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        if key is not None and number in {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}:
            raise NotFoundError(f"there is no object {key} at {path}", key=key) from error
        if number in {errno.ENOSPC, errno.EDQUOT}:
            raise ExhaustedError(f"{operation} {path}: no space left", hint="make room in the store") from error
        raise KernelError(operation, number, device=str(error.filename or path), hint=_HINTS.get(number, "")) from error

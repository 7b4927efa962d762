"""The calls of the file system that a disk makes, behind a Protocol: so that power cuts and faults can be tried.

Places are paths relative to the disk's root (places.py). What is assumed of the file system, and holds for ext4, xfs
and btrfs: rename replaces its target as one step, also over a power cut; a file's content is durable after `sync`, and
a name after `sync_folder` of its folder.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Protocol

from drystone.base.files import sync_folder, write_all
from drystone.kernel.writeback import await_write_back, begin_write_back

_NO_COPIES = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV})


class Files(Protocol):
    """Every method raises OSError as the system call does, unless it says otherwise."""

    def create(self, place: str) -> int:
        """A new file, open for reading and writing. Its folder exists."""

    def open(self, place: str, *, write: bool = False) -> int:
        """A file that is there, for reading; a link is not followed."""

    def write(self, handle: int, data: bytes | memoryview) -> None:
        """All of `data` at the file's position."""

    def write_at(self, handle: int, data: bytes | memoryview, offset: int) -> None:
        """All of `data` at `offset` bytes."""

    def copy(self, source: int, target: int, begin: int, count: int) -> None:
        """`count` bytes of one file, from `begin` on, to the position of another; shared on disk where it can."""

    def begin_write_back(self, handle: int, begin: int, count: int) -> None:
        """`count` bytes of a file, from `begin` on, are written to the disk while others come."""

    def await_write_back(self, handle: int, begin: int, count: int) -> None:
        """These were written: `sync` has so much less to do. Without it they are not durable."""

    def truncate(self, handle: int, size: int) -> None:
        """Cut a file to `size` bytes."""

    def set_time(self, handle: int, modified: float) -> None:
        """Its times, in seconds since 1970."""

    def sync(self, handle: int) -> None:
        """Content and times are durable."""

    def rename(self, source: str, target: str) -> None:
        """Also over a file that is there. Durable after `sync_folder` of the target's folder."""

    def link(self, source: str, target: str) -> None:
        """A second name."""

    def unlink(self, place: str) -> bool:
        """False when there was none."""

    def make_folders(self, place: str) -> None:
        """A folder and those above it; harmless when they are there."""

    def remove_folder(self, place: str) -> None:
        """An empty folder."""

    def sync_folder(self, place: str) -> None:
        """Names made, renamed or removed in it are durable."""

    def exists(self, place: str) -> bool:
        """Whether anything has that name."""

    def names(self, place: str) -> list[str]:
        """What is in a folder; nothing when it is gone."""


class DiskFiles:
    """A folder of this machine. :param root: where the disk is mounted."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root) + b"/"

    def create(self, place: str) -> int:
        return os.open(self._path(place), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)

    def open(self, place: str, *, write: bool = False) -> int:
        return os.open(self._path(place), (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW)

    def write(self, handle: int, data: bytes | memoryview) -> None:
        write_all(handle, data)

    def write_at(self, handle: int, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, offset)
            view, offset = view[written:], offset + written

    def copy(self, source: int, target: int, begin: int, count: int) -> None:
        at, end = begin, begin + count
        while at < end:
            try:
                copied = os.copy_file_range(source, target, end - at, offset_src=at)
            except OSError as error:
                if error.errno not in _NO_COPIES:
                    raise
                copied = os.write(target, os.pread(source, min(end - at, 1 << 20), at))
            if not copied:
                raise OSError(errno.ENODATA, "a file is shorter than it was")
            at += copied

    def begin_write_back(self, handle: int, begin: int, count: int) -> None:
        begin_write_back(handle, begin, count)

    def await_write_back(self, handle: int, begin: int, count: int) -> None:
        await_write_back(handle, begin, count)

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def set_time(self, handle: int, modified: float) -> None:
        os.utime(handle, (modified, modified))

    def sync(self, handle: int) -> None:
        os.fsync(handle)

    def rename(self, source: str, target: str) -> None:
        os.rename(self._path(source), self._path(target))  # noqa: PTH104  # bytes: a key's UTF-8 whatever the locale

    def link(self, source: str, target: str) -> None:
        os.link(self._path(source), self._path(target), follow_symlinks=False)

    def unlink(self, place: str) -> bool:
        try:
            os.unlink(self._path(place))  # noqa: PTH108
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def make_folders(self, place: str) -> None:
        os.makedirs(self._path(place), exist_ok=True)  # noqa: PTH103

    def remove_folder(self, place: str) -> None:
        os.rmdir(self._path(place))  # noqa: PTH106

    def sync_folder(self, place: str) -> None:
        sync_folder(Path(os.fsdecode(self._path(place))))

    def exists(self, place: str) -> bool:
        return os.path.lexists(self._path(place))

    def names(self, place: str) -> list[str]:
        try:
            return [name.decode("utf-8", "surrogateescape") for name in os.listdir(self._path(place))]  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _path(self, place: str) -> bytes:
        return self._root + place.encode("utf-8", "surrogateescape")

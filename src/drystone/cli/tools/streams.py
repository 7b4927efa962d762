"""Where the tools' text comes from and goes to: stdin, stdout, or a file.

pathlib, which takes some milliseconds to import, is imported where a file is opened.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from drystone.base.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Chunk = bytes | NDArray[np.uint8]


_STDIN, _STDOUT = "/proc/self/fd/0", "/proc/self/fd/1"
_IN_PLACE = ("/dev", "/proc")
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP})


def write_chunks(chunks: Iterable[Chunk], output: str | None) -> None:
    """Write text as it comes to the file `output`, or to stdout. The file is opened when the first text is there.

    :raises OSError: it cannot be written.
    """
    iterator = iter(chunks)
    first = next(iterator, b"")
    if output is None:
        sys.stdout.flush()
        _write_all(sys.stdout.buffer, first, iterator)
        return
    with open_output(output) as file:
        _write_all(file, first, iterator)


@contextlib.contextmanager
def open_output(path: str, *, durable: bool = False) -> Iterator[BinaryIO]:
    """The file at `path` for writing, unbuffered. A plain file is there, whole, when the block under it has ended well;
    when it fails, what was there before stays. Devices, pipes, and what is in /dev and /proc, are written in place.

    :param durable: a plain file is on the disk when the block has ended.
    :raises OSError: it cannot be opened.
    """
    from pathlib import Path

    from drystone.base.files import replacing

    found = None
    with contextlib.suppress(FileNotFoundError):
        found = Path(path).stat()
    special = found is not None and not stat.S_ISREG(found.st_mode)
    if special or any(Path(path).absolute().is_relative_to(folder) for folder in _IN_PLACE):
        with Path(path).open("wb", buffering=0) as file:
            yield file
        return
    with replacing(Path(path).resolve(), mode=0o666, durable=durable) as file:
        if found is not None:
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode))
        yield file


@contextlib.contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """The file at `path` for reading, or stdin for `-`.

    :raises NotFoundError: there is no such file, or stdin is closed. :raises OSError: it cannot be opened.
    """
    from pathlib import Path

    if path == "-":
        if sys.stdin is None:
            raise NotFoundError("stdin is closed", hint="name a file with -i")
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb", buffering=0))
        except FileNotFoundError as error:
            raise NotFoundError(f"{path}: there is no such file", file=path) from error
        yield file


class Peeked:
    """A file whose first bytes have been looked at. :ivar head: those bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.head = self._rest = file.read(1 << 12)

    @property
    def is_json(self) -> bool:
        """Whether it begins as a JSON object does."""
        return self.head.lstrip().startswith(b"{")

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._rest:
            taken, self._rest = self._rest[:size], self._rest[size:]
            return taken + self._file.read(size - len(taken))
        return self._file.read(size)


def refuse_same(source: str, target: str | None) -> None:
    """Refuse to write over what is being read, also where the shell has opened it. What does not exist is no matter,
    and what is no storage: terminals, pipes.

    :param source: a path, or `-` for stdin. :param target: a path, or None for stdout.
    :raises RefusedError: both lead to the same storage.
    """
    here = _STDIN if source == "-" else source
    there = target or _STDOUT
    if not (_is_storage(here) and _is_storage(there)):
        return
    from drystone.kernel.identity import share_storage

    with contextlib.suppress(NotFoundError):
        if share_storage(here, there):
            names = ("stdin" if source == "-" else source), target or "stdout"
            raise RefusedError(f"{names[1]} is the input, {names[0]}, or lies upon it", hint="name another output")


def _is_storage(path: str) -> bool:
    """Whether `path` leads to a plain file or a block device."""
    try:
        mode = os.stat(path or ".").st_mode  # noqa: PTH116  # see above
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return False
        raise
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def _write_all(file: BinaryIO, first: Chunk, rest: Iterable[Chunk]) -> None:
    _write_chunk(file, first)
    for chunk in rest:
        _write_chunk(file, chunk)
    file.flush()


def _write_chunk(file: BinaryIO, chunk: Chunk) -> None:
    """All of it: an unbuffered file may take less than it is given."""
    view = memoryview(chunk) if isinstance(chunk, bytes) else chunk.data
    while view:
        view = view[file.write(view) :]

"""Where the tools' text comes from and goes to: stdin, stdout, or a file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from drystone.base.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Chunk = bytes | NDArray[np.uint8]


_STDIN, _STDOUT = "/proc/self/fd/0", "/proc/self/fd/1"


def write_chunks(chunks: Iterable[Chunk], output: str | None) -> None:
    """Write text as it comes to the file `output`, or to stdout. The file is made when the first text is there.

    :raises OSError: it cannot be written.
    """
    iterator = iter(chunks)
    first = next(iterator, b"")
    if output is None:
        sys.stdout.flush()
        _write_all(sys.stdout.buffer, first, iterator)
        return
    with Path(output).open("wb", buffering=0) as file:
        _write_all(file, first, iterator)


@contextlib.contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """The file at `path` for reading, or stdin for `-`.

    :raises NotFoundError: there is no such file, or stdin is closed. :raises OSError: it cannot be opened.
    """
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
    found = Path(path)
    return found.is_file() or found.is_block_device()


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

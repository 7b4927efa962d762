"""Exporting an image: its bytes as a stream, as a sparse file, or as qcow2."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from drystone.backup.pipeline import Progress, ordered
from drystone.backup.reading.image import Image
from drystone.backup.reading.new_file import NewFile, find_place
from drystone.backup.reading.qcow2 import CLUSTER, Qcow2Writer, deflate
from drystone.backup.reading.target import FileTarget, told
from drystone.backup.tuning import Tuning
from drystone.base.errors import KernelError

_PIECE = 4 << 20
"""Bytes that a thread reads at once; a multiple of a cluster and of every chunk."""

_BUFFER = 1 << 20
_ZEROS = bytes(1 << 20)

Result = TypeVar("Result")


def export_stream(
    image: Image, write: Callable[[bytes | memoryview], object], *, tuning: Tuning, progress: Progress
) -> None:
    """Hand all bytes of the image to `write`, in order, zeros as well.

    :raises DamagedError: stored bytes are wrong; all before them were written. :raises: what `write` raises.
    """
    at = 0
    with contextlib.closing(_read(image, tuning, lambda _offset, data: data)) as pieces:
        for offset, data in pieces:
            _write_zeros(write, offset - at)
            write(data)
            at = offset + len(data)
            progress(at, image.size)
    _write_zeros(write, image.size - at)
    progress(image.size, image.size)


def _write_zeros(write: Callable[[bytes | memoryview], object], length: int) -> None:
    while length:
        write(memoryview(_ZEROS)[: min(length, len(_ZEROS))])
        length -= min(length, len(_ZEROS))


def export_raw(image: Image, path: str, *, overwrite: bool, tuning: Tuning, progress: Progress) -> None:
    """Write the image to a new sparse file, which has its name when it is whole and durable.

    :raises DamagedError: stored bytes are wrong. :raises: as `find_place` and `FileTarget` do.
    """
    with FileTarget(find_place(path, overwrite=overwrite), image.size, overwrite=overwrite) as target:

        def keep(offset: int, data: bytes) -> int:
            target.write(offset, data)
            return len(data)

        with contextlib.closing(_read(image, tuning, keep)) as pieces:
            for offset, length in pieces:
                progress(offset + length, image.size)
    progress(image.size, image.size)


def export_qcow2(
    image: Image, path: str, *, compress: bool, overwrite: bool, tuning: Tuning, progress: Progress
) -> None:
    """Write the image to a new qcow2 file (version 3), which has its name when it is whole and durable.

    :param compress: deflate clusters where it pays; three to ten times slower.

    :raises DamagedError: stored bytes are wrong. :raises UsageError: the image is too large for the format.
    :raises: as `find_place` and `NewFile` do, and ExhaustedError.
    """
    place = find_place(path, overwrite=overwrite)
    with NewFile(place, overwrite=overwrite) as new, _Output(new.passing, path) as file:
        writer = Qcow2Writer(image.size, file.write)
        with contextlib.closing(_read(image, tuning, partial(_make_clusters, compress))) as pieces:
            for offset, clusters in pieces:
                for number, plain, packed in clusters:
                    if packed is None:
                        writer.add(number, plain)
                    else:
                        writer.add_compressed(number, packed)
                progress(min(offset + _PIECE, image.size), image.size)
        writer.finish()
        file.sync()
    progress(image.size, image.size)


def _make_clusters(compress: bool, offset: int, data: bytes) -> list[tuple[int, memoryview, bytes | None]]:
    """(number, plain bytes, compressed ones or None) of the clusters that are not zeros."""
    whole = data.ljust(-(-len(data) // CLUSTER) * CLUSTER, b"\0")
    used = np.frombuffer(whole, dtype=np.uint64).reshape(-1, CLUSTER // 8).any(axis=1)
    view = memoryview(whole)
    found = []
    for at in np.flatnonzero(used).tolist():
        plain = view[at * CLUSTER : (at + 1) * CLUSTER]
        found.append((offset // CLUSTER + at, plain, deflate(plain) if compress else None))
    return found


def _read(
    image: Image, tuning: Tuning, work: Callable[[int, bytes], Result]
) -> Generator[tuple[int, Result], None, None]:
    """(offset, what `work` made of the bytes there), in order, of all pieces that may be other than zeros."""

    def read(piece: tuple[int, int]) -> tuple[int, Result]:
        offset, length = piece
        return offset, work(offset, image.read(offset, length))

    ahead = max(1, min(2 * tuning.workers, tuning.memory // (4 * _PIECE)))
    with (
        ThreadPoolExecutor(tuning.workers, thread_name_prefix="export") as pool,
        contextlib.closing(ordered(pool, read, _pieces(image), ahead)) as results,
    ):
        yield from results


def _pieces(image: Image) -> Iterator[tuple[int, int]]:
    """(offset, length): all extents, cut where a piece ends. Extents begin and end with chunks, so with clusters."""
    for offset, length in image.extents(0, image.size):
        at = offset
        while at < offset + length:
            end = min(offset + length, (at // _PIECE + 1) * _PIECE)
            yield at, end - at
            at = end


class _Output:
    """A file that is written mostly in order, buffered. :param name: what errors call it."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._file = path.open("r+b", buffering=_BUFFER)
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what could not be written was told by `sync`, or is given up
            self._file.close()

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at a place. :raises ExhaustedError: no room is left. :raises KernelError: it failed."""
        with _told(self._name):
            if offset != self._at:
                self._file.seek(offset)
            self._file.write(data)
            self._at = offset + len(data)

    def sync(self) -> None:
        """All is durable when this returns. :raises: as `write` does."""
        with _told(self._name):
            self._file.flush()
            os.fsync(self._file.fileno())


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    with told(name):
        try:
            yield
        except OSError as error:
            raise KernelError("write", error.errno or 0, device=name) from error

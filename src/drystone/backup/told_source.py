"""A device or file of which somebody else knows what changed: a list of ranges beside it.

Hypervisors, storage systems and our own `drystone thin changed` and `drystone era changed` tell ranges. Believing them
is the caller's decision; a sample outside of them is read again all the same (writing/sample.py).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from drystone.backup.ranges import Ranges, join_bytes
from drystone.backup.source import DeviceReader
from drystone.base.errors import NotFoundError, UsageError

LARGEST = 256 << 20
"""Bytes of a list that is taken in: some ten million ranges."""

_LONGEST = (1 << 63) - 1
_WRONG = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Rows = list[tuple[int, int]]
_Table = NDArray[np.int64]


class _Named(msgspec.Struct):
    """A range as Ceph's `rbd diff --format json` and benji write it; what does not exist any more reads as zeros."""

    offset: int
    length: int


class _Told(msgspec.Struct):
    """What our own commands print with --json."""

    ranges: _Rows


def parse_ranges(data: bytes) -> Ranges:
    """Byte ranges out of a list: `drystone ... changed`'s lines `OFFSET LENGTH` or its JSON, or JSON rows of
    `{"offset": ..., "length": ...}` or `[offset, length]`; bytes, in any order, overlapping or not.

    Cost: one sort. The result is ascending and apart.

    :raises UsageError: it is none of these, or a number is negative or beyond 2**63 bytes.
    """
    if len(data) > LARGEST:
        raise UsageError(f"a list of changes of {len(data)} bytes is too long", hint="join ranges that touch")
    rows = _parse_lines(data) if data.lstrip()[:1] not in {b"[", b"{"} else _parse_json(data)
    if len(rows) and (rows.min() < 0 or (rows[:, 0] > _LONGEST - rows[:, 1]).any()):
        raise UsageError("a list of changes has a range that is negative or ends beyond 2**63 bytes")
    rows = rows[rows[:, 1] > 0]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    return join_bytes(rows[:, 0], rows.sum(axis=1))


def _parse_lines(data: bytes) -> _Table:
    words = data.split()
    try:
        numbers = np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise UsageError("a list of changes has lines of OFFSET LENGTH, in bytes", hint=str(error)[:80]) from error
    if any(len(line.split()) not in {0, 2} for line in data.splitlines()):
        raise UsageError("a list of changes has lines of OFFSET LENGTH, in bytes")
    return numbers.reshape(-1, 2)


def _parse_json(data: bytes) -> _Table:
    try:
        return np.array(_decode(data), dtype=np.int64).reshape(-1, 2)
    except OverflowError as error:
        raise UsageError("a list of changes has a range that ends beyond 2**63 bytes") from error


def _decode(data: bytes) -> _Rows:
    with contextlib.suppress(*_WRONG):
        return msgspec.json.decode(data, type=_Told).ranges
    with contextlib.suppress(*_WRONG):
        return [(each.offset, each.length) for each in msgspec.json.decode(data, type=list[_Named])]
    try:
        return msgspec.json.decode(data, type=_Rows)
    except _WRONG as error:
        hint = '[{"offset": 0, "length": 4096}, ...]'
        raise UsageError("the JSON of a list of changes holds no ranges", hint=hint) from error


class ToldSource(DeviceReader):
    """A device or file, and the file `changes` that tells what may differ from the base.

    Both are read by `with`.

    :raises NotFoundError: one is not there. :raises UsageError: the list is none, or reaches beyond the device.
    """

    def __init__(self, path: str | Path, changes: Path) -> None:
        super().__init__(path)
        self._changes = changes
        self._extents: Ranges = np.empty((0, 2), dtype=np.uint64)

    def __enter__(self) -> Self:
        try:
            with self._changes.open("rb") as file:
                ranges = parse_ranges(file.read(LARGEST + 1))
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no list of changes {self._changes}") from error
        super().__enter__()
        end, size = (int(ranges[-1].sum()) if len(ranges) else 0), self.size
        if end > size:
            self.__exit__(None, None, None)
            raise UsageError(
                f"{self._changes} tells of a change that ends at byte {end}, and {self.path} has {size}",
                hint="is it the list of another device?",
            )
        self._extents = ranges
        return self

    @property
    def relative(self) -> bool:
        """Yes: what the list leaves out is as it was."""
        return True

    def extents(self) -> Ranges:
        """The list's ranges, joined."""
        return self._extents

"""Era metadata as a JSON document, as dump.format_json writes it.

The text is held in memory, LONGEST bytes at most, and beside it 24 bytes for each run of one list; runs keep it short.
What is larger is dumped as XML, which is read as a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from drystone.base.documents import decode
from drystone.base.errors import DamagedError, UsageError
from drystone.formats.era import layout
from drystone.formats.era.eras import EraBatch
from drystone.formats.era.parts import Bits, Head, Part, WritesetHead

if TYPE_CHECKING:
    from drystone.formats.xml.reader import Source

AT_ONCE = 1 << 20
"""Bits and eras of a part at most, and bytes of runs that are looked at together."""

LONGEST = 1 << 30
"""Bytes of a document: some 60 million runs."""

Kind = TypeVar("Kind")

Word = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]


class HeadDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The superblock: block size in sectors, number of data blocks, current era."""

    block_size: Annotated[int, msgspec.Meta(ge=1, le=(1 << 32) - 1)]
    nr_blocks: Annotated[int, msgspec.Meta(ge=0, le=layout.MOST_DATA_BLOCKS)]
    current_era: Word


class WritesetDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A writeset: `marked` is a list of [begin, length] of the bits that are set."""

    era: Word
    nr_bits: Word
    marked: msgspec.Raw


class EraDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The whole: `era_array` is a list of [begin, length, era] of the blocks whose era is not 0."""

    superblock: HeadDocument
    writesets: list[WritesetDocument]
    era_array: msgspec.Raw


def read_document(file: Source) -> bytes:
    """All that is left of `file`.

    :raises DamagedError: that is more than LONGEST bytes.
    """
    text = bytearray()
    while data := file.read(AT_ONCE):
        text += data
        if len(text) > LONGEST:
            hint = "dump the metadata as XML: that is read as a stream"
            raise DamagedError(f"a JSON document of more than {LONGEST} bytes", hint=hint)
    return bytes(text)


def parse_json(text: bytes) -> Iterator[Part]:
    """The parts of a JSON dump.

    :raises DamagedError: it is no JSON, or no era metadata; runs that do not ascend, or reach beyond the end.
    """
    document = _decode(text, EraDocument)
    head = document.superblock
    yield Head(head.block_size, head.nr_blocks, head.current_era)
    for writeset in document.writesets:
        yield WritesetHead(writeset.era, writeset.nr_bits)
        marked = _read_runs(writeset.marked, list[tuple[Word, Word]])
        for begin, values in _expand(marked, writeset.nr_bits, f"writeset of era {writeset.era}"):
            yield Bits(begin, values.astype(np.bool_))
    runs = _read_runs(document.era_array, list[tuple[Word, Word, Word]])
    for begin, values in _expand(runs, head.nr_blocks, "era array"):
        yield EraBatch(begin, values)


def _decode(text: bytes, kind: type[Kind]) -> Kind:
    try:
        return decode(text, kind, "era metadata")
    except UsageError as error:
        raise DamagedError(error.message) from error


def _read_runs(raw: msgspec.Raw, kind: type[list[Any]]) -> NDArray[np.int64]:
    """A list of [begin, length, value] as a table; the value is 1 where there is none. It is cut after the end of a run
    every AT_ONCE bytes, so that Python's own numbers are never many.
    """
    text = bytes(raw).strip()
    pieces = [np.zeros((0, 3), dtype=np.int64)]
    begin = 1
    if not text.startswith(b"["):
        _decode(text, kind)
    while begin < len(text) - 1:
        cut = text.find(b"]", begin + AT_ONCE)
        end = cut + 1 if 0 < cut < len(text) - 1 else len(text) - 1
        runs = _decode(b"[" + text[begin:end].lstrip(b", \t\r\n") + b"]", kind)
        table = np.ones((len(runs), 3), dtype=np.int64)
        if runs:
            table[:, : len(runs[0])] = runs
        pieces.append(table)
        begin = end
    return np.concatenate(pieces)


def _expand(table: NDArray[np.int64], length: int, what: str) -> Iterator[tuple[int, NDArray[np.uint32]]]:
    """All `length` values in pieces; what no run tells is 0."""
    begins, ends = table[:, 0], table[:, 0] + table[:, 1]
    wrong = np.flatnonzero((begins < np.concatenate(([0], ends[:-1]))) | (ends > length))
    if len(wrong):
        begin, count, _ = table[int(wrong[0])].tolist()
        raise DamagedError(f"{what}: the run [{begin}, {count}] overlaps the one before, or ends beyond {length}")
    for start in range(0, length, AT_ONCE):
        stop = min(start + AT_ONCE, length)
        values = np.zeros(stop - start, dtype=np.uint32)
        first, last = np.searchsorted(ends, start, side="right"), np.searchsorted(begins, stop)
        some = table[first:last]
        if len(some):
            lows = np.maximum(some[:, 0], start)
            lengths = np.minimum(some[:, 0] + some[:, 1], stop) - lows
            filled = np.zeros(stop - start + 1, dtype=np.int8)
            np.add.at(filled, lows - start, 1)
            np.add.at(filled, lows - start + lengths, -1)
            values[np.cumsum(filled[:-1], dtype=np.int8).view(np.bool_)] = np.repeat(some[:, 2], lengths)
        yield start, values

"""Era metadata as text: XML as thin-provisioning-tools print it, and JSON with runs in place of single blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drystone.formats.era.eras import EraBatch
from drystone.formats.era.parts import Bits, Head, Part, WritesetHead
from drystone.formats.era.rows import GROUP, NumberedRows, spell_bits, spell_numbers
from drystone.formats.xml.rows import RowTemplate, format_rows

Scalar = TypeVar("Scalar", bound=np.generic)

BIT_ROW = (b'    <bit block="', b'" value="', b'"/>\n')
ERA_ROW = (b'    <era block="', b'" era="', b'"/>\n')
"""A row of XML: before the number of its block, between that and its cell, after the cell."""


def format_xml(parts: Iterable[Part]) -> Iterator[bytes]:
    """XML, some half megabyte at a time."""
    bits = NumberedRows(*BIT_ROW)
    eras = NumberedRows(*ERA_ROW)
    end = b""
    in_array = False
    for part in parts:
        if isinstance(part, Bits):
            for begin, some in _cut(part.begin, part.bits):
                yield bits.format(begin, spell_bits(some))
        elif isinstance(part, EraBatch):
            if not in_array:
                yield end + _ARRAY_BEGINS
                in_array = True
            for begin, numbers in _cut(part.begin, part.eras):
                yield eras.format(begin, spell_numbers(numbers))
        elif isinstance(part, WritesetHead):
            yield end + b'  <writeset era="%d" nr_bits="%d">\n' % (part.era, part.nr_bits)
            end = b"  </writeset>\n"
        else:
            yield b'<superblock uuid="" block_size="%d" nr_blocks="%d" current_era="%d">\n' % (
                part.data_block_size,
                part.nr_blocks,
                part.current_era,
            )
    yield (b"" if in_array else end + _ARRAY_BEGINS) + b"  </era_array>\n</superblock>\n"


def format_json(parts: Iterable[Part]) -> Iterator[bytes]:
    """One JSON object; a run a line. Marked blocks are [begin, length], eras are [begin, length, era], in data blocks.

    What is not in a run was not marked, and has era 0.
    """
    runs = _JsonRuns()
    closing = b""
    writesets = 0
    in_array = False
    for part in parts:
        if isinstance(part, Bits):
            yield runs.add(part.begin, part.bits)
        elif isinstance(part, EraBatch):
            if not in_array:
                yield runs.finish() + closing + _JSON_ARRAY_BEGINS
                in_array = True
            yield runs.add(part.begin, part.eras)
        elif isinstance(part, WritesetHead):
            yield runs.finish() + closing + (b",\n" if writesets else b"\n")
            yield b'    {"era": %d, "nr_bits": %d, "marked": [' % (part.era, part.nr_bits)
            writesets += 1
            closing = b"]}"
        else:
            yield _format_json_head(part)
    if not in_array:
        yield runs.finish() + closing + _JSON_ARRAY_BEGINS
    yield runs.finish() + b"]\n}\n"


_MARKED = RowTemplate((b",\n    [", b", ", b"]"))
_ERAS = RowTemplate((b",\n    [", b", ", b", ", b"]"))

FORMATS: dict[str, Callable[[Iterable[Part]], Iterator[bytes]]] = {"xml": format_xml, "json": format_json}

_ARRAY_BEGINS = b"  <era_array>\n"
_JSON_ARRAY_BEGINS = b'],\n  "era_array": ['


class _JsonRuns:
    """Runs of equal values as lines `[begin, length]`, or `[begin, length, value]` when they are no bits.

    Zeros are left out. A run that reaches the end of a batch is held back, as the next one may go on with it.
    """

    def __init__(self) -> None:
        self._held: tuple[int, int, int] | None = None
        self._bare = False
        self._empty = True

    def add(self, begin: int, values: NDArray[np.generic]) -> bytes:
        """The runs of these values, as far as they have ended."""
        self._bare = values.dtype == np.bool_
        runs = _find_runs(begin, values.astype(np.uint32))
        if self._held is not None:
            if len(runs) and tuple(runs[0, [0, 2]].tolist()) == (self._held[0] + self._held[1], self._held[2]):
                runs[0, 0] = self._held[0]
                runs[0, 1] += self._held[1]
            else:
                runs = np.concatenate((np.array([self._held], dtype=np.uint64), runs))
            self._held = None
        if len(runs) and int(runs[-1, 0] + runs[-1, 1]) == begin + len(values):
            first, length, value = runs[-1].tolist()
            self._held = (first, length, value)
            runs = runs[:-1]
        return self._spell(runs)

    def finish(self) -> bytes:
        """What is left; the next run begins a new list."""
        held = () if self._held is None else (self._held,)
        text = self._spell(np.array(held, dtype=np.uint64).reshape(-1, 3))
        self._held, self._empty = None, True
        return text

    def _spell(self, runs: NDArray[np.uint64]) -> bytes:
        if not len(runs):
            return b""
        template = _MARKED if self._bare else _ERAS
        text = format_rows(template, [runs[:, column] for column in range(template.cells)]).tobytes()
        begun, self._empty = not self._empty, False
        return text if begun else text[1:]


def _find_runs(begin: int, values: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Begin, length and value of each run of equal values that are not 0."""
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1]))[: len(values)])
    lengths = np.diff(starts, append=len(values))
    runs = np.stack((starts + begin, lengths, values[starts]), axis=1).astype(np.uint64)
    found: NDArray[np.uint64] = runs[runs[:, 2] > 0]
    return found


def _format_json_head(head: Head) -> bytes:
    return b'{\n  "superblock": {"block_size": %d, "nr_blocks": %d, "current_era": %d},\n  "writesets": [' % (
        head.data_block_size,
        head.nr_blocks,
        head.current_era,
    )


def _cut(begin: int, values: NDArray[Scalar]) -> Iterator[tuple[int, NDArray[Scalar]]]:
    """Pieces that end where a group of rows does."""
    done = 0
    while done < len(values):
        count = min(GROUP - (begin + done) % GROUP, len(values) - done)
        yield begin + done, values[done : done + count]
        done += count

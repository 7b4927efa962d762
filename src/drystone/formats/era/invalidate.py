"""What `era_invalidate` prints: the blocks that may have been written since an era, as text of one of three forms.

Runs come as bytes, each as changed.RUN has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from drystone.formats.era.changed import RUN
from drystone.formats.pdata import native

ROWS_AT_ONCE = 1 << 15
"""Runs turned into text at once: a megabyte and a half at most."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How a run is spelt: pieces[0], its begin, pieces[1], a number, pieces[2].

    :ivar ends: the number is its end (excluded), not its length. :ivar single: what stands before and after the
        number of a run of one block; None: it is spelt as the others are.
    """

    pieces: tuple[bytes, bytes, bytes]
    ends: bool = False
    single: tuple[bytes, bytes] | None = None

    def spell(self, runs: bytes) -> bytes:
        """The text of these runs."""
        return native.spell_runs(runs, self.pieces, self.ends, self.single or (b"", b""), self.single is not None)


_BLOCK = (b'  <block block="', b'"/>\n')
_XML = _Form((b'  <range begin="', b'" end="', b'"/>\n'), ends=True, single=_BLOCK)
_XML_0_9 = _Form((b'  <range begin="', b'" end = "', b'"/>\n'), ends=True, single=_BLOCK)
_LINES = _Form((b"", b" ", b"\n"))
_JSON = _Form((b",\n[", b", ", b"]"))


def format_xml(batches: Iterable[bytes], *, old: bool = False) -> Iterator[bytes]:
    """`<blocks>`, in it `<block block="14"/>` for one and `<range begin="20" end="22"/>`, end exclusive, for more.

    :param old: with blanks around an equals sign, as the tools' version 0.9 has it.
    """
    form = _XML_0_9 if old else _XML
    pieces = _cut(batches)
    yield b"<blocks>\n"
    yield from map(form.spell, pieces)
    yield b"</blocks>\n"


def format_ranges(batches: Iterable[bytes]) -> Iterator[bytes]:
    """A line a run: begin and length, in data blocks."""
    return map(_LINES.spell, _cut(batches))


def format_json(batches: Iterable[bytes], head: bytes) -> Iterator[bytes]:
    """One JSON object: the members `head` (`"name": value, ...`), and `ranges`, a list of [begin, length] in blocks."""
    pieces = _cut(batches)
    yield b"{" + head + b', "ranges": ['
    comma = 1
    for runs in pieces:
        yield _JSON.spell(runs)[comma:]
        comma = 0
    yield b"\n]}\n"


def _cut(batches: Iterable[bytes]) -> Iterator[bytes]:
    """The same in pieces of ROWS_AT_ONCE. The first batch is taken now: where that fails nothing was printed yet."""
    iterator = iter(batches)
    first = list(islice(iterator, 1))
    size = ROWS_AT_ONCE * RUN.size
    return (batch[begin : begin + size] for batch in chain(first, iterator) for begin in range(0, len(batch), size))

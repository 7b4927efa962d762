"""The elements of an era dump: where each may stand, what it says, and the parts that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from drystone.base.errors import DamagedError
from drystone.formats.era import layout
from drystone.formats.era.eras import EraBatch
from drystone.formats.era.parts import Bits, Head, Part, WritesetHead

AT_ONCE = 1 << 20
"""Bits of a part at most: a single `<marked>` may stand for four thousand million."""

LARGEST_NUMBER = (1 << 32) - 1

PARENTS = {
    "superblock": "",
    "writeset": "superblock",
    "bit": "writeset",
    "marked": "writeset",
    "era_array": "superblock",
    "era": "era_array",
}
"""Element -> the one it stands in."""


@dataclass(slots=True)
class _Runs:
    """Neighbouring bits or eras from `begin` on: `lengths[i]` times `values[i]`."""

    begin: int
    bits: bool
    lengths: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)

    def expand(self) -> Iterator[Part]:
        """The same as parts of bounded size."""
        begin, count = self.begin, 0
        lengths: list[int] = []
        first = 0
        for place, length in enumerate(self.lengths):
            rest = length
            while rest:
                taken = min(rest, AT_ONCE - count)
                lengths.append(taken)
                rest -= taken
                count += taken
                if count == AT_ONCE:
                    yield self._make(begin, first, lengths)
                    begin, count, lengths, first = begin + count, 0, [], place if rest else place + 1
            if not length:
                lengths.append(0)
        if count:
            yield self._make(begin, first, lengths)

    def _make(self, begin: int, first: int, lengths: list[int]) -> Part:
        values = np.repeat(np.array(self.values[first : first + len(lengths)], dtype=np.uint32), lengths)
        return Bits(begin, values.astype(np.bool_)) if self.bits else EraBatch(begin, values)


class Elements:
    """What the elements of one document have said so far. Feed it with `start` and `end`, and take the parts out.

    :ivar inside: the element that stands open; "" outside of all.
    :ivar next: the next bit of the writeset, or block of the array, that is due.
    :ivar complete: an era array was read.

    :param get_line: the line in the document, for messages.
    """

    def __init__(self, get_line: Callable[[], int]) -> None:
        self.inside = ""
        self.next = 0
        self.complete = False
        self._get_line = get_line
        self._due = 0
        self._open: list[str] = []
        self._parts: list[Head | WritesetHead | _Runs] = []
        self._nr_blocks = 0
        self._handlers = {
            "superblock": self._start_superblock,
            "writeset": self._start_writeset,
            "bit": self._start_bit,
            "marked": self._start_marked,
            "era_array": self._start_array,
            "era": self._start_era,
        }

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins. :raises DamagedError: it may not stand here, or lacks something."""
        if PARENTS.get(tag) != self.inside:
            self.refuse(f"<{tag}> {f'in <{self.inside}>' if self.inside else 'at the top'}", "era metadata")
        self._open.append(self.inside)
        self.inside = tag
        self._handlers[tag](attributes)

    def end(self, tag: str) -> None:
        """An element ends. :raises DamagedError: blocks are missing in it."""
        self.inside = self._open.pop()
        if tag == "writeset":
            self._add(self._due - self.next, 0)
        elif tag == "era_array":
            if self.next != self._due:
                self.refuse(f"an era_array of {self.next} blocks", f"{self._due}, the superblock's nr_blocks")
            self.complete = True

    def advance(self, count: int) -> None:
        """`count` rows of the open writeset or array were read elsewhere."""
        self.next += count
        if self.next > self._due:
            self.refuse(f"block {self._due} in <{self.inside}>", f"blocks below {self._due}")

    def take_parts(self) -> Iterator[Part]:
        """The parts since the last call."""
        parts, self._parts = self._parts, []
        for part in parts:
            if isinstance(part, _Runs):
                yield from part.expand()
            else:
                yield part

    def refuse(self, found: str, expected: str) -> NoReturn:
        """:raises DamagedError: always, with the line."""
        line = self._get_line()
        raise DamagedError(
            f"line {line}: found {found}, expected {expected}", line=line, expected=expected, found=found
        )

    def _start_superblock(self, attributes: dict[str, str]) -> None:
        if self._nr_blocks or self._parts:
            self.refuse("a second superblock", "one")
        self._nr_blocks = self._get(attributes, "nr_blocks", 0, layout.MOST_DATA_BLOCKS)
        self._parts.append(
            Head(self._get(attributes, "block_size", 1), self._nr_blocks, self._get(attributes, "current_era"))
        )

    def _start_writeset(self, attributes: dict[str, str]) -> None:
        self.next, self._due = 0, self._get(attributes, "nr_bits")
        self._parts.append(WritesetHead(self._get(attributes, "era"), self._due))

    def _start_array(self, _: dict[str, str]) -> None:
        if self.complete:
            self.refuse("a second era_array", "one")
        self.next, self._due = 0, self._nr_blocks

    def _start_bit(self, attributes: dict[str, str]) -> None:
        value = attributes.get("value", "")
        if value not in {"true", "false"}:
            self.refuse(f"value {value!r} of a bit", "true or false")
        self._mark(self._get(attributes, "block"), 1, int(value == "true"))

    def _start_marked(self, attributes: dict[str, str]) -> None:
        self._mark(self._get(attributes, "block_begin"), self._get(attributes, "len"), 1)

    def _start_era(self, attributes: dict[str, str]) -> None:
        block = self._get(attributes, "block")
        if block != self.next:
            self.refuse(f"the era of block {block}", f"that of block {self.next}")
        if block >= self._due:
            self.refuse(f"block {block} in <era_array>", f"blocks below {self._due}")
        self._add(1, self._get(attributes, "era"), bits=False)

    def _mark(self, begin: int, length: int, value: int) -> None:
        """Bits `begin` and on; those between the last one and them are 0."""
        if begin < self.next:
            self.refuse(f"bit {begin}", f"bits in ascending order, {self.next} or above")
        if begin + length > self._due:
            self.refuse(f"bit {begin + length - 1} in a writeset", f"bits below its nr_bits, {self._due}")
        self._add(begin - self.next, 0)
        self._add(length, value)

    def _add(self, length: int, value: int, *, bits: bool = True) -> None:
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _Runs) or last.bits != bits:
            last = _Runs(self.next, bits)
            self._parts.append(last)
        last.lengths.append(length)
        last.values.append(value)
        self.next += length

    def _get(self, attributes: dict[str, str], name: str, least: int = 0, most: int = LARGEST_NUMBER) -> int:
        """A whole number out of an attribute."""
        text = attributes.get(name)
        if text is None:
            self.refuse(f"<{self.inside}> without {name}", f'{name}="NUMBER"')
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
            self.refuse(f"{name}={text[:20]!r} in <{self.inside}>", f"a number of {least} to {most}")
        return int(text)

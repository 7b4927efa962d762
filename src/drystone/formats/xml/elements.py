"""Elements that a dump holds by the million: their names, and how a regular line of one looks."""

from __future__ import annotations

from dataclasses import dataclass

from drystone.formats.xml.rows import RowTemplate


@dataclass(frozen=True, slots=True)
class RowKind:
    """An empty element with whole numbers as attributes: `<single_mapping origin_block="0" data_block="1" time="0"/>`.

    :ivar tag: its name. :ivar attributes: those that hold numbers, in the order of a regular line.
    :ivar fixed: attributes after them with always the same value, as in `<bit block="0" value="true"/>`.
    :ivar indent: blanks before a regular line.
    :ivar loose: an attribute may also be something else than a number; the element is told by its tag then.
    """

    tag: str
    attributes: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...] = ()
    indent: int = 4
    loose: bool = False

    def make_template(self) -> RowTemplate:
        """The regular line: attributes in order, one blank before each, no other blanks, and a newline."""
        before = " " * self.indent + f"<{self.tag}"
        pieces = []
        for name in self.attributes:
            pieces.append(f'{before} {name}="'.encode())
            before = '"'
        tail = "".join(f' {name}="{value}"' for name, value in self.fixed)
        return RowTemplate((*pieces, f"{before}{tail}/>\n".encode()))

"""How people write tables and references.

A table is a line a target: `START LENGTH TARGET [PARAMETERS]`, in sectors of 512 bytes, as dmsetup has it; empty lines
and what follows a `#` at the beginning of a line are passed over. A reference is a name, `uuid:TEXT`, `MAJOR:MINOR`, or
the path of a device node.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from drystone.base.errors import NotFoundError, UsageError
from drystone.kernel.dm.abc import DeviceNumber, Ref, TableLine, Uuid
from drystone.kernel.dm.nodes import leads_to

_NUMBER = re.compile(r"([0-9]{1,7}):([0-9]{1,7})")
_SECTORS = re.compile(r"[0-9]{1,19}")
_UUID = "uuid:"


def parse_table_text(text: str) -> list[TableLine]:
    """The lines of a table.

    :raises UsageError: a line that is no target; the message holds its number.
    """
    table: list[TableLine] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 3 or not (_SECTORS.fullmatch(words[0]) and _SECTORS.fullmatch(words[1])):
            raise UsageError(
                f"line {number} of the table is not START LENGTH TARGET PARAMETERS: {line.strip()[:80]!r}",
                hint="such as: 0 2048 linear 7:0 0 (sectors of 512 bytes)",
            )
        table.append(TableLine(int(words[0]), int(words[1]), words[2], " ".join(words[3:])))
    return table


def format_line(line: TableLine) -> str:
    """A table line as text."""
    return f"{line.start} {line.length} {line.target} {line.params}".rstrip()


def format_table(table: Sequence[TableLine]) -> str:
    """A table as text."""
    return "\n".join(format_line(line) for line in table)


def parse_ref(text: str) -> Ref:
    """A name, `uuid:TEXT`, `MAJOR:MINOR`, or the path of a node, which stands for the number it leads to.

    :raises NotFoundError: no block device at that path.
    """
    if text.startswith("/"):
        number = leads_to(text)
        if number is None:
            raise NotFoundError(f"there is no block device at {text}")
        return number
    if match := _NUMBER.fullmatch(text):
        return DeviceNumber(int(match[1]), int(match[2]))
    if text.startswith(_UUID):
        return Uuid(text.removeprefix(_UUID))
    return text


def format_ref(ref: Ref) -> str:
    """The inverse of `parse_ref`."""
    return f"{_UUID}{ref.text}" if isinstance(ref, Uuid) else str(ref)

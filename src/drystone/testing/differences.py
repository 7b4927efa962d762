"""Where other tools' output differs from ours, and why: each named as on the page docs/reference/differences.md.

A difference that only changes the text is put into words of code: what makes their text ours. One that changes what is
said has no such function; the tests that meet it reckon anew what is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from drystone.testing.peers import Line

Mend = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a line of tools differs from ours.

    :ivar name: the heading on the page. :ivar line: whose. :ivar tools: which of them.
    :ivar mend: makes their text ours; None when it is not the spelling that differs.
    """

    name: str
    line: Line
    tools: tuple[str, ...]
    mend: Mend | None = None


def _end_line(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _drop_free_blocks(text: str) -> str:
    return re.sub(r"^METADATA_FREE_BLOCKS=.*\n", "", text, flags=re.MULTILINE)


def _sort_lines(text: str) -> str:
    return "".join(sorted(text.splitlines(keepends=True)))


def _drop_digits(text: str) -> str:
    return re.sub(r"\b[0-9]+\.0[01](?![0-9e])", lambda match: f"{float(match[0]):.2e}", text)


_RANGE = re.compile(r'( *<range begin=")([0-9]+)(" .*length=")([0-9]+)("/>\n)')
_Range = tuple[str, int, str, int, str]


def _join_ranges(text: str) -> str:
    """Ranges of one side whose blocks go on, whatever their data blocks do, as one."""
    lines: list[str | _Range] = []
    for line in text.splitlines(keepends=True):
        match = _RANGE.fullmatch(line)
        if match is None:
            lines.append(line)
            continue
        found: _Range = match[1], int(match[2]), match[3], int(match[4]), match[5]
        last = lines[-1] if lines else ""
        if not isinstance(last, str) and last[1] + last[3] == found[1]:
            lines[-1] = (*last[:3], last[3] + found[3], last[4])
        else:
            lines.append(found)
    return "".join(each if isinstance(each, str) else "".join(map(str, each)) for each in lines)


_TEXTS = ("thin_dump", "thin_delta", "era_dump", "era_invalidate")

DIFFERENCES = [
    Difference("1.x ends without a newline", "1.x", _TEXTS, _end_line),
    Difference("1.x joins what is not contiguous", "1.x", ("thin_delta",), _join_ranges),
    Difference("1.x packs nothing at times", "1.x", ("thin_metadata_pack",)),
    Difference("1.x ends with 64", "1.x", ("thin_check", "era_check", "thin_dump", "era_dump")),
    Difference("1.x fails a snapshot that shares the details", "1.x", ("thin_check",)),
    Difference("1.x prints one device of several", "1.x", ("thin_rmap",)),
    Difference("1.x estimates one block more", "1.x", ("thin_metadata_size",)),
    Difference("1.x invalidates without the current writeset", "1.x", ("era_invalidate",)),
    Difference("1.x invalidates nothing without archived writesets", "1.x", ("era_invalidate",)),
    Difference("1.x wants the number of a snapshot's block", "1.x", ("era_invalidate",)),
    Difference("0.9 counts free metadata blocks wrongly", "0.9", ("thin_check",), _drop_free_blocks),
    Difference("0.9 prints one device of several", "0.9", ("thin_rmap",), _sort_lines),
    Difference("0.9 restores with wrong sums", "0.9", ("thin_restore",)),
    Difference("0.9 wants a power of two", "0.9", ("thin_metadata_size",)),
    Difference("0.9 drops digits", "0.9", ("thin_metadata_size",), _drop_digits),
    Difference("0.9 dumps no current writeset", "0.9", ("era_dump",)),
    Difference("0.9 folds the oldest era", "0.9", ("era_dump",)),
    Difference("0.9 invalidates without the current writeset", "0.9", ("era_invalidate",)),
    Difference("0.9 reads the live superblock for a snapshot", "0.9", ("era_invalidate",)),
]
"""All that are known. Two outputs that differ otherwise are a defect, of ours or of theirs."""


def mend(line: Line, tool: str, text: str) -> str:
    """Their text as ours should be."""
    for each in DIFFERENCES:
        if each.line == line and tool in each.tools and each.mend is not None:
            text = each.mend(text)
    return text

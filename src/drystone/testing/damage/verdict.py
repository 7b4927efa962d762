"""What our checks say of an image, and what they name: to be held against what a plan of damage says they may name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drystone.base.errors import UnsupportedError
from drystone.formats.era.check import check_metadata as check_era
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.thin.check import check_metadata as check_thin
from drystone.formats.thin.findings import Severity
from drystone.testing.damage.kind import Named, Space
from drystone.testing.damage.table import Plan, Target

_BLOCKS = re.compile(r"\b(?:(data|metadata) )?blocks? (\d+)(?: to (\d+))?")
_DEVICE = re.compile(r"\bdevice (\d+)")
_ERA = re.compile(r"\b(?:era|writeset)(?: of era)? (\d+)")
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """A check's outcome.

    :ivar sound: nothing is wrong, sums of a space map that only hide room aside.
    :ivar lines: a line for each thing that is, such sums too. :ivar named: what these lines name.
    """

    sound: bool
    lines: tuple[str, ...]
    named: frozenset[Named]


def judge(target: Target, reader: BlockReader) -> Verdict:
    """Check an image with our check of its kind."""
    try:
        if target == "thin":
            thin = check_thin(reader)
            told = [f for f in thin.findings if f.severity is not Severity.NOTE or f.kind == "wrong-summary"]
            sound, lines = thin.is_sound(), [f.describe() for f in told]
        else:
            era = check_era(reader)
            sound, lines = era.is_sound(), [each.describe() for each in (*era.errors, *era.remarks, *era.notes)]
    except UnsupportedError as error:
        sound, lines = False, [error.message]
    return Verdict(sound, tuple(lines), frozenset(named for line in lines for named in _read_line(line)))


def only_hides_room(plan: Plan) -> bool:
    """Whether all that is damaged is that too many blocks count as in use: the checks tell it in a note, and pass."""
    if not plan.kind.endswith("-nr-allocated"):
        return False
    return all(int(change.after) > int(change.before) for change in plan.changes)


def _read_line(line: str) -> Iterator[Named]:
    """What one line names. A block without a word before it is of the metadata, or one that a data space map counts."""
    place, _, rest = line.partition(": ")
    default: Space = "data" if rest.startswith("data space map") else "metadata"
    found = [(space or "metadata", first, last) for space, first, last in _BLOCKS.findall(place)]
    found += [(space or default, first, last) for space, first, last in _BLOCKS.findall(rest)]
    for space, first, last in found:
        named: Space = "data" if space == "data" else "metadata"
        yield from ((named, block) for block in range(int(first), min(int(last or first), int(first) + _MOST) + 1))
    yield from (("device", int(found)) for found in _DEVICE.findall(line))
    yield from (("era", int(found)) for found in _ERA.findall(line))

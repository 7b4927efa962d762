"""What a check of thin metadata finds: one value for each thing that is wrong.

Three severities. FATAL: data is lost or would be, by going on as it is. MILD: space is lost, or a count is off that no
data hangs on; these are the non-fatal errors of thin_check. NOTE: worth knowing, and no error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from drystone.base.errors import DamagedError
from drystone.formats.pdata.damage import Damage


class Severity(Enum):
    """How bad a finding is; the value is its name in documents."""

    FATAL = "fatal"
    MILD = "non-fatal"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Affected:
    """A part of a thin device: virtual blocks `low` to `high`, both included; all of it when `high` is None."""

    dev_id: int
    low: int = 0
    high: int | None = None

    def describe(self) -> str:
        """`device 1 blocks 0 to 251`."""
        if self.high is None:
            return f"device {self.dev_id}" if not self.low else f"device {self.dev_id} from block {self.low} on"
        if self.low == self.high:
            return f"device {self.dev_id} block {self.low}"
        return f"device {self.dev_id} blocks {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    :ivar severity: see Severity.
    :ivar kind: for machines, of KINDS.
    :ivar block: metadata block (4096 bytes) that shows it; None when it is about data blocks.
    :ivar what: what was looked at. :ivar expected: what it should be. :ivar found: what it is.
    :ivar affects: the parts of thin devices that cannot be read, or are in doubt.
    :ivar begin: first of the blocks that it is about, metadata or data blocks as `what` says. :ivar end: one past them.
    """

    severity: Severity
    kind: str
    block: int | None
    what: str
    expected: int | str
    found: int | str
    affects: tuple[Affected, ...] = ()
    begin: int | None = None
    end: int | None = None

    def describe(self) -> str:
        """One line: place, what, expected and found, and whom it hits."""
        place = f"block {self.block}: " if self.block is not None else ""
        line = f"{place}{self.what} is {self.found}, expected {self.expected}"
        if self.affects:
            line += "; affects " + _shorten([each.describe() for each in self.affects])
        return line

    def to_document(self) -> dict[str, Any]:
        """As a JSON object; keys that say nothing are left out."""
        document: dict[str, Any] = {
            "severity": self.severity.value,
            "kind": self.kind,
            "block": self.block,
            "what": self.what,
            "expected": self.expected,
            "found": self.found,
            "begin": self.begin,
            "end": self.end,
            "affects": [{"dev_id": each.dev_id, "low": each.low, "high": each.high} for each in self.affects],
        }
        return {key: value for key, value in document.items() if value is not None and value != []}


KINDS = {
    "damaged": "a block cannot be read: its checksum, its place or what is in it is wrong",
    "underfull": "a node of a tree holds less than a third of what it could",
    "missing-details": "a device has mappings but no details",
    "missing-mappings": "a device has details but no mappings",
    "wrong-mapped-blocks": "the details of a device count its mappings wrongly",
    "beyond-data-device": "a mapping leads beyond the end of the data device",
    "leaked": "a space map says that a block is in use, and nothing refers to it",
    "freed": "a space map says that a block is free, and something refers to it",
    "low-count": "a space map counts fewer references than there are",
    "high-count": "a space map counts more references than there are",
    "wrong-summary": "a space map's sums are wrong: nr_free, none_free_before, nr_allocated; a note if they hide room",
    "size": "metadata or data are larger or smaller than the superblock says",
    "beyond-space-map": "a metadata block is in use that the metadata space map is too short to count",
    "late-time": "a mapping is newer than the pool, so that the next snapshot would not protect it",
    "wild-time": "the pool's time does not fit a mapping: the kernel would write the rest of it over the data block",
    "unchecked": "something could not be checked because of other damage",
    "needs-check": "the kernel asks for a check",
}
"""Kind of finding -> what it means."""

MOST_SHOWN = 4
"""Affected parts that a line names; the JSON document has them all."""


def from_damage(
    damage: Damage, affects: tuple[Affected, ...] = (), *, severity: Severity = Severity.FATAL, kind: str = "damaged"
) -> Finding:
    """The finding for a damaged block."""
    whose = damage.tree if damage.owner is None else f"{damage.tree} of device {damage.owner}"
    return Finding(severity, kind, damage.block, f"{whose}: {damage.what}", damage.expected, damage.found, affects)


def from_error(error: DamagedError) -> Finding:
    """The finding for a block that a strict reader refused."""
    facts: dict[str, Any] = error.facts
    what, due, found = facts.get("what", error.message), facts.get("expected", "sound"), facts.get("found", "damaged")
    return Finding(Severity.FATAL, "damaged", facts.get("block"), str(what), due, found)


def _shorten(parts: list[str]) -> str:
    more = len(parts) - MOST_SHOWN
    return ", ".join(parts[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")

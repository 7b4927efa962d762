"""What disks say of themselves (SMART), by smartctl(8) of smartmontools 7 and later: its JSON as values.

Read are the overall self-assessment, the sectors that could not be read, and a few numbers for people. ATA: attributes
197 (pending) and 198 (uncorrectable); the counts are the lower 32 bits of the raw value, above which some makers keep
other things. NVMe: media errors. SCSI: uncorrected errors of reads, writes and verifications.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from drystone.base.errors import DamagedError

ARGUMENTS = ("--json", "--info", "--health", "--attributes", "--nocheck=standby")
"""Of smartctl, before the device. A disk that sleeps is not woken up, and says nothing."""
LONGEST = 4 << 20
"""Bytes of a document that is looked at; one of a disk has some ten thousand."""
_UNREAD = frozenset({197, 198})
_LOW = (1 << 32) - 1
_MOST = 1 << 63
_LONGEST_NAME = 80
_LONGEST_TEXT = 200
_MOST_ERRORS = 3


@dataclass(frozen=True, slots=True)
class SmartReport:
    """What a disk says.

    :ivar model, serial: in its own words, "" when not told. :ivar passed: its self-assessment; None: it has none, or
        was not asked. :ivar sectors: that could not be read, or written to elsewhere; None: it does not count them.
    :ivar celsius: its temperature, :ivar hours: for which it has been on; None: not told. :ivar trouble: why smartctl
        could not find out, "" when it did.
    """

    model: str = ""
    serial: str = ""
    passed: bool | None = None
    sectors: int | None = None
    celsius: int | None = None
    hours: int | None = None
    trouble: str = ""

    @property
    def knows(self) -> bool:
        """Whether the disk says how it is."""
        return self.passed is not None or self.sectors is not None


def parse_report(data: bytes) -> SmartReport:
    """A document of `smartctl` with ARGUMENTS. What has another form than it should is taken for not told.

    :raises DamagedError: it is no JSON object, or above LONGEST bytes.
    """
    if len(data) > LONGEST:
        raise DamagedError(f"smartctl wrote {len(data)} bytes")
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"smartctl wrote no JSON: {error}") from error
    if not isinstance(document, dict):
        raise DamagedError("smartctl wrote no JSON object")
    passed = _find(document, "smart_status", "passed")
    return SmartReport(
        model=_text(document.get("model_name")) or _text(document.get("scsi_model_name")),
        serial=_text(document.get("serial_number")),
        passed=passed if isinstance(passed, bool) else None,
        sectors=_sum(_count_sectors(document)),
        celsius=_number(_find(document, "temperature", "current")),
        hours=_number(_find(document, "power_on_time", "hours")),
        trouble="; ".join(_find_errors(document)),
    )


def _count_sectors(document: dict[str, Any]) -> list[int | None]:
    """The counts that there are."""
    counts: list[int | None] = []
    table = _find(document, "ata_smart_attributes", "table")
    for each in table if isinstance(table, list) else ():
        if isinstance(each, dict) and _number(each.get("id")) in _UNREAD:
            raw = _number(_find(each, "raw", "value"))
            counts.append(None if raw is None else raw & _LOW)
    counts.append(_number(_find(document, "nvme_smart_health_information_log", "media_errors")))
    errors = [_find(document, "scsi_error_counter_log", kind) for kind in ("read", "write", "verify")]
    counts += [_number(each.get("total_uncorrected_errors")) for each in errors if isinstance(each, dict)]
    return counts


def _find_errors(document: dict[str, Any]) -> list[str]:
    """What smartctl says went wrong with asking."""
    messages = _find(document, "smartctl", "messages")
    found: list[str] = []
    for each in messages if isinstance(messages, list) else ():
        if isinstance(each, dict) and each.get("severity") == "error" and len(found) < _MOST_ERRORS:
            found.append(_text(each.get("string"), _LONGEST_TEXT))
    return found


def _find(document: dict[str, Any], *names: str) -> Any:
    """What lies that deep; None when it is not there."""
    found: Any = document
    for name in names:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _sum(counts: list[int | None]) -> int | None:
    known = [each for each in counts if each is not None]
    return sum(known) if known else None


def _number(value: object) -> int | None:
    """A whole number from 0 on, that 63 bits hold."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
    return value if fits and isinstance(value, int) else None


def _text(value: object, most: int = _LONGEST_NAME) -> str:
    """Of what is printable; "" for what is no text."""
    return "".join(each for each in value if each.isprintable())[:most].strip() if isinstance(value, str) else ""

"""Documents as smartctl 7 writes them, of disks that there are not; and a program that writes them in its place."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python}
import pathlib, sys
disk = pathlib.Path(sys.argv[-1]).name
with open({log!r}, "a") as log:
    log.write(" ".join(sys.argv[1:]) + chr(10))
sys.stdout.write((pathlib.Path({folder!r}) / disk).read_text())
sys.exit(4)
"""


def make_ata(*, passed: bool = True, pending: int = 0, uncorrectable: int = 0, **more: Any) -> dict[str, Any]:
    """Of a SATA disk. :param more: other fields of the document."""
    counts = {5: ("Reallocated_Sector_Ct", 0), 197: ("Current_Pending_Sector", pending)}
    counts[198] = ("Offline_Uncorrectable", uncorrectable)
    table = [
        {
            "id": number,
            "name": name,
            "value": 100,
            "worst": 100,
            "thresh": 10,
            "when_failed": "",
            "flags": {"value": 50, "string": "PO--CK "},
            "raw": {"value": count, "string": str(count)},
        }
        for number, (name, count) in counts.items()
    ]
    return _make("sat", "ATA", passed, {"ata_smart_attributes": {"revision": 16, "table": table}, **more})


def make_nvme(*, passed: bool = True, media_errors: int = 0, **more: Any) -> dict[str, Any]:
    """Of an NVMe disk."""
    log = {"critical_warning": 0 if passed else 4, "available_spare": 100, "media_errors": media_errors}
    return _make("nvme", "NVMe", passed, {"nvme_smart_health_information_log": log, **more})


def make_scsi(*, passed: bool = True, uncorrected: int = 0, **more: Any) -> dict[str, Any]:
    """Of a SAS disk."""
    counts = {kind: {"total_uncorrected_errors": uncorrected * (kind == "read")} for kind in ("read", "write")}
    return _make("scsi", "SCSI", passed, {"scsi_error_counter_log": counts, **more})


def make_refusal(text: str = "/dev/vda: Unable to detect device type") -> dict[str, Any]:
    """Of a device that is none that smartctl knows."""
    return {"json_format_version": [1, 0], "smartctl": _head(1, [{"string": text, "severity": "error"}])}


def _make(kind: str, protocol: str, passed: bool, more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "json_format_version": [1, 0],
        "smartctl": _head(0 if passed else 8, []),
        "device": {"name": "/dev/sda", "info_name": "/dev/sda", "type": kind, "protocol": protocol},
        "model_name": "TOPAZ 4000",
        "serial_number": "T-0815",
        "smart_status": {"passed": passed},
        "temperature": {"current": 31},
        "power_on_time": {"hours": 12_345},
        **more,
    }


def _head(status: int, messages: list[dict[str, str]]) -> dict[str, Any]:
    return {"version": [7, 3], "argv": ["smartctl", "--json", "/dev/sda"], "messages": messages, "exit_status": status}


class FakeSmartctl:
    """A program in a folder that says of each disk what it was told to.

    :ivar program: its path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "documents"
        self._folder.mkdir()
        self._log = folder / "smartctl.log"
        self.program = folder / "smartctl"
        self.program.write_text(_PROGRAM.format(python=sys.executable, log=str(self._log), folder=str(self._folder)))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    def say(self, disk: str, document: object) -> None:
        """What is said of a disk (`sda`) from now on."""
        (self._folder / disk).write_text(document if isinstance(document, str) else json.dumps(document))

    def hang(self) -> None:
        """Answer nothing from now on."""
        self.program.write_text(f"#!/bin/sh\necho call >> {self._log}\nexec sleep 600\n")

    def calls(self) -> list[list[str]]:
        """The words of each call so far."""
        return [line.split() for line in self._log.read_text().splitlines()] if self._log.exists() else []

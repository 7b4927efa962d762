"""What sysfs says of iSCSI sessions and their disks.

Source: Linux `drivers/scsi/scsi_transport_iscsi.c`, `drivers/scsi/scsi_sysfs.c`. A disk is found below its session, so
that neither udev's links nor the order in which disks appeared matter. What goes away while it is read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from drystone.base.errors import UsageError
from drystone.base.sizes import SECTOR
from drystone.kernel.iscsi.abc import Disk, Session
from drystone.kernel.iscsi.names import Portal
from drystone.kernel.sysfs import SYSFS, read_device, read_text

_SESSION = re.compile(r"session([0-9]+)")
_ADDRESS = re.compile(r"[0-9]+:[0-9]+:[0-9]+:([0-9]+)")
"""host:channel:target:LUN."""


def read_sessions(sysfs: str = SYSFS) -> list[Session]:
    """All, by identifier; but for those without an address, which are no sessions over TCP/IP or not made yet."""
    found = [session for folder in _folders(session_class(sysfs)) if (session := _read_session(folder))]
    return sorted(found, key=lambda each: each.identifier)


def session_class(sysfs: str) -> Path:
    """The folder that holds one of each session."""
    return Path(sysfs, "class", "iscsi_session")


def _read_session(folder: Path) -> Session | None:
    named = _SESSION.fullmatch(folder.name)
    target = read_text(folder / "targetname")
    portal = _read_portal(folder / "device")
    if named is None or not target or portal is None:
        return None
    disks = [disk for place in _folders(folder / "device", "target*") for disk in _read_disks(place)]
    return Session(
        int(named[1]),
        target,
        portal,
        read_text(folder / "state") or "FAILED",
        _number(read_text(folder / "recovery_tmo")),
        tuple(sorted(disks, key=lambda each: each.lun)),
    )


def _read_portal(device: Path) -> Portal | None:
    """As the initiator was told it: the address that it is connected to may be another, and is gone without one."""
    for connection in _folders(device, "connection*"):
        place = connection / "iscsi_connection" / connection.name
        address = read_text(place / "persistent_address")
        port = read_text(place / "persistent_port")
        if address and port:
            try:
                return Portal(address, _number(port))
            except UsageError:  # a host name, as others may have given
                return None
    return None


def _read_disks(place: Path) -> Iterator[Disk]:
    for device in _folders(place):
        match = _ADDRESS.fullmatch(device.name)
        for block in _folders(device / "block") if match else ():
            number = read_device(block / "dev")
            if match is not None and number is not None:
                size = _number(read_text(block / "size")) * SECTOR
                wwid = (read_text(device / "wwid") or "").strip()
                state = (read_text(device / "state") or "").strip()
                yield Disk(int(match[1]), block.name, number, size, wwid, state)


def _folders(place: Path, pattern: str = "*") -> list[Path]:
    try:
        return sorted(each for each in place.glob(pattern) if each.is_dir())
    except OSError:
        return []


def _number(text: str | None) -> int:
    digits = (text or "").strip()
    return int(digits) if digits.isdecimal() and digits.isascii() else 0

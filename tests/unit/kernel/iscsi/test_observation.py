"""What sysfs says of sessions, in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.abc import Disk, Session
from drystone.kernel.iscsi.names import Portal
from drystone.kernel.iscsi.observation import read_sessions

IQN = "iqn.2026-11.org.example:"


def add_session(root: Path, number: int, name: str, address: str = "10.0.0.1", lun: int = 0, disk: str = "") -> Path:
    """One as Linux 6.1 shows it, with one disk."""
    place = root / "devices" / f"session{number}"
    files = {
        f"iscsi_session/session{number}/targetname": f"{IQN}{name}\n",
        f"iscsi_session/session{number}/state": "LOGGED_IN\n",
        f"iscsi_session/session{number}/recovery_tmo": "5\n",
        f"connection{number}:0/iscsi_connection/connection{number}:0/persistent_address": f"{address}\n",
        f"connection{number}:0/iscsi_connection/connection{number}:0/persistent_port": "3260\n",
    }
    if disk:
        scsi = f"target{number}:0:0/{number}:0:0:{lun}"
        files |= {
            f"{scsi}/state": "running\n",
            f"{scsi}/wwid": "naa.6001405\n",
            f"{scsi}/block/{disk}/dev": "8:16\n",
            f"{scsi}/block/{disk}/size": "2048\n",
            f"target{number}:0:0/power/control": "auto\n",
        }
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    shown = root / "class" / "iscsi_session"
    shown.mkdir(parents=True, exist_ok=True)
    folder = place / "iscsi_session" / f"session{number}"
    (folder / "device").symlink_to(place)
    (shown / f"session{number}").symlink_to(folder)
    return place


def test_a_session_with_a_disk(tmp_path: Path) -> None:
    add_session(tmp_path, 7, "leg", lun=300, disk="sdb")
    disk = Disk(300, "sdb", DeviceNumber(8, 16), 2048 * 512, "naa.6001405", "running")
    assert read_sessions(str(tmp_path)) == [
        Session(7, f"{IQN}leg", Portal("10.0.0.1", 3260), "LOGGED_IN", 5, (disk,)),
    ]
    assert disk.path == "/dev/sdb"


def test_they_are_told_by_number(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        add_session(tmp_path, number, f"leg{number}", address="fe80::1")
    assert [each.identifier for each in read_sessions(str(tmp_path))] == [2, 9, 10]


@pytest.mark.parametrize(
    "gone", ["iscsi_session/session7/targetname", "connection7:0/iscsi_connection/connection7:0/persistent_address"]
)
def test_one_that_goes_away_meanwhile_is_left_out(tmp_path: Path, gone: str) -> None:
    place = add_session(tmp_path, 7, "leg", disk="sdb")
    (place / gone).unlink()
    assert read_sessions(str(tmp_path)) == []


def test_a_disk_that_goes_away_meanwhile_is_left_out(tmp_path: Path) -> None:
    place = add_session(tmp_path, 7, "leg", disk="sdb")
    (place / "target7:0:0/7:0:0:0/block/sdb/dev").unlink()
    assert read_sessions(str(tmp_path))[0].disks == ()


@pytest.mark.parametrize(("name", "text"), [("state", None), ("recovery_tmo", "off"), ("recovery_tmo", None)])
def test_what_is_not_told(tmp_path: Path, name: str, text: str | None) -> None:
    file = add_session(tmp_path, 7, "leg") / "iscsi_session/session7" / name
    file.unlink() if text is None else file.write_text(text)
    (session,) = read_sessions(str(tmp_path))
    assert not (session.is_logged_in and session.replacement)


@pytest.mark.parametrize("address", ["storage.example", "", "fe80::1%eth0"])
def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    add_session(tmp_path, 7, "leg", address=address)
    assert read_sessions(str(tmp_path)) == []


def test_no_iscsi(tmp_path: Path) -> None:
    assert read_sessions(str(tmp_path)) == []

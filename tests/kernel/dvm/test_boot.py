"""`dvm boot` under systemd: groups are active before file systems are mounted, and one that cannot be keeps nobody up.

The groups are made in one guest; another, with systemd, starts with their disks, of which two are missing.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.dvm.boot.install import TABLE
from drystone.lab.lab import Guest, Lab
from drystone.lab.machine import SYSTEMD
from drystone.lab.manager import Manager
from drystone.lab.spec import DiskSpec

pytestmark = [
    pytest.mark.usefixtures("driver"),
    pytest.mark.skipif(not SYSTEMD.exists(), reason="the package systemd is not installed"),
]

SIDE = f"{Path(__file__).parent / 'boot_groups.py'}:make_group"
SIZE = 32 << 20
DISKS = 6
"""The last two are missing when systemd starts: one leg of `half`, and all of `lost`."""
MOUNTS = """\
/dev/mapper/vg-plain /srv/plain ext4 defaults 0 2
/dev/mapper/vg-home /srv/home ext4 defaults 0 2
/dev/mapper/lost-data /srv/lost ext4 nofail,x-systemd.device-timeout=1s 0 2
"""


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> list[DiskSpec]:
    """Disks with the groups on them."""
    folder = tmp_path_factory.mktemp("disks")
    disks = [DiskSpec(str(folder / f"disk{at}"), SIZE) for at in range(DISKS)]
    names = [f"/dev/lab/disk{at}" for at in range(DISKS)]
    volumes = [
        ["create", "plain", "--size", "8m"],
        ["thin-pool", "pool", "--size", "16m"],
        ["thin", "pool", "home", "--size", "32m"],
    ]
    mirror = ["create", "data", "--size", "8m", "--kind", "raid1", "--nosync"]
    with Lab(node_disks={"node1": disks}) as lab, lab.guests[0].python() as python:
        python.call(SIDE, "vg", names[:2], volumes, {"plain": "on plain\n", "home": "at home\n"})
        python.call(SIDE, "half", [names[2], names[4]], [mirror])
        python.call(SIDE, "lost", [names[3], names[5]], [mirror])
    return disks


@pytest.fixture(scope="module")
def booted(disks: list[DiskSpec], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A machine with the files of `dvm boot`, as it is once systemd has started everything."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run([Path(sys.executable).parent / "dvm", "boot", root], check=True, stdout=subprocess.DEVNULL)
    (root / TABLE.lstrip("/")).write_text("vg wait=30\nhalf partial,wait=0.5\nlost wait=0.5\nnot/a/group\n")
    (root / "etc/fstab").write_text(MOUNTS)
    for name in ("plain", "home", "lost"):
        (root / "srv" / name).mkdir(parents=True)
    with Lab(init="systemd", over=root, node_disks={"node1": disks[:-2]}) as lab:
        Manager(lab.guests[0]).wait_until_started()
        yield lab.guests[0]


def read(guest: Guest, *paths: str) -> str:
    return guest.run(["cat", *paths]).check().text


def test_volumes_are_active_and_mounted_before_the_machine_goes_on(booted: Guest) -> None:
    manager = Manager(booted)
    units = ("drystone-dvm@vg.service", "srv-plain.mount", "srv-home.mount", "local-fs.target", "multi-user.target")
    assert [manager.show(unit, "ActiveState") for unit in units] == ["active"] * len(units)
    assert read(booted, "/srv/plain/file", "/srv/home/file") == "on plain\nat home\n"
    moments = [
        int(manager.show(unit, f"{name}TimestampMonotonic"))
        for unit, name in (
            ("drystone-dvm@vg.service", "ActiveEnter"),
            ("local-fs-pre.target", "ActiveEnter"),
            ("srv-home.mount", "InactiveExit"),
            ("srv-home.mount", "ActiveEnter"),
            ("local-fs.target", "ActiveEnter"),
        )
    ]
    assert moments == sorted(moments)
    assert moments[0] > 0


def test_a_group_without_its_devices_keeps_nothing_back_and_says_so(booted: Guest) -> None:
    manager = Manager(booted)
    assert manager.show("drystone-dvm@lost.service", "ActiveState") == "failed"
    assert manager.show("srv-lost.mount", "ActiveState") == "inactive"
    status = booted.run(["systemctl", "status", "--no-pager", "--full", "drystone-dvm@lost.service"], cwd="/")
    assert status.status == 3, "as systemctl says it of a unit that is not active"
    assert "missing" in status.text
    failed = manager.systemctl("list-units", "--failed", "--plain", "--no-legend")
    assert [line.split()[0] for line in failed.splitlines()] == ["drystone-dvm@lost.service"]


def test_a_partial_group_goes_on_with_what_is_there(booted: Guest) -> None:
    assert Manager(booted).show("drystone-dvm@half.service", "ActiveState") == "active"
    table = booted.run(["dmsetup", "status", "half-data"]).check().text.split()
    assert table[2] == "raid"
    assert "A" in table[5]
    (line,) = Manager(booted).journal("--unit=drystone-dvm@half.service", "_COMM=dvm")
    assert re.fullmatch(r"half: version 2, \d+ steps taken; data is degraded \(missing: [^ ]+\)", line), line


def test_a_line_that_cannot_be_is_in_the_journal(booted: Guest) -> None:
    (line,) = Manager(booted).journal("--identifier=drystone-dvm-generator")
    assert line == f"{TABLE}: not/a/group: no name of a group"


def test_the_machine_stops_in_order(booted: Guest) -> None:
    Manager(booted).power_off()
    console = booted.console()
    assert "systemd-shutdown[1]: All DM devices detached." in console
    assert [line for line in console if line.startswith("EXT4-fs") and "unmounting" in line]
    assert not [line for line in console if "Failed" in line and "systemd-shutdown" in line]

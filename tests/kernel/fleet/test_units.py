"""The units of `drystone fleet boot` under systemd: a mapper and a storage server, with what they are forbidden."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.installing import install_services
from drystone.fleet.boot.install import ROLES, SECRET, describe, name_configuration, name_unit
from drystone.lab.lab import Guest, Lab
from drystone.lab.machine import SYSTEMD
from drystone.lab.manager import Manager
from drystone.lab.python import Python

pytestmark = [
    pytest.mark.usefixtures("driver"),
    pytest.mark.skipif(not SYSTEMD.exists(), reason="the package systemd is not installed"),
]

ASK = f"{Path(__file__).parent / 'unit_client.py'}:ask"
PROGRAM = Path(sys.executable).parent / "drystone"
MAPPER, STORAGE = (name_unit(role) for role in ROLES)
SETTINGS = {
    "mapper": 'servers = ["s1"]\ncopies = 1\n',
    "storage": 'id = "s1"\nmappers = ["http://127.0.0.1:8079"]\n',
}
DISK = "mkfs.ext4 -q /dev/lab/disk0 && mkdir -p /data_1 && mount /dev/lab/disk0 /data_1"
NAME, TEXT = "/bucket/host/name", "what is kept"
Key = list[str]


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A machine with the units, neither of which was started."""
    root = tmp_path_factory.mktemp("root")
    install_services(str(root), str(PROGRAM), [describe(role) for role in ROLES])
    for role in ROLES:
        (root / name_configuration(role).lstrip("/")).write_text(SETTINGS[role])
    secret = root / SECRET.lstrip("/")
    secret.write_text("s" * 32 + "\n")
    secret.chmod(0o600)
    with Lab(init="systemd", over=root, disks=[256 << 20]) as lab:
        (guest,) = lab.guests
        # The mapper's user has to get at the program, which may lie in somebody's home here.
        places = {*PROGRAM.parents, *Path(sys.executable).resolve().parents, *Path(__file__).parents}
        guest.run(["chmod", "a+x", *sorted(map(str, places))]).check()
        Manager(guest).wait_until_started()
        yield guest


@pytest.fixture(scope="module")
def python(booted: Guest) -> Iterator[Python]:
    with booted.python() as python:
        yield python


@pytest.fixture(scope="module")
def key(booted: Guest) -> Key:
    """A key that may do everything, of a fleet that has been started, with one disk."""
    booted.run(["sh", "-c", DISK]).check()
    Manager(booted).systemctl("start", MAPPER, STORAGE)
    made = json.loads(booted.run([str(PROGRAM), "fleet", "key", "create", "*=admin", "--json"], cwd="/").check().text)
    return [made["access_key"], made["secret_key"]]


def wait_for_restart(manager: Manager, unit: str) -> None:
    """Until systemd has started it once more and it says that it is ready."""
    limit = time.monotonic() + 120
    while (manager.show(unit, "NRestarts"), manager.show(unit, "ActiveState")) != ("1", "active"):
        assert time.monotonic() < limit, manager.systemctl("status", unit)
        time.sleep(0.3)


def test_objects_are_stored_and_read(booted: Guest, python: Python, key: Key) -> None:
    python.call(ASK, key, "PUT", "/bucket")
    python.call(ASK, key, "PUT", NAME, TEXT)
    assert python.call(ASK, key, "GET", NAME) == TEXT
    assert booted.run(["sh", "-c", "cat $(find /data_1 -name name)"]).check().text == TEXT


def test_they_have_no_more_rights_than_the_units_say(booted: Guest, key: Key) -> None:
    pid = Manager(booted).show(MAPPER, "MainPID")
    status = booted.run(["cat", f"/proc/{pid}/status"]).check().text
    said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in said["Uid"].split()
    assert (said["NoNewPrivs"], int(said["CapBnd"], 16), said["Seccomp"]) == ("1", 0, "2")
    for unit, places in ((MAPPER, ("/etc", "/usr", "/srv")), (STORAGE, ("/etc", "/usr"))):
        inside = ["nsenter", f"--target={Manager(booted).show(unit, 'MainPID')}", "--mount", "--"]
        for place in places:
            assert "Read-only" in booted.run([*inside, "touch", f"{place}/x"]).stderr.decode(), (unit, place)


def test_a_disk_is_seen_when_it_comes(booted: Guest, python: Python, key: Key) -> None:
    manager = Manager(booted)
    manager.systemctl("stop", STORAGE)
    booted.run(["umount", "/data_1"]).check()
    manager.systemctl("start", STORAGE)
    assert booted.run(["ls", "-A", "/data_1"]).check().text == "", "what is not mounted is not written to"
    booted.run(["mount", "/dev/lab/disk0", "/data_1"]).check()
    assert python.call(ASK, key, "GET", NAME) == TEXT


def test_those_that_are_killed_are_started_again(booted: Guest, python: Python, key: Key) -> None:
    manager = Manager(booted)
    units = (MAPPER, STORAGE)
    before = [manager.show(unit, "MainPID") for unit in units]
    manager.systemctl("kill", "--signal=KILL", *units)
    for unit in units:
        wait_for_restart(manager, unit)
    assert not {manager.show(unit, "MainPID") for unit in units} & {*before, "0"}
    assert python.call(ASK, key, "GET", NAME) == TEXT


def test_they_stop_in_order(booted: Guest, key: Key) -> None:
    manager = Manager(booted)
    manager.systemctl("stop", STORAGE, MAPPER)
    for unit in (STORAGE, MAPPER):
        found = {name: manager.show(unit, name) for name in ("ActiveState", "Result", "ExecMainStatus")}
        assert found == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}

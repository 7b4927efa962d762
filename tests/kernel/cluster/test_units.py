"""The units of `drystone cluster boot` under systemd: four servers find each other, with what they are forbidden."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.installing import install_services
from drystone.cluster.boot.install import ROLES, TOKENS, describe
from drystone.cluster.callers import add_caller
from drystone.lab.lab import Guest, Lab
from drystone.lab.machine import SYSTEMD
from drystone.lab.manager import Manager

pytestmark = [
    pytest.mark.usefixtures("driver"),
    pytest.mark.skipif(not SYSTEMD.exists(), reason="the package systemd is not installed"),
]

PROGRAM = Path(sys.executable).parent / "drystone"
API, MONITOR, DPV, IHOST = UNITS = tuple(describe(role).unit for role in ROLES)
SETTINGS = {
    "api": "",
    "monitor": "",
    "dpv": 'plain = true\ndisk = "/dev/lab/disk0"\nportals = ["127.0.0.1:13260"]\n',
    "ihost": 'plain = true\nname = "h1"\n',
}
TOKEN = "/etc/drystone/admin.token"


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A machine with the units, none of which was started."""
    root = tmp_path_factory.mktemp("root")
    install_services(str(root), str(PROGRAM), [describe(role) for role in ROLES])
    for role in ROLES:
        (root / describe(role).configuration.lstrip("/")).write_text(SETTINGS[role])
    tokens = root / TOKENS.lstrip("/")
    for path, token in (
        (TOKEN, add_caller(tokens, "admin", "operator")),
        ("/etc/drystone/ihost.token", add_caller(tokens, "h1", "agent")),
    ):
        file = root / path.lstrip("/")
        file.write_text(token)
        file.chmod(0o600)
    with Lab(init="systemd", over=root, disks=[256 << 20], memory=768 << 20) as lab:
        (guest,) = lab.guests
        # The user of the API has to get at the program, which may lie in somebody's home here.
        places = {*PROGRAM.parents, *Path(sys.executable).resolve().parents, *Path(__file__).parents}
        guest.run(["chmod", "a+x", *sorted(map(str, places))]).check()
        Manager(guest).wait_until_started()
        guest.run([str(PROGRAM), "cluster", "format", "/dev/lab/disk0"], cwd="/").check()
        Manager(guest).systemctl("start", *UNITS)
        yield guest


def ask(guest: Guest, *words: str) -> str:
    """What a command of `drystone cluster` prints."""
    environment = {"DRYSTONE_CLUSTER_TOKEN": TOKEN}
    return guest.run([str(PROGRAM), "cluster", *words], env=environment, cwd="/", timeout=120).check().text


def test_the_servers_find_each_other(booted: Guest) -> None:
    dpv = ("d1", "--address", "127.0.0.1:9400", "--portal", "127.0.0.1:13260", "--size", "200M")
    ask(booted, "dpvs", "create", *dpv, "--wait")
    ihost = ("h1", "--address", "127.0.0.1:9401", "--initiator", "iqn.2026-11.org.example:h1")
    ask(booted, "ihosts", "create", *ihost, "--wait")
    for noun, name in (("dpvs", "d1"), ("ihosts", "h1")):
        (found,) = json.loads(ask(booted, noun, "list", "--json"))
        assert (found["name"], found["status"]) == (name, "available")


@pytest.mark.parametrize("unit", [API, MONITOR])
def test_those_that_need_no_rights_have_none(booted: Guest, unit: str) -> None:
    pid = Manager(booted).show(unit, "MainPID")
    status = booted.run(["cat", f"/proc/{pid}/status"]).check().text
    said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in said["Uid"].split()
    assert (said["NoNewPrivs"], int(said["CapBnd"], 16), said["Seccomp"]) == ("1", 0, "2")


def test_an_agent_that_is_killed_is_started_again(booted: Guest) -> None:
    manager = Manager(booted)
    manager.systemctl("kill", "--signal=KILL", DPV)
    limit = time.monotonic() + 120
    while (manager.show(DPV, "NRestarts"), manager.show(DPV, "ActiveState")) != ("1", "active"):
        assert time.monotonic() < limit, manager.journal(f"--unit={DPV}")
        time.sleep(0.3)


def test_they_stop_in_order(booted: Guest) -> None:
    manager = Manager(booted)
    manager.systemctl("stop", *UNITS)
    for unit in UNITS:
        found = {name: manager.show(unit, name) for name in ("ActiveState", "Result", "ExecMainStatus")}
        assert found == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, unit

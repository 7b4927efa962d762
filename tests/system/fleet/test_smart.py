"""A disk that says it fails is emptied while it serves. smartctl is a fake: by its parent it knows whose disk it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from drystone.fleet.mapping.status import Status
from drystone.kernel.physical import disks_of_folder
from drystone.testing.fleet.processes import FleetProcesses, wait_until
from drystone.testing.smart import make_ata

_HOSTS = [f"host-{number}" for number in range(4)]
_PROGRAM = """#!{python}
import os, pathlib, sys
words = pathlib.Path("/proc", str(os.getppid()), "cmdline").read_bytes().split(b"\\0")
server = words[words.index(b"--id") + 1].decode()
sys.stdout.write(pathlib.Path({folder!r}, server).read_text())
"""


def copies_on(status: Status | None, server: str) -> int:
    return -1 if status is None else sum(any(server in copy for copy in host.copies) for host in status.hosts)


def test_a_disk_that_says_it_fails_is_emptied_and_loses_nothing(tmp_path: Path) -> None:
    if not disks_of_folder(tmp_path):
        pytest.skip("the folder of tests lies on no disk of its own")
    documents = tmp_path / "documents"
    documents.mkdir()
    program = tmp_path / "smartctl"
    program.write_text(_PROGRAM.format(python=sys.executable, folder=str(documents)))
    program.chmod(0o755)
    words = ("--smartctl", str(program), "--smart-seconds", "0.5")
    with FleetProcesses(tmp_path / "fleet", servers=3, disks=1, storage_words=words) as fleet:
        for each in fleet.storage:
            (documents / each.name).write_text(json.dumps(make_ata()))
        fleet.start()
        url = fleet.storage[2].url
        assert fleet.client.ask(url, "PUT", "/bucket").status == 200
        for host in _HOSTS:
            assert fleet.client.ask(url, "PUT", f"/bucket/{host}/file", body=host.encode()).status == 200
        wait_until("all is protected", fleet.is_protected)
        failing = next(each for each in fleet.storage if copies_on(fleet.status(), each.name) > 0)
        (documents / failing.name).write_text(json.dumps(make_ata(pending=8)))
        wait_until("it is empty", lambda: copies_on(fleet.status(), failing.name) == 0)
        status = fleet.status()
        assert status is not None
        (disk,) = [each for each in status.disks if each.server == failing.name]
        assert disk.state == "draining"
        assert "8 unreadable sectors" in disk.reason
        assert {host.state for host in status.hosts} == {"protected"}
        for host in _HOSTS:
            assert fleet.client.ask(url, "GET", f"/bucket/{host}/file").body == host.encode()
        (documents / failing.name).write_text(json.dumps(make_ata()))
        wait_until("it is good again", fleet.is_protected)

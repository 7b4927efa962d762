"""The units' commands, run as systemd runs them: with credentials, readiness and a watchdog, until SIGTERM."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from drystone.fleet.boot.install import SECRET, Role, name_configuration, render
from drystone.testing.fleet.processes import find_port, wait_until

_SECONDS = 120


class Manager:
    """Stands for systemd. :ivar told: what services said, in order."""

    def __init__(self, folder: Path, role: Role, settings: str) -> None:
        self._folder = folder / role
        self._folder.mkdir()
        self._role: Role = role
        credentials = {"configuration": settings, "secret": "s" * 32 + "\n"}
        for name, text in credentials.items():
            (self._folder / name).write_text(text)
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.bind(str(self._folder / "notify"))
        self._line.settimeout(_SECONDS)

    def words(self) -> list[str]:
        """The unit's command."""
        text = render(self._role, "/usr/bin/drystone").decode()
        line = next(each for each in text.splitlines() if each.startswith("ExecStart="))
        for name, place in (
            ("${CREDENTIALS_DIRECTORY}", self._folder),
            (name_configuration(self._role), self._folder / "configuration"),
            (SECRET, self._folder / "secret"),
        ):
            line = line.replace(name, str(place))
        return [sys.executable, "-m", "drystone.cli.main", *shlex.split(line)[1:]]

    def hear(self, line: str) -> None:
        """Wait until the service says that."""
        while self._line.recv(100).decode() != line:
            pass

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**os.environ, "NOTIFY_SOCKET": str(self._folder / "notify"), "WATCHDOG_USEC": "400000"}
        with (self._folder / "log").open("wb") as log, self._line:
            process = subprocess.Popen(self.words(), stdout=log, stderr=log, env=environment, start_new_session=True)
            try:
                yield process
            finally:
                process.kill()
                process.wait(_SECONDS)


def test_the_units_commands_run_tell_that_they_live_and_end_in_order(tmp_path: Path) -> None:
    ports = {"mapper": find_port(), "storage": find_port()}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    (tmp_path / "disks" / "data_1").mkdir(parents=True)
    mapper = Manager(
        tmp_path,
        "mapper",
        f'listen = "127.0.0.1:{ports["mapper"]}"\ndatabase = "sqlite:///{tmp_path}/map.db"\nservers = ["s1"]\n',
    )
    storage = Manager(
        tmp_path,
        "storage",
        f'id = "s1"\nlisten = "127.0.0.1:{ports["storage"]}"\nmappers = ["{urls["mapper"]}"]\n'
        f'root = "{tmp_path}/disks"\nstate = "{tmp_path}/state"\n',
    )
    with mapper.running() as first, storage.running() as second:
        for each in (mapper, storage):
            each.hear("READY=1")
            each.hear("WATCHDOG=1")
        assert httpx.get(f"{urls['mapper']}/health", trust_env=False).json()["leads"] is True
        spare = {"primary": "spare", "secondary": "spare"}

        def has_its_disk() -> bool:
            answer = httpx.get(f"{urls['storage']}/api?action=get_config", timeout=_SECONDS, trust_env=False)
            return answer.status_code == 200 and answer.json() == {"data_1": spare}

        wait_until("the storage server has its disk", has_its_disk)
        for process in (second, first):
            process.terminate()
            assert process.wait(_SECONDS) == 0

"""A stand-in for systemd: it runs a unit's command as that does, with credentials, readiness and a watchdog."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from drystone.base.installing import Service

SECONDS = 120
"""That anything may take."""


class ServiceManager:
    """Runs one service. The constructor writes its files below `folder`.

    :param credentials: what is in the files that the unit names, by their names; `configuration` is one of them.
    :param places: what the unit says instead of a credential's name, by that name.
    """

    def __init__(
        self, folder: Path, service: Service, credentials: Mapping[str, str], places: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder / service.unit
        self._folder.mkdir()
        self._service = service
        self._places = {"configuration": service.configuration, **(places or {})}
        for name, text in credentials.items():
            (self._folder / name).touch(mode=0o600)
            (self._folder / name).write_text(text)
        self._line: socket.socket | None = None

    def words(self) -> list[str]:
        """The unit's command."""
        text = self._service.render("/usr/bin/drystone").decode()
        line = next(each for each in text.splitlines() if each.startswith("ExecStart="))
        line = line.replace("${CREDENTIALS_DIRECTORY}", str(self._folder))
        for name, place in self._places.items():
            line = line.replace(place, str(self._folder / name))
        return [sys.executable, "-m", "drystone.cli.main", *shlex.split(line)[1:]]

    def hear(self, line: str) -> None:
        """Wait until the service says that. In the block of `running`."""
        assert self._line is not None, "it runs"
        while self._line.recv(100).decode() != line:
            pass

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The service, ended by force at the end of the block."""
        with (
            (self._folder / "log").open("wb") as log,
            tempfile.TemporaryDirectory(prefix="notify-") as short,  # a socket's path has 107 bytes at most
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as self._line,
        ):
            place = f"{short}/notify"
            self._line.bind(place)
            self._line.settimeout(SECONDS)
            environment = {**os.environ, "NOTIFY_SOCKET": place, "WATCHDOG_USEC": "400000"}
            process = subprocess.Popen(self.words(), stdout=log, stderr=log, env=environment, start_new_session=True)
            try:
                yield process
            finally:
                process.kill()
                process.wait(SECONDS)

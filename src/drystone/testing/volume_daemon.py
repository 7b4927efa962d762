"""A volume daemon as a process, and the command lines that talk to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from drystone.base.errors import UnavailableError
from drystone.wire.client import UnixClient

_READY_SECONDS = 60.0
_COMMAND_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """stdout without its last newline; the command succeeded."""
        assert self.code == 0, self
        return self.out.rstrip("\n")

    @property
    def error(self) -> str:
        """The message of a failed `convoy` command."""
        assert self.code == 1, self
        message = self.document["Error"]
        assert isinstance(message, str)
        return message


class Process(Protocol):
    """What is asked of a daemon's process; subprocess.Popen is one."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Its exit code (-N after signal N), None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit code."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""


class VolumeDaemon:
    """A daemon on `root` with `options` (words such as `--drivers`, `vfs`); `start` runs it."""

    def __init__(self, root: Path, socket: Path, log: Path, options: Sequence[str]) -> None:
        self.root = root
        self.socket = socket
        self.log = log
        self.options = list(options)
        self.process: Process | None = None

    @property
    def words(self) -> list[str]:
        """The arguments of `convoy` that start it."""
        return ["--socket", str(self.socket), "daemon", "--root", str(self.root), *self.options]

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        self.process = self.launch()
        limit = time.monotonic() + _READY_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < limit, self.log.read_text()
            time.sleep(0.05)

    def launch(self) -> Process:
        """The daemon's process, just begun."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "drystone.cli.convoy", *self.words]
            return subprocess.Popen(command, stdout=log, stderr=log)

    def call(self, method: str, route: str, body: Mapping[str, object] | None = None) -> Any:
        """One request to the daemon from this process: a command line takes half a second in a guest.

        :raises DrystoneError: what the daemon answered with, or that it is not there.
        """
        answer = UnixClient(self.socket).call(method, route, body)
        return answer.document() if answer.content_type == "application/json" else answer.text

    def _answers(self) -> bool:
        try:
            self.call("GET", "/info")
        except UnavailableError:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the daemon with a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process = None
        return code

    def fail_to_start(self) -> str:
        """Start a daemon that refuses to; its message."""
        return self.run("drystone.cli.convoy", self.words).error

    def convoy(self, *words: str) -> Ran:
        """Run `convoy` against the daemon."""
        return self.run("drystone.cli.convoy", ["--socket", str(self.socket), *words])

    def drystone(self, *words: str) -> Ran:
        """Run `drystone` against the daemon."""
        return self.run("drystone.cli.main", words)

    def run(self, module: str, words: Sequence[str]) -> Ran:
        """Run a command line to its end."""
        environment = {**os.environ, "DRYSTONE_SOCKET": str(self.socket)}
        command = [sys.executable, "-m", module, *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False, env=environment
        )
        return Ran(done.returncode, done.stdout, done.stderr)

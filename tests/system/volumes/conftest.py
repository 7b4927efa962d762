"""A daemon as a process, and the command lines that talk to it, on this machine with the driver vfs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

READY_SECONDS = 30.0


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


class Host:
    """A folder with a daemon's root, its volumes, its socket."""

    def __init__(self, folder: Path, short: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.volumes = folder / "volumes"
        self.socket = short / "s"
        self.log = folder / "log"
        self.daemon: subprocess.Popen[bytes] | None = None

    def daemon_words(self, *more: str) -> list[str]:
        """The arguments that start a daemon here."""
        words = ["--socket", str(self.socket), "daemon", "--root", str(self.root), "--drivers", "vfs"]
        return [*words, "--driver-opts", f"vfs.path={self.volumes}", *more]

    def start(self, *more: str) -> None:
        """Start the daemon and wait until it answers."""
        with self.log.open("ab") as log:
            words = [sys.executable, "-m", "drystone.cli.convoy", *self.daemon_words(*more)]
            self.daemon = subprocess.Popen(words, stdout=log, stderr=log)
        limit = time.monotonic() + READY_SECONDS
        while self.convoy("info").code:
            assert self.daemon.poll() is None, self.log.read_text()
            assert time.monotonic() < limit, self.log.read_text()
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the daemon with a signal; its exit code."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        code = self.daemon.wait(30)
        self.daemon = None
        return code

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
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def host(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host without a daemon yet. The socket's folder has a short path: the kernel allows 107 bytes."""
    made = Host(tmp_path, tmp_path_factory.mktemp("s"))
    yield made
    if made.daemon is not None:
        made.stop(signal.SIGKILL)


@pytest.fixture
def running(host: Host) -> Host:
    """A host with its daemon."""
    host.start()
    return host

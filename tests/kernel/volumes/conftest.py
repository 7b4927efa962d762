"""A daemon with the driver devicemapper on loop devices, inside a guest."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.cli import convoy
from drystone.testing.volume_daemon import Process, Ran, VolumeDaemon

from .forks import Fork, run_fork


def run(*words: str) -> str:
    """A command that succeeds; what it prints."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


class Host(VolumeDaemon):
    """A guest with two loop devices and a daemon that may run on them.

    :ivar whole_start: start the daemon by its command line, not as a fork.
    """

    def __init__(self, folder: Path, data: str = "384M", metadata: str = "16M") -> None:
        self.folder = folder
        self.whole_start = False
        self.data = self.loop("data.vol", data)
        self.metadata = self.loop("metadata.vol", metadata)
        super().__init__(folder / "root", folder / "s", folder / "log", [])
        self.set_options()

    def set_options(self, **options: str) -> None:
        """Options `dm.*` of the driver, over those that fit a guest."""
        wanted = {
            "datadev": self.data,
            "metadatadev": self.metadata,
            "thinpoolblocksize": "128",
            "defaultvolumesize": "64M",
        }
        words = [f"--driver-opts=dm.{key}={value}" for key, value in (wanted | options).items()]
        self.options = ["--drivers", "devicemapper", *words]

    def convoy(self, *words: str) -> Ran:
        """`convoy` within this process: an interpreter's start is most of what a command takes in a guest."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = convoy.run(["--socket", str(self.socket), *words])
        return Ran(code, out.getvalue(), err.getvalue())

    def type_convoy(self, *words: str) -> Ran:
        """`convoy` as a process."""
        return super().convoy(*words)

    def launch(self) -> Process:
        """The daemon as a fork, but where the start itself is looked at."""
        return super().launch() if self.whole_start else Fork(self.words, self.log, self.log)

    def fail_to_start(self) -> str:
        return run_fork(self.words, self.folder).error

    def loop(self, name: str, size: str) -> str:
        """A loop device over a new sparse file."""
        file = self.folder / name
        run("truncate", "-s", size, str(file))
        device = run("losetup", "-f", "--show", str(file))
        self._loops = [*getattr(self, "_loops", []), device]
        return device

    def take_down(self) -> None:
        """What a power cut does to the running system: no mounts, no device-mapper devices. The disks stay."""
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if "/dev/mapper/" in line:
                run("umount", line.split()[1])
        names = [line.split()[0] for line in run("dmsetup", "ls").splitlines() if "No devices" not in line]
        for name in sorted(names, key=len, reverse=True):
            run("dmsetup", "remove", name)

    def close(self) -> None:
        """Leave the guest as it was."""
        if self.process is not None:
            self.stop(signal.SIGKILL)
        self.take_down()
        for device in self._loops:
            run("losetup", "-d", device)


@pytest.fixture(autouse=True)
def _bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons may keep their bytecode, whatever the caller's setting: it halves a start, and is gone with the guest."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host without a daemon yet."""
    made = Host(tmp_path)
    yield made
    made.close()


@pytest.fixture
def running(host: Host) -> Host:
    """A host with its daemon."""
    host.start()
    return host

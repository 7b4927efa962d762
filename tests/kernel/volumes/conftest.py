"""A daemon with the driver devicemapper on loop devices, inside a guest."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.testing.volume_daemon import VolumeDaemon


def run(*words: str) -> str:
    """A command that succeeds; what it prints."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


class Host(VolumeDaemon):
    """A guest with two loop devices and a daemon that may run on them."""

    def __init__(self, folder: Path, data: str = "384M", metadata: str = "16M") -> None:
        self.folder = folder
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

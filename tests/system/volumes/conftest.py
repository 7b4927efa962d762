"""A daemon on this machine with the driver vfs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.testing.volume_daemon import VolumeDaemon


class Host(VolumeDaemon):
    """A folder with a daemon's root, its volumes, its socket. The socket's path is short, 107 bytes at most."""

    def __init__(self, folder: Path, short: Path) -> None:
        self.folder = folder
        self.volumes = folder / "volumes"
        options = ["--drivers", "vfs", "--driver-opts", f"vfs.path={self.volumes}"]
        super().__init__(folder / "root", short / "s", folder / "log", options)


@pytest.fixture
def host(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host without a daemon yet."""
    made = Host(tmp_path, tmp_path_factory.mktemp("s"))
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


@pytest.fixture
def running(host: Host) -> Host:
    """A host with its daemon."""
    host.start()
    return host

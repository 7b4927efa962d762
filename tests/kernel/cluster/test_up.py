"""`drystone cluster up` and `dlvm`, as people type them, on a real kernel: a volume outlives the processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.cluster.model.extents import EXTENT
from drystone.kernel import loop
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.testing.iscsi_leg import name_this_host

pytestmark = pytest.mark.lab(memory="1G")

DEVICE = Path("/dev/mapper/drystone-dlv-db")
_SECONDS = 300


class Trial:
    """The command, as a process."""

    def __init__(self, root: Path) -> None:
        self._root = root
        words = ["cluster", "up", "--root", str(root), "--dpvs", "2", "--size", "128m", "--json"]
        with (root.parent / "up.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "drystone.cli.main", *words], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "".join(each.read_text() for each in (root.parent / "up.log", *root.glob("*.log")))
        self.told = json.loads(line)

    def dlvm(self, *words: str) -> str:
        """What the client prints."""
        environment = os.environ | {
            "DRYSTONE_CLUSTER_API": self.told["api"],
            "DRYSTONE_CLUSTER_TOKEN": self.told["token"],
        }
        done = subprocess.run(
            [sys.executable, "-m", "drystone.cli.cluster.dlvm", *words],
            capture_output=True, text=True, env=environment, timeout=_SECONDS, check=False,
        )  # fmt: skip
        logs = "".join(each.read_text()[-2000:] for each in self._root.glob("*.log"))
        assert done.returncode == 0, f"{done.stderr}\n{logs}"
        return done.stdout

    def end(self) -> int:
        """Ctrl-C; the exit status."""
        self._process.send_signal(signal.SIGINT)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.wait(_SECONDS)


def test_what_is_attached_outlives_the_processes_and_is_gone_on_with(tmp_path: Path) -> None:
    name_this_host()
    root = tmp_path / "cluster"
    root.mkdir()
    trial = Trial(root)
    made = trial.dlvm("dlvs", "create", "db", "--dvg", trial.told["dvg"], "--size", str(EXTENT), "--wait")
    assert made == "dlv db: detached\n"
    assert trial.dlvm("dlvs", "attach", "db", trial.told["ihost"], "--wait") == "dlv db: attached\n"
    with DEVICE.open("r+b") as device:
        device.write(b"kept" * 1024)
        os.fsync(device.fileno())
    assert trial.end() == 0
    with DEVICE.open("rb") as device:
        assert device.read(4096) == b"kept" * 1024
    trial = Trial(root)
    assert trial.dlvm("dlvs", "detach", "db", "--wait") == "dlv db: detached\n"
    assert trial.dlvm("dlvs", "delete", "db", "--wait") == "dlv db: deleted\n"
    assert trial.end() == 0
    with KernelDeviceMapper() as dm:
        assert dm.list_devices() == []
    lio = ConfigfsLio()
    assert (lio.targets(), lio.backstores(), OpenIscsi().sessions()) == ([], [], [])
    assert loop.list_loops() == []

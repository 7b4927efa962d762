"""`drystone backup create` of thin devices on the real kernel: what is read, and what ends a chain of deltas."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drystone.cli.backup import backup
from drystone.cli.exits import run
from drystone.dvm.metadata_snapshot import POOL, keep, let_go
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, node_path, remove_node

pytestmark = pytest.mark.lab(memory="768M", disks=["8M", "192M"])

METADATA, DATA = "/dev/lab/disk0", "/dev/lab/disk1"
BLOCK = 128 << 10
"""Bytes of a pool block."""
SIZE = 64 << 20
MIB = 1 << 20
STORE = "/tmp/store"


@dataclass
class Host:
    """A pool on the lab's disks, a volume in it, and the command line."""

    dm: KernelDeviceMapper
    capture: pytest.CaptureFixture[str]
    rng: random.Random = field(default_factory=lambda: random.Random(5))

    def activate(self, device: int, name: str, extra: str = "") -> None:
        params = f"{self.dm.info('pool').number} {device}{extra}"
        self.dm.create(name)
        self.dm.load(name, [TableLine(0, SIZE // 512, "thin", params)])
        make_node(name, self.dm.resume(name).number)

    def remove(self, name: str) -> None:
        self.dm.remove(name)
        remove_node(name)

    def snapshot(self, device: int, of: int = 0, name: str = "volume") -> None:
        self.dm.suspend(name)
        self.dm.message("pool", f"create_snap {device} {of}")
        self.dm.resume(name)
        self.activate(device, f"snapshot{device}")

    def write(self, offset: int, length: int = BLOCK, name: str = "volume") -> None:
        with open_device(node_path(name), write=True) as device:
            device.pwrite(offset, self.rng.randbytes(length))
            device.flush()

    def discard(self, offset: int, length: int = BLOCK, name: str = "volume") -> None:
        with open_device(node_path(name), write=True) as device:
            device.discard(offset, length)

    def read(self, name: str) -> bytes:
        with open_device(node_path(name)) as device:
            return device.pread(0, SIZE)

    def run(self, *words: str) -> tuple[int, str, str]:
        self.capture.readouterr()
        code = run(backup, words)
        out, err = self.capture.readouterr()
        return code, out, err

    def back_up(self, name: str, *words: str) -> dict[str, Any]:
        """The backup of a device, which is restored and compared."""
        wanted = ("create", node_path(name), "--dest", STORE, "--name", "db", "--no-encryption", "--json", *words)
        code, out, err = self.run(*wanted)
        assert code == 0, err
        made: dict[str, Any] = json.loads(out)
        target = Path("/tmp/restored")
        assert self.run("restore", made["url"], str(target), "--overwrite")[0] == 0
        assert target.read_bytes() == self.read(name)
        target.unlink()
        return made


def reason(made: dict[str, Any]) -> str:
    """Why all that is mapped was read; "" for a delta."""
    told = [each for each in made["warnings"] if each.startswith("all that is mapped was read: ")]
    return told[0].removeprefix("all that is mapped was read: ") if told else ""


def make_pool(dm: KernelDeviceMapper) -> None:
    with open_device(METADATA, write=True) as device:
        device.zero_out(0, 4096)
    dm.create("pool")
    with open_device(DATA) as device:
        sectors = device.size // BLOCK * BLOCK // 512
    dm.load("pool", [TableLine(0, sectors, "thin-pool", f"{METADATA} {DATA} {BLOCK // 512} 0")])
    dm.resume("pool")
    dm.message("pool", "create_thin 0")


def end_pool(dm: KernelDeviceMapper) -> None:
    for entry in dm.list_devices():
        if entry.name != "pool":
            dm.remove(entry.name)
            remove_node(entry.name)
    dm.remove("pool")


@pytest.fixture
def host(capsys: pytest.CaptureFixture[str]) -> Iterator[Host]:
    shutil.rmtree(STORE, ignore_errors=True)
    with KernelDeviceMapper() as dm:
        make_pool(dm)
        made = Host(dm, capsys)
        made.activate(0, "volume")
        made.write(0, 4 * MIB)
        made.write(20 * MIB, 8 * MIB)
        made.write(SIZE - BLOCK)
        yield made
        end_pool(dm)


def test_a_chain_of_deltas(host: Host) -> None:
    host.snapshot(1)
    made = host.back_up("snapshot1")
    assert made["read"] < 16 * MIB, "what is not mapped is not read"
    assert made["about"]["thin.since"] == ""
    for turn in range(2, 6):
        host.write(host.rng.randrange(SIZE // BLOCK) * BLOCK)
        host.write(21 * MIB + turn * BLOCK)
        host.discard(24 * MIB + turn * BLOCK)
        host.snapshot(turn)
        before = made
        made = host.back_up(f"snapshot{turn}")
        assert reason(made) == ""
        assert made["parent"] == before["backup"]
        assert made["about"]["thin.since"] == str(turn - 1)
        assert made["read"] <= 4 * MIB
        # Snapshots before the base's are of no use any more.
        if turn > 2:
            host.remove(f"snapshot{turn - 2}")
            host.dm.message("pool", f"delete {turn - 2}")
    assert host.back_up("snapshot5")["read"] == 0


def test_a_base_that_was_written_to(host: Host) -> None:
    host.snapshot(1)
    host.back_up("snapshot1")
    host.write(21 * MIB, name="snapshot1")
    # The new one is made of the base itself, so that the mappings of both are the same.
    host.snapshot(2, of=1, name="snapshot1")
    made = host.back_up("snapshot2")
    assert "thin device 1 was written to" in reason(made)
    assert made["parent"], "the base saves storing again"
    assert made["stored"] < 2 * MIB


def test_a_base_of_which_something_was_discarded(host: Host) -> None:
    host.snapshot(1)
    host.back_up("snapshot1")
    host.discard(21 * MIB, name="snapshot1")
    host.snapshot(2, of=1, name="snapshot1")
    assert "thin device 1 was written to" in reason(host.back_up("snapshot2"))


def test_a_base_that_is_the_volume_itself(host: Host) -> None:
    host.back_up("volume")
    host.write(21 * MIB)
    host.snapshot(2)
    assert "thin device 0 was written to" in reason(host.back_up("snapshot2"))


def test_a_base_that_is_gone_and_one_whose_id_was_given_out_again(host: Host) -> None:
    host.snapshot(1)
    host.back_up("snapshot1")
    host.remove("snapshot1")
    host.dm.message("pool", "delete 1")
    host.write(MIB)
    host.snapshot(2)
    assert "thin device 1, which the last backup was made of, is gone" in reason(host.back_up("snapshot2"))
    host.remove("snapshot2")
    host.dm.message("pool", "delete 2")
    host.snapshot(2)
    host.write(2 * MIB)
    host.snapshot(3)
    assert "another one has its id" in reason(host.back_up("snapshot3"))


def test_a_pool_that_was_made_anew_is_caught_by_the_sample(host: Host) -> None:
    """Same name, same ids, same times, same number of mappings: only the bytes differ."""
    host.snapshot(1)
    host.back_up("snapshot1")
    end_pool(host.dm)
    make_pool(host.dm)
    host.activate(0, "volume")
    host.write(0, 4 * MIB)
    host.write(20 * MIB, 8 * MIB)
    host.write(SIZE - BLOCK)
    host.snapshot(1)
    host.snapshot(2)
    words = ("create", node_path("snapshot2"), "--dest", STORE, "--name", "db")
    code, _, err = host.run(*words)
    assert (code, "does not tell all that changed" in err) == (10, True)
    assert reason(host.back_up("snapshot2", "--full")) == ""


def test_holes_of_a_device_with_an_external_origin_are_its_origins(host: Host) -> None:
    host.dm.message("pool", "create_thin 7")
    host.dm.suspend("volume")
    host.activate(7, "clone", f" {host.dm.info('volume').number}")
    host.dm.resume("volume")
    made = host.back_up("clone")
    assert made["read"] == SIZE
    assert any("external origin" in each for each in made["warnings"])


def test_metadata_that_somebody_else_holds(host: Host) -> None:
    host.snapshot(1)
    keep(host.dm, "pool", POOL)
    try:
        made = host.back_up("snapshot1")
    finally:
        let_go(host.dm, "pool", POOL)
    assert made["read"] == SIZE
    assert any("the pool's metadata cannot be read" in each for each in made["warnings"])
    assert host.back_up("snapshot1")["read"] < 16 * MIB


def test_options_for_era_devices_are_refused(host: Host) -> None:
    host.snapshot(1)
    code, _, err = host.run("create", node_path("snapshot1"), "--dest", STORE, "--state", "/tmp/state")
    assert (code, "are for era devices" in err) == (2, True)

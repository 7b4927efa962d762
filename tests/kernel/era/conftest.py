"""An era device on the lab's disks: /dev/lab/disk0 holds its metadata, /dev/lab/disk1 is its origin."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click
import pytest

from drystone.base.errors import KernelError
from drystone.cli.backup import backup
from drystone.cli.era import era
from drystone.cli.exits import run
from drystone.cli.thin import thin
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import DeviceInfo, TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, node_path, remove_node

METADATA, ORIGIN = "/dev/lab/disk0", "/dev/lab/disk1"
BLOCK = 65536
CREATE = ("create", "db", "--metadata", METADATA, "--origin", ORIGIN)


@dataclass
class Bench:
    """Commands as people run them, and devices."""

    dm: KernelDeviceMapper
    capture: pytest.CaptureFixture[str]

    def run(self, group: click.Command, words: Sequence[str]) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self.capture.readouterr()
        code = run(group, words)
        out, err = self.capture.readouterr()
        return code, out, err

    def era(self, *words: str) -> str:
        """stdout of an era command that succeeds."""
        code, out, err = self.run(era, words)
        assert code == 0, err
        return out

    def era_json(self, *words: str) -> Any:
        return json.loads(self.era(*words, "--json"))

    def refused(self, *words: str) -> tuple[int, str]:
        """Exit code and stderr of an era command that fails."""
        code, out, err = self.run(era, words)
        assert code
        assert not out
        return code, err

    def thin(self, *words: str) -> tuple[int, str, str]:
        return self.run(thin, words)

    def back_up(self, *words: str, source: str = "/dev/mapper/db") -> Any:
        """The JSON of a backup to /tmp/store that succeeds."""
        wanted = ["create", source, "--dest", "/tmp/store", "--no-encryption", "--memory", "64m", "--json"]
        code, out, err = self.run(backup, [*wanted, *words])
        assert code == 0, err
        return json.loads(out)

    def write(self, block: int, data: bytes, path: str = "/dev/mapper/db", offset: int = 0) -> None:
        with open_device(path, write=True) as device:
            device.pwrite(block * BLOCK + offset, data)
            device.flush()

    def activate(self, name: str, target: str, sectors: int, params: str) -> DeviceInfo:
        self.dm.create(name)
        self.dm.load(name, [TableLine(0, sectors, target, params)])
        info = self.dm.resume(name)
        make_node(name, info.number)
        return info

    def reload(self, name: str, target: str, sectors: int, params: str) -> None:
        """Swap the table, the new one loaded while the old one is suspended."""
        self.dm.suspend(name)
        self.dm.load(name, [TableLine(0, sectors, target, params)])
        self.dm.resume(name)

    def remove_all(self) -> None:
        limit = time.monotonic() + 60
        while entries := self.dm.list_devices():
            assert time.monotonic() < limit, f"devices stayed: {entries}"
            for entry in entries:
                with contextlib.suppress(KernelError):
                    if self.dm.info(entry.number).suspended:
                        self.dm.resume(entry.number)
                    self.dm.remove(entry.number)
                    remove_node(entry.name)


def read_all(path: str) -> bytes:
    with open_device(path) as device:
        return device.pread(0, device.size)


def blocks_of(ranges: Sequence[Sequence[int]]) -> list[int]:
    """Numbers of the blocks that byte ranges touch."""
    return sorted(
        {block for offset, length in ranges for block in range(offset // BLOCK, -(-(offset + length) // BLOCK))}
    )


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    for path in (METADATA, ORIGIN):
        with open_device(path, write=True) as device:
            device.zero_out(0, min(device.size, 1 << 20))
    with KernelDeviceMapper() as dm:
        made = Bench(dm, capsys)
        yield made
        made.remove_all()


@pytest.fixture
def db(bench: Bench) -> str:
    """Path of a fresh era device."""
    bench.era(*CREATE)
    return node_path("db")

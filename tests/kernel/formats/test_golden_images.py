"""Kernel-made metadata dumped, restored onto a fresh device, activated by the kernel, and equal again."""

from __future__ import annotations

import contextlib
import json
import lzma
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.base.errors import KernelError
from drystone.cli.era import era
from drystone.cli.exits import run
from drystone.cli.thin import thin
from drystone.formats.era.eras import iter_eras
from drystone.formats.era.superblock import Superblock as EraSuperblock
from drystone.formats.era.superblock import read_superblock as read_era_superblock
from drystone.formats.thin.devices import DeviceDetails, read_devices
from drystone.formats.thin.extents import iter_runs
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import Superblock as ThinSuperblock
from drystone.formats.thin.superblock import read_held_superblock
from drystone.formats.thin.superblock import read_superblock as read_thin_superblock
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

pytestmark = pytest.mark.lab(memory="512M", disks=["8M"], modules=["dm-era", "dm-thin-pool", "dm-zero"])

DISK = "/dev/lab/disk0"
FOLDER = Path(__file__).parents[2] / "golden" / "kernel"
ERAS = ["era-cut", "era-held", "era-idle", "era-resized", "era-undigested"]
THINS = ["thin-cut", "thin-many", "thin-reserved"]


@dataclass
class Bench:
    """Devices, and the tools."""

    dm: KernelDeviceMapper
    folder: Path

    def activate(self, name: str, target: str, sectors: int, params: str = "") -> str:
        self.dm.create(name)
        self.dm.load(name, [TableLine(0, sectors, target, params)])
        return str(self.dm.resume(name).number)

    def remove_all(self) -> None:
        limit = time.monotonic() + 60
        while entries := self.dm.list_devices():
            assert time.monotonic() < limit, f"devices stayed: {entries}"
            for entry in entries:
                with contextlib.suppress(KernelError):
                    self.dm.remove(entry.number)

    def put(self, data: bytes) -> None:
        """Fill the disk, with zeros after `data`."""
        with open_device(DISK, write=True) as device:
            device.zero_out(0, device.size)
            device.pwrite(0, data)
            device.flush()

    def image(self, name: str) -> str:
        """The path of a file with the image."""
        path = self.folder / name
        path.write_bytes(lzma.decompress((FOLDER / f"{name}.img.xz").read_bytes()))
        return str(path)

    def tool(self, group: click.Command, *words: str) -> None:
        assert run(group, words) == 0, words

    def dump(self, group: click.Command, source: str, *words: str) -> str:
        out = self.folder / "dump"
        self.tool(group, "dump", source, "-o", str(out), *words)
        return out.read_text()

    def restore(self, group: click.Command, text: str) -> None:
        path = self.folder / "restoring"
        path.write_text(text)
        self.put(b"\xff" * 65536)
        self.tool(group, "restore", "-q", "-i", str(path), "-o", DISK)
        self.tool(group, "check", "-q", DISK)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with KernelDeviceMapper() as dm:
        made = Bench(dm, tmp_path)
        yield made
        made.remove_all()


def read_eras(path: str) -> tuple[EraSuperblock, NDArray[np.uint32]]:
    """The superblock, and the last era of every block."""
    with open_device(path) as reader:
        superblock = read_era_superblock(reader)
        return superblock, np.concatenate([batch.eras for batch in iter_eras(reader, superblock)])


def run_era(bench: Bench, superblock: EraSuperblock) -> None:
    """Have the kernel activate the metadata on the disk, and remove it again."""
    sectors = superblock.nr_blocks * superblock.data_block_size
    origin = bench.activate("origin", "zero", sectors)
    bench.activate("era", "era", sectors, f"{DISK} {origin} {superblock.data_block_size}")
    bench.dm.message("era", "checkpoint")
    bench.remove_all()


@pytest.mark.parametrize("name", ERAS)
@pytest.mark.parametrize("logical", [False, True], ids=["writesets", "logical"])
def test_era_metadata_restored(bench: Bench, name: str, logical: bool) -> None:
    path = bench.image(name)
    superblock, eras = read_eras(path)
    words = ["--logical"] if logical else []
    text = bench.dump(era, path, *words)
    bench.restore(era, text)
    restored, again = read_eras(DISK)
    assert np.array_equal(eras, again)
    assert (restored.current_era, restored.nr_blocks) == (superblock.current_era, superblock.nr_blocks)
    if logical:
        assert bench.dump(era, DISK, *words) == text
    run_era(bench, restored)
    after, again = read_eras(DISK)
    assert np.array_equal(eras, again)
    assert after.current_era >= superblock.current_era + 2
    bench.tool(era, "check", "-q", DISK)


@pytest.mark.parametrize("name", ERAS)
def test_the_kernel_reads_a_crash_as_we_do(bench: Bench, name: str) -> None:
    """What the kernel makes of the image itself when it recovers it is what we read out of it before."""
    path = bench.image(name)
    superblock, eras = read_eras(path)
    bench.put(Path(path).read_bytes())
    run_era(bench, superblock)
    _, again = read_eras(DISK)
    assert np.array_equal(eras, again)
    bench.tool(era, "check", "-q", DISK)


def test_a_held_era_snapshot_restored(bench: Bench) -> None:
    path = bench.image("era-held")
    text = bench.dump(era, path, "-m")
    bench.restore(era, text)
    superblock, eras = read_eras(DISK)
    truth = json.loads((FOLDER / "era-held.json").read_text())["held"]
    wanted = np.zeros(truth["blocks"], dtype=np.uint32)
    for begin, length, number in truth["runs"]:
        wanted[begin : begin + length] = number
    assert np.array_equal(eras, wanted)
    run_era(bench, superblock)
    assert np.array_equal(read_eras(DISK)[1], wanted)


Thins = dict[int, tuple[DeviceDetails, list[list[int]]]]


def read_thins(path: str, *, held: bool = False) -> tuple[ThinSuperblock, Thins]:
    """The superblock; of each device its details, and its runs: virtual block, data block, length, time."""
    with open_device(path) as reader:
        superblock = (read_held_superblock if held else read_thin_superblock)(reader)
        found: Thins = {}
        for dev_id, details in read_devices(reader, superblock).items():
            rows: list[list[int]] = []
            for runs in iter_runs(iter_mappings(reader, superblock, dev_id)):
                rows += np.stack((runs.virtual, runs.data, runs.length, runs.time.astype(np.uint64)), axis=1).tolist()
            found[dev_id] = details, rows
        return superblock, found


@pytest.mark.parametrize("name", THINS)
@pytest.mark.parametrize("held", [False, True], ids=["live", "held"])
def test_thin_metadata_restored(bench: Bench, name: str, held: bool) -> None:
    truth = json.loads((FOLDER / f"{name}.json").read_text())
    if held and "held" not in truth:
        return
    path = bench.image(name)
    with open_device(path) as reader:
        blocks = read_thin_superblock(reader).data_space_map.nr_blocks
    words = ["-m"] if held else []
    # A snapshot holds no space maps, so its dump does not know how large the data device is.
    text = bench.dump(thin, path, *words, *(["--nr-data-blocks", str(blocks)] if held else []))
    before = read_thins(path, held=held)
    bench.restore(thin, text)
    superblock, devices = read_thins(DISK)
    assert devices == before[1]
    assert (superblock.time, superblock.transaction_id) == (before[0].time, before[0].transaction_id)
    assert ("<ref " in bench.dump(thin, DISK)) == ("<ref " in text), "what is shared stays so"
    data = bench.activate("data", "zero", blocks * 128)
    pool = bench.activate("pool", "thin-pool", blocks * 128, f"{DISK} {data} 128 0 1 skip_block_zeroing")
    assert bench.dm.status("pool")[0].text.split()[0] == str(superblock.transaction_id)
    wanted = truth["held" if held else "before" if name == "thin-cut" else "live"]
    for dev_id in list(map(int, wanted))[:: max(1, len(wanted) // 12)]:
        bench.activate("thin", "thin", 1 << 21, f"{pool} {dev_id}")
        mapped = int(bench.dm.status("thin")[0].text.split()[0])
        assert (
            mapped == devices[dev_id][0].mapped_blocks * 128 == sum(length for _, length in wanted[str(dev_id)]) * 128
        )
        bench.dm.remove("thin")
    bench.remove_all()
    bench.tool(thin, "check", "-q", DISK)
    assert read_thins(DISK)[1] == devices

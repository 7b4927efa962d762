"""Our reader and writer against Debian's thin-provisioning-tools 0.9, on generated images."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drystone.cli.pdata_tools import run_tool
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.delta import iter_changed
from drystone.formats.thin.extents import iter_runs
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata

pytestmark = pytest.mark.skipif(shutil.which("thin_dump") is None, reason="thin-provisioning-tools is not installed")

Blocks = dict[int, tuple[int, int]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files open with O_DIRECT, as these tools want it."""
    probe = tmp_path / "probe"
    probe.touch()
    try:
        os.close(os.open(probe, os.O_RDONLY | os.O_DIRECT))
        yield tmp_path
    except OSError:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as other:
            yield Path(other)


def make_devices(seed: int) -> dict[int, Blocks]:
    """Device 1 with holes, snapshots of it and of those with changes, and one on its own."""
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 4000))
    data = random.permutation(size * 2)[:size].tolist()
    first: Blocks = {block: (data[block], int(random.integers(0, 2))) for block in range(size) if random.random() < 0.9}
    devices = {1: first, 9: {block: (block, 0) for block in range(0, size, 3)}, 10: {}}
    for dev_id in (2, 3, 4):
        changed = dict(devices[dev_id - 1])
        for block in random.integers(0, size * 2, int(random.integers(0, 50))).tolist():
            if random.random() < 0.3:
                changed.pop(block, None)
            else:
                changed[block] = (size * 2 + block, dev_id)
        devices[dev_id] = changed
    return devices


def run(*words: str | Path) -> str:
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


def get_numbers(element: ET.Element, *names: str) -> tuple[int, ...]:
    return tuple(int(element.attrib[name]) for name in names)


def test_thin_check_finds_nothing_wrong_with_what_we_write(folder: Path) -> None:
    dense = {block: block for block in range(252 * 130)}
    image = folder / "image"
    held = {1: dense}
    devices = {1: dense, 2: dense | {5: 90_000, 9000: 90_001}, 3: {}, 4: {0: 0}}
    image.write_bytes(write_thin_metadata(devices, held=held, transaction_id=12))
    assert "TRANSACTION_ID=12\n" in run("thin_check", image)


@pytest.mark.parametrize("seed", range(6))
def test_thin_dump_reads_the_same_mappings(folder: Path, seed: int) -> None:
    devices = make_devices(seed)
    data = write_thin_metadata(devices, fan_out=[252, 20, 5][seed % 3])
    image = folder / "image"
    image.write_bytes(data)
    reader = MemoryBlocks(data)
    superblock = read_superblock(reader)
    for device in ET.fromstring(run("thin_dump", image)).iter("device"):
        theirs = [
            get_numbers(each, "origin_begin", "data_begin", "length", "time")
            if each.tag == "range_mapping"
            else (*get_numbers(each, "origin_block", "data_block"), 1, *get_numbers(each, "time"))
            for each in device
        ]
        ours = [
            row
            for runs in iter_runs(iter_mappings(reader, superblock, int(device.attrib["dev_id"])))
            for row in zip(
                *(column.tolist() for column in (runs.virtual, runs.data, runs.length, runs.time)), strict=True
            )
        ]
        assert ours == theirs


@pytest.mark.parametrize(("seed", "size"), [(0, 1 << 20), (1, 16320 * BLOCK), (2, 16321 * BLOCK)])
def test_what_thin_restore_writes_is_sound_though_its_sums_hide_room(
    folder: Path, seed: int, size: int, capfd: pytest.CaptureFixture[str]
) -> None:
    image, dump, restored = folder / "image", folder / "dump", folder / "restored"
    # With an empty device 0.9 writes its sums right.
    devices = {dev_id: blocks for dev_id, blocks in make_devices(seed).items() if blocks}
    image.write_bytes(write_thin_metadata(devices, time=9))
    dump.write_text(run("thin_dump", image))
    restored.write_bytes(bytes(size))
    run("thin_restore", "-i", dump, "-o", restored)
    assert run_tool(["thin_check", str(restored)]) == 0
    assert ": note: block 1: metadata space map: number of blocks in use is " in capfd.readouterr().err
    assert run_tool(["thin_check", "--json", str(restored)]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["sound"], document["fatal"], document["non_fatal"]) == (True, 0, 0)
    assert {(each["kind"], each["severity"]) for each in document["findings"]} == {("wrong-summary", "note")}
    # One block too many was in use by that; now it is one too few.
    data = ThinImage(restored.read_bytes())
    root = data.superblock.metadata_space_map
    data.put_superblock(metadata_space_map=replace(root, nr_allocated=root.nr_allocated - 2))
    restored.write_bytes(data.data)
    assert run_tool(["thin_check", str(restored)]) == 1
    assert ": non-fatal: block 1: metadata space map: number of blocks in use is " in capfd.readouterr().err


@pytest.mark.parametrize("seed", range(6))
def test_thin_delta_finds_the_same_differences(folder: Path, seed: int) -> None:
    # thin_delta refuses nodes that are less than a third full.
    data = write_thin_metadata(make_devices(seed), fan_out=[252, 200, 170][seed % 3], fewest=84)
    image = folder / "image"
    image.write_bytes(data)
    reader = MemoryBlocks(data)
    superblock = read_superblock(reader)
    for left, right in ((1, 2), (1, 4), (4, 2), (3, 9), (10, 1)):
        text = run("thin_delta", "--thin1", str(left), "--thin2", str(right), image)
        theirs = {
            block
            for part in next(ET.fromstring(text).iter("diff"))
            if part.tag != "same"
            for begin, length in [get_numbers(part, "begin", "length")]
            for block in range(begin, begin + length)
        }
        ours = [row for each in iter_changed(reader, superblock, left, right) for row in each.tolist()]
        assert {block for begin, length in ours for block in range(begin, begin + length)} == theirs

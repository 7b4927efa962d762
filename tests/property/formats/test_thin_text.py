"""Dumps and restores of generated metadata: they come out as they went in, and as both peers print them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drystone.base.errors import DamagedError, ExhaustedError, UnsupportedError
from drystone.cli.pdata_tools import run_tool
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.formats.thin.check import check_metadata
from drystone.formats.thin.dump import Choice, dump
from drystone.formats.thin.parse import parse_xml
from drystone.formats.thin.parse_json import parse_json
from drystone.formats.thin.restore import restore
from drystone.formats.thin.spelling import SPELLERS
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.peers import Peer, find_peer
from drystone.testing.thin_metadata import write_thin_metadata

Blocks = dict[int, tuple[int, int]]
NR_DATA_BLOCKS = 20_000

OLD, NEW = find_peer("0.9"), find_peer("1.x")
needs_old = pytest.mark.skipif(OLD is None, reason="thin-provisioning-tools 0.9 is not installed")
needs_new = pytest.mark.skipif(NEW is None, reason="scripts/peers has not fetched thin-provisioning-tools 1.x")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose files open with O_DIRECT, as these tools want it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as path:
        yield Path(path)


def make_devices(seed: int) -> dict[int, Blocks]:
    """Devices that share most leaves: snapshots of snapshots with a few blocks written, cut short, or alike."""
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 5000))
    data = random.permutation(size * 2)[:size].tolist() if seed % 2 else range(size)
    devices: dict[int, Blocks] = {1: {block: (data[block], 0) for block in range(size)}}
    for dev_id in range(2, 2 + int(random.integers(1, 5))):
        origin = devices[int(random.choice(list(devices)))]
        changed = {block: value for block, value in origin.items() if seed % 3 or block < size // dev_id}
        for block in random.integers(0, size + 100, int(random.integers(0, 6))).tolist():
            changed[block] = (size * 2 + 1000 * dev_id + block % 1000, dev_id)
        devices[dev_id * 3] = changed
    return devices


def write(seed: int) -> bytes:
    # Strict readers refuse nodes that are less than a third full.
    return write_thin_metadata(
        make_devices(seed), fan_out=252, fewest=84, nr_data_blocks=NR_DATA_BLOCKS, time=7, transaction_id=seed
    )


def spell(data: bytes, form: str, *, old: bool = False) -> bytes:
    reader = MemoryBlocks(data)
    parts = dump(reader, read_superblock(reader), Choice(share=not old))
    return b"".join(bytes(chunk) for chunk in SPELLERS[form, old](parts))


def run(peer: Peer | None, *words: str | Path) -> str:
    assert peer is not None
    found = peer.run(str(words[0]), *words[1:])
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.parametrize("form", ["xml", "human_readable"])
@pytest.mark.parametrize("seed", range(8))
@needs_new
def test_dumps_are_those_of_1_x(folder: Path, seed: int, form: str) -> None:
    image = folder / "image"
    image.write_bytes(write(seed))
    theirs = run(NEW, "thin_dump", "-f", form, image)
    # 1.x ends its XML without a newline.
    assert spell(image.read_bytes(), form).decode() == theirs.rstrip("\n") + "\n"


@pytest.mark.parametrize("form", ["xml", "human_readable"])
@pytest.mark.parametrize("seed", range(8))
@needs_old
def test_dumps_are_those_of_0_9(folder: Path, seed: int, form: str) -> None:
    image = folder / "image"
    image.write_bytes(write(seed))
    assert spell(image.read_bytes(), form, old=True).decode() == run(OLD, "thin_dump", "-f", form, image)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", ["xml", "json"])
def test_what_is_restored_is_sound_to_all_and_equal(folder: Path, seed: int, form: str) -> None:
    data = write(seed)
    parse = parse_xml if form == "xml" else parse_json
    disk = MemoryDisk(4096 * 300)
    restore(disk, parse(io.BytesIO(spell(data, form))))
    made = disk.to_bytes()
    assert spell(made, "xml", old=True) == spell(data, "xml", old=True)
    assert check_metadata(MemoryBlocks(made)).findings == []
    image = folder / "image"
    image.write_bytes(made)
    for peer in (OLD, NEW):
        if peer is not None:
            assert run(peer, "thin_check", image).startswith(f"TRANSACTION_ID={seed}\n")


@pytest.mark.parametrize("seed", range(6))
@needs_old
def test_deltas_are_those_of_0_9(folder: Path, seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    image = folder / "image"
    image.write_bytes(write(seed))
    ids = list(make_devices(seed))
    for words in ([], ["--verbose"]):
        for left, right in ((ids[0], ids[-1]), (ids[-1], ids[0]), (ids[-1], ids[1])):
            flags = [*words, "--thin1", str(left), "--thin2", str(right)]
            assert run_tool(["thin_delta", *flags, str(image)]) == 0
            assert capfd.readouterr().out == run(OLD, "thin_delta", *flags, image)


@pytest.mark.parametrize("seed", range(6))
@needs_old
def test_ls_and_rmap_are_those_of_the_peers(folder: Path, seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    image = folder / "image"
    image.write_bytes(write(seed))
    fields = "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_SECTORS,MAPPED,EXCLUSIVE,SHARED_BYTES,TRANSACTION,SNAP_TIME"
    assert run_tool(["thin_ls", "--compat", "0.9", "-o", fields, str(image)]) == 0
    assert capfd.readouterr().out == run(OLD, "thin_ls", "-o", fields, image)
    regions = ["--region", "0..40", "--region", "30..700", "--region", "5000..9000"]
    assert run_tool(["thin_rmap", "--compat", "0.9", *regions, str(image)]) == 0
    ours = capfd.readouterr().out
    # 0.9 leaves the order of rows that begin together to chance.
    assert sorted(ours.splitlines()) == sorted(run(OLD, "thin_rmap", *regions, image).splitlines())
    if NEW is not None:
        assert ours == run(NEW, "thin_rmap", *regions, image)


TEXTS = {form: spell(write(3), form) for form in ("xml", "json")}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    form=st.sampled_from(["xml", "json"]),
    places=st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(max_size=4), st.integers(0, 4)), max_size=4),
    length=st.none() | st.integers(0, 1 << 20),
)
def test_a_spoilt_dump_is_refused_or_read(form: str, places: list[tuple[int, bytes, int]], length: int | None) -> None:
    text = TEXTS[form]
    for place, piece, gone in places:
        at = place % (len(text) + 1)
        text = text[:at] + piece + text[at + gone :]
    if length is not None:
        text = text[: length % (len(text) + 1)]
    disk = MemoryDisk(4096 * 300)
    try:
        restore(disk, (parse_xml if form == "xml" else parse_json)(io.BytesIO(text)))
    except (DamagedError, ExhaustedError, UnsupportedError):
        assert not disk.data[0].any()
    else:
        assert check_metadata(MemoryBlocks(disk.to_bytes())).is_sound()

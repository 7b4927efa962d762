"""Our era tools against thin-provisioning-tools 0.9 and 1.x: the same where those are right, and where they are not."""

from __future__ import annotations

import os
import re
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drystone.cli.pdata_tools import run_tool
from drystone.formats.era.superblock import Superblock, read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import ARRAY_BLOCK, BITMAP, seal_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata
from drystone.testing.peers import Line, Peer, find_peer

BOTH: list[Line] = ["0.9", "1.x"]
BLOCKS = 70_000
SIZE = 1024
"""Metadata blocks."""


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


def peer(line: Line) -> Peer:
    found = find_peer(line)
    if found is None:
        pytest.skip(f"thin-provisioning-tools {line} are not here")
    return found


def make_image(seed: int, *, current: bool = True) -> bytes:
    """Eras without gaps up to the current one, as the kernel leaves them."""
    random = np.random.default_rng(seed)
    size = [1, 63, 64, 1018, 1019, 40_000, BLOCKS][seed % 7]
    first = int(random.integers(2, 200))
    bits = {
        first + place: set(np.flatnonzero(random.random(size) < random.random()).tolist())
        for place in range(int(random.integers(0, 5)))
    }
    era = first + len(bits)
    if not current:
        bits[era] = {size // 2}
    return write_era_metadata(
        random.integers(0, first, size).tolist(),
        bits,
        current=set(np.flatnonzero(random.random(size) < 0.1).tolist()) if current else None,
        current_era=era,
        nr_metadata_blocks=SIZE,
        data_block_size=8 * int(random.integers(1, 50)),
    )


def run(capfd: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert run_tool([str(word) for word in words]) == 0
    return capfd.readouterr().out


def run_peer(line: Line, tool: str, *words: str | Path) -> str:
    finished = peer(line).run(tool, *words)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def get_superblock(image: bytes) -> Superblock:
    return read_superblock(MemoryBlocks(image))


def list_blocks(text: str) -> list[tuple[int, int]]:
    found = re.findall(r'<(?:block block="(\d+)"|range begin="(\d+)" end ?= ?"(\d+)")/>', text)
    return [(int(one), int(one) + 1) if one else (int(begin), int(end)) for one, begin, end in found]


@pytest.mark.parametrize("seed", range(7))
def test_dumps_are_those_of_1_x_byte_by_byte(seed: int, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = folder / "image"
    image.write_bytes(make_image(seed, current=seed % 2 == 0))
    for flags in ([], ["--logical"]):
        assert run(capfd, "era_dump", *flags, image) == run_peer("1.x", "era_dump", *flags, image) + "\n"


@pytest.mark.parametrize("seed", range(7))
def test_dumps_are_those_of_0_9_when_there_is_no_current_writeset(
    seed: int, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = folder / "image"
    image.write_bytes(make_image(seed, current=False))
    assert run(capfd, "era_dump", "--compat", "0.9", image) == run_peer("0.9", "era_dump", image)


@pytest.mark.parametrize("seed", range(7))
def test_lists_are_those_of_0_9_when_there_is_no_current_writeset(
    seed: int, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = make_image(seed, current=False)
    image = folder / "image"
    image.write_bytes(data)
    era = get_superblock(data).current_era
    for since in (0, 1, era - 2, era - 1, era, era + 1):
        words = ("--written-since", str(max(since, 0)), image)
        old = run(capfd, "era_invalidate", "--compat", "0.9", *words)
        assert old == run_peer("0.9", "era_invalidate", *words)
        assert run(capfd, "era_invalidate", *words) == run_peer("1.x", "era_invalidate", *words) + "\n"


@pytest.mark.parametrize("line", BOTH)
@pytest.mark.parametrize("form", ["xml", "json"])
@pytest.mark.parametrize("seed", range(4))
def test_what_we_restore_they_check_and_dump(
    seed: int, form: str, line: Line, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image, dump, target = folder / "image", folder / "dump", folder / "target"
    image.write_bytes(make_image(seed))
    target.write_bytes(b"x" * BLOCK * SIZE)
    run(capfd, "era_dump", "--format", form, "-o", dump, image)
    run(capfd, "era_restore", "-i", dump, "-o", target)
    run_peer(line, "era_check", target)
    run(capfd, "era_check", target)
    expected = run(capfd, "era_dump", image)
    assert run(capfd, "era_dump", target) == expected
    assert run_peer(line, "era_dump", target).rstrip() == expected.rstrip()


@pytest.mark.parametrize("line", BOTH)
def test_what_they_restore_we_check_and_dump(line: Line, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image, dump, target = folder / "image", folder / "dump", folder / "target"
    image.write_bytes(make_image(5))
    target.write_bytes(bytes(BLOCK * SIZE))
    run(capfd, "era_dump", "-o", dump, image)
    run_peer(line, "era_restore", "-i", dump, "-o", target)
    run(capfd, "era_check", target)
    assert run(capfd, "era_dump", target) == dump.read_text()


def test_we_read_their_marked_runs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dump, target = folder / "dump", folder / "target"
    text = (
        '<superblock uuid="" block_size="128" nr_blocks="3" current_era="5"><writeset era="5" nr_bits="3">'
        '<marked block_begin="1" len="2"/></writeset><era_array><era block="0" era="1"/><era block="1" era="0"/>'
        '<era block="2" era="4"/></era_array></superblock>'
    )
    dump.write_text(text)
    dumps = []
    for ours in (True, False):
        target.write_bytes(bytes(BLOCK * SIZE))
        if ours:
            run(capfd, "era_restore", "-i", dump, "-o", target)
        else:
            run_peer("1.x", "era_restore", "-i", dump, "-o", target)
        dumps.append(run(capfd, "era_dump", target))
    assert dumps[0] == dumps[1]
    assert '<bit block="2" value="true"/>' in dumps[0]


@pytest.mark.parametrize("line", BOTH)
@pytest.mark.parametrize("root", ["era_array_root", "writeset_tree_root", "current_root"])
def test_what_we_repair_they_check_and_dump(
    root: str, line: Line, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(make_image(5))
    data[getattr(get_superblock(bytes(data)), root) * BLOCK + 1000] ^= 1
    image, target = folder / "image", folder / "target"
    image.write_bytes(data)
    target.write_bytes(bytes(BLOCK * SIZE))
    assert run_tool(["era_repair", "-i", str(image), "-o", str(target)]) == 0
    assert "lost: " in capfd.readouterr().out
    run_peer(line, "era_check", target)
    assert run_peer(line, "era_dump", target).rstrip() == run(capfd, "era_dump", target).rstrip()


# The corrections: what the tools of today get wrong, shown on them and on ours.


@pytest.fixture
def held(folder: Path) -> Path:
    """A snapshot that shows less than the live metadata; nothing is undigested in either."""
    image = folder / "held"
    shown = Held([1, 0, 0, 0], {}, 3, current_root=1)
    image.write_bytes(write_era_metadata([1, 4, 0, 4], {}, current={2}, current_era=5, held=shown))
    return image


def test_correction_1_the_snapshot_is_read(held: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ours = run(capfd, "era_invalidate", "--metadata-snapshot", "--written-since", "1", held)
    assert list_blocks(ours) == [(0, 1)]
    theirs = run_peer("0.9", "era_invalidate", "--metadata-snapshot", "--written-since", "1", held)
    assert list_blocks(theirs) == [(0, 2), (3, 4)]


def test_correction_2_the_array_counts_when_nothing_is_undigested(
    held: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ours = run(capfd, "era_invalidate", "--written-since", "4", held)
    assert list_blocks(ours) == [(1, 4)]
    assert list_blocks(run_peer("1.x", "era_invalidate", "--written-since", "4", held)) == []


@pytest.mark.parametrize("line", BOTH)
def test_correction_3_the_current_writeset_counts_live_and_not_in_a_snapshot(
    line: Line, held: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert list_blocks(run(capfd, "era_invalidate", "--written-since", "5", held)) == [(2, 3)]
    assert list_blocks(run(capfd, "era_invalidate", "--metadata-snapshot", "--written-since", "3", held)) == []
    assert list_blocks(run_peer(line, "era_invalidate", "--written-since", "5", held)) == []


def test_correction_4_the_newest_era_wins(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = folder / "image"
    image.write_bytes(write_era_metadata([1, 1], {3: {0}, 4: {0}}, current_era=4))
    newest, oldest = '<era block="0" era="4"/>', '<era block="0" era="3"/>'
    assert newest in run(capfd, "era_dump", "--logical", image)
    assert oldest in run_peer("0.9", "era_dump", "--logical", image)


def leak(data: bytearray) -> None:
    _set_count(data, get_superblock(bytes(data)).metadata_space_map.nr_allocated, 2)


def free_in_use(data: bytearray) -> None:
    _set_count(data, get_superblock(bytes(data)).era_array_root, 0)


def spoil_bitmap(data: bytearray) -> None:
    data[_find_bitmap(data) * BLOCK + 2000] ^= 1


def spoil_current_writeset(data: bytearray) -> None:
    data[get_superblock(bytes(data)).current_root * BLOCK + 1000] ^= 1


def _find_bitmap(data: bytearray) -> int:
    index = get_superblock(bytes(data)).metadata_space_map.bitmap_root
    return int(struct.unpack_from("<Q", data, index * BLOCK + 16)[0])


def _set_count(data: bytearray, block: int, raw: int) -> None:
    place = _find_bitmap(data) * BLOCK
    at, shift = place + 16 + block // 4, 2 * (block % 4)
    data[at] = data[at] & ~(3 << shift) | raw << shift
    data[place : place + BLOCK] = seal_block(bytes(data[place : place + BLOCK]), BITMAP)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (leak, "leaked: references of block"),
        (free_in_use, "in use and marked free: references of block"),
        (spoil_bitmap, "bitmap: checksum"),
        (spoil_current_writeset, "current writeset of era 5: checksum"),
    ],
)
@pytest.mark.parametrize("line", BOTH)
def test_correction_5_the_space_map_and_the_current_writeset_are_checked(
    damage: object, named: str, line: Line, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(write_era_metadata([1] * 3000, {4: {0}}, current={1}, current_era=5, nr_metadata_blocks=SIZE))
    assert callable(damage)
    damage(data)
    image = folder / "image"
    image.write_bytes(data)
    assert run_tool(["era_check", str(image)]) == 1
    assert named in capfd.readouterr().err
    assert peer(line).run("era_check", image).returncode == 0


def test_correction_6_a_damaged_array_root_is_named_and_the_superblock_can_be_checked_alone(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(write_era_metadata([1] * 3000, {}, current_era=5, nr_metadata_blocks=SIZE))
    root = get_superblock(bytes(data)).era_array_root
    data[root * BLOCK + 1000] ^= 1
    image = folder / "image"
    image.write_bytes(data)
    assert run_tool(["era_check", str(image)]) == 1
    assert f"block {root}: era array: checksum" in capfd.readouterr().err
    run(capfd, "era_check", "--super-block-only", image)
    assert peer("0.9").run("era_check", image).returncode < 0
    assert peer("0.9").run("era_check", "--super-block-only", image).returncode != 0


@pytest.mark.parametrize("line", BOTH)
def test_correction_7_a_snapshot_is_dumped_and_checked(
    line: Line, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = Held([1, 0, 3, 3], {}, 4, current_root=1)
    data = bytearray(write_era_metadata([1, 4, 0, 4], {}, current={2}, current_era=5, held=shown))
    image = folder / "image"
    image.write_bytes(data)
    assert '<era block="2" era="3"/>' in run(capfd, "era_dump", "-m", image)
    run(capfd, "era_check", "-m", image)
    block = _find_array_block(data, b"\1\0\0\0\0\0\0\0\3\0\0\0\3\0\0\0")
    data[block * BLOCK + 2000] ^= 1
    image.write_bytes(data)
    assert run_tool(["era_check", "-m", str(image)]) == 1
    assert f"block {block}: era array: checksum" in capfd.readouterr().err
    for tool in ("era_dump", "era_check"):
        assert peer(line).run(tool, "-m", image).returncode != 0
    assert peer(line).run("era_check", image).returncode == 0


def _find_array_block(data: bytearray, entries: bytes) -> int:
    """The array block that begins with these."""
    for number in range(1, len(data) // BLOCK):
        block = bytes(data[number * BLOCK : (number + 1) * BLOCK])
        if block[24 : 24 + len(entries)] == entries and seal_block(block, ARRAY_BLOCK) == block:
            return number
    raise AssertionError("no such array block")


# Where 1.x and 0.9 differ from ours beyond the corrections.


def test_1_x_wants_the_writeset_of_the_current_era_and_we_do_not(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = folder / "image"
    image.write_bytes(write_era_metadata([1, 1], {3: {0}}, current_era=5))
    assert 'nr_blocks="2"' in run(capfd, "era_dump", image)
    refused = peer("1.x").run("era_dump", image)
    assert refused.returncode != 0
    assert "Writeset of era 5 is not present" in refused.stderr


def test_1_x_fails_on_writesets_from_before_a_resize_and_we_do_not(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = folder / "image"
    image.write_bytes(write_era_metadata([1] * 12, {4: {1, 15}, 5: {0}}, nr_bits={4: 20}, current_era=5))
    text = run(capfd, "era_dump", image)
    assert text.count("<bit ") == 32
    assert text == run_peer("0.9", "era_dump", image)
    assert '<era block="1" era="4"/>' in run(capfd, "era_dump", "--logical", image)
    assert "panicked" in peer("1.x").run("era_dump", "--logical", image).stderr


def test_0_9_leaves_out_the_current_writeset_and_we_do_not(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = folder / "image"
    image.write_bytes(write_era_metadata([1, 1], {4: {0}}, current={1}, current_era=5))
    assert '<writeset era="5" nr_bits="2">' in run(capfd, "era_dump", "--compat", "0.9", image)
    assert '<writeset era="5"' not in run_peer("0.9", "era_dump", image)

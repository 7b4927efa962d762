"""Our thin tools against both lines of thin-provisioning-tools, on generated metadata: the same text, byte for byte,
but for the differences of docs/reference/differences.md.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.superblock import read_held_superblock, read_superblock
from drystone.testing.comparison import Outcome, run_peer
from drystone.testing.peers import Peer, find_peer
from drystone.testing.thin_metadata import write_thin_metadata

from .conftest import FEW, assert_same, restore_with_both, run_ours

Blocks = dict[int, tuple[int, int]]

EMPTY = 32
"""Bytes of a packed file with nothing in it."""

COUNTED = [
    f"{what}{unit}" for what in ("MAPPED", "EXCLUSIVE", "SHARED") for unit in ("", "_BLOCKS", "_SECTORS", "_BYTES")
]
FIELDS = ["DEV", *COUNTED, "TRANSACTION", "CREATE_TIME", "SNAP_TIME"]


class Pool:
    """Data blocks given out in runs, some of them out of order, with gaps between."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.next = 0

    def allocate(self, count: int) -> list[int]:
        self.next += self.random.choice((0, 0, 1, 7))
        blocks = list(range(self.next, self.next + count))
        self.next += count
        if self.random.random() < 0.2:
            self.random.shuffle(blocks)
        return blocks


def change(pool: Pool, blocks: Blocks, size: int, time: int) -> Blocks:
    """The same with some runs of blocks written anew, and some discarded."""
    changed = dict(blocks)
    for _ in range(pool.random.randrange(6)):
        begin, length = pool.random.randrange(size), pool.random.choice((1, 1, 2, 30, 300))
        if pool.random.random() < 0.3:
            for block in range(begin, begin + length):
                changed.pop(block, None)
        else:
            changed.update({begin + i: (data, time) for i, data in enumerate(pool.allocate(length))})
    return changed


def make_image(seed: int, *, held: bool, nr_blocks: int | None = None) -> bytes:
    """Metadata of up to six devices: on their own, snapshots of others, empty ones, with holes and times."""
    random = Random(seed)
    pool = Pool(random)
    size = random.choice((1, 5, 100, 1000, 8000))
    devices: dict[int, Blocks] = {}
    details = {}
    for time in range(random.randrange(1, 7)):
        dev_id = random.choice((time, time + 1, 1000 + time))
        origin = random.choice([{}, *devices.values()])
        devices[dev_id] = change(pool, origin, size, time)
        details[dev_id] = (time, time, random.randrange(time, 8))
    frozen = {dev_id: blocks for dev_id, blocks in devices.items() if random.random() < 0.7}
    if random.random() < 0.5:
        first = min(devices)
        devices[first] = change(pool, devices[first], size, 7)
    return write_thin_metadata(
        devices,
        held=frozen if held else None,
        details=details,
        fewest=84,
        nr_blocks=nr_blocks,
        data_block_size=random.choice((128, 256, 1024, 128 * 5)),
        nr_data_blocks=pool.next + random.choice((1, 5000)),
        time=8,
        transaction_id=random.randrange(100),
    )


@given(seed=st.integers(0, 1 << 32), held=st.booleans())
@example(seed=200, held=True)  # the snapshot is all that the live metadata is: they share the tree of devices
@example(seed=96968, held=True)  # 1.x fails a snapshot that shares the details
@FEW
def test_check_and_dump(peer: Peer, folder: Path, seed: int, *, held: bool) -> None:
    image = folder / "image"
    image.write_bytes(make_image(seed, held=held))
    if peer.line == "1.x" and held and shares_details_alone(image):
        assert run_peer(peer, "thin_check", image).error.endswith("metadata snap: unexpected thin ids\n")
        assert run_ours("thin_check", image).code == 0
    else:
        assert_same(peer, "thin_check", image)
    assert_same(peer, "thin_dump", image)
    assert_same(peer, "thin_dump", "--format", "human_readable", image)
    assert_same(peer, "thin_dump", "--skip-mappings", image)
    if held:
        assert_same(peer, "thin_check", "-m", image)
        assert_same(peer, "thin_dump", "-m", image)


def shares_details_alone(image: Path) -> bool:
    """Whether the metadata snapshot has the live metadata's tree of details, and another tree of mappings."""
    reader = MemoryBlocks(image.read_bytes())
    live, held = read_superblock(reader), read_held_superblock(reader)
    same_mappings = live.data_mapping_root == held.data_mapping_root
    return live.device_details_root == held.device_details_root and not same_mappings


def flatten(image: Path) -> str:
    """Every device with all its mappings, whatever is shared where."""
    dump = run_ours("thin_dump", "--compat", "0.9", image)
    assert dump.code == 0, dump.error
    return dump.text


def list_ids(image: Path) -> list[str]:
    return run_ours("thin_ls", "--no-headers", "-o", "DEV", image).text.split()


@given(seed=st.integers(0, 1 << 32))
@FEW
def test_each_device_alone_and_all_in_a_table(peer: Peer, folder: Path, seed: int) -> None:
    image = folder / "image"
    image.write_bytes(make_image(seed, held=False))
    for dev_id in list_ids(image):
        assert_same(peer, "thin_dump", "--dev-id", dev_id, image)
    assert_same(peer, "thin_ls", image)
    assert_same(peer, "thin_ls", "--no-headers", "-o", ",".join(FIELDS), image)


@given(seed=st.integers(0, 1 << 32))
@FEW
def test_deltas(peer: Peer, folder: Path, seed: int) -> None:
    image = folder / "image"
    image.write_bytes(make_image(seed, held=False))
    ids = list_ids(image)
    random = Random(seed)
    for _ in range(3):
        left, right = random.choice(ids), random.choice(ids)
        assert_same(peer, "thin_delta", "--thin1", left, "--thin2", right, image)
        assert_same(peer, "thin_delta", "--verbose", "--snap1", left, "--snap2", right, image)


@given(seed=st.integers(0, 1 << 32), begin=st.integers(0, 5000), length=st.integers(1, 3000))
@FEW
def test_reverse_mappings(peer: Peer, folder: Path, seed: int, begin: int, length: int) -> None:
    image = folder / "image"
    image.write_bytes(make_image(seed, held=False))
    regions = ["--region", f"{begin}..{begin + length}", "--region", "0..10"]
    assert_same(peer, "thin_rmap", *regions, image)


@given(seed=st.integers(0, 1 << 32))
@FEW
def test_what_one_restores_the_other_reads(peer: Peer, folder: Path, seed: int) -> None:
    image = folder / "image"
    image.write_bytes(make_image(seed, held=False))
    for restored in restore_with_both(peer, "thin", image):
        assert flatten(restored) == flatten(image)


@given(seed=st.integers(0, 1 << 32))
@FEW
def test_repairing_what_is_sound_changes_nothing(peer: Peer, folder: Path, seed: int) -> None:
    data = make_image(seed, held=False)
    image, ours = folder / "image", folder / "ours"
    image.write_bytes(data)
    ours.write_bytes(bytes(len(data) + (4 << 20)))
    done = run_ours("thin_repair", "-i", image, "-o", ours)
    assert done.code == 0, done.error
    assert run_peer(peer, "thin_check", ours).code == 0
    assert flatten(ours) == flatten(image)


@pytest.mark.parametrize("seed", range(3))
def test_what_one_packs_the_other_unpacks(folder: Path, seed: int) -> None:
    if find_peer("1.x") is None:
        pytest.skip("thin-provisioning-tools 1.x is not here (scripts/peers)")
    data = make_image(seed, held=True, nr_blocks=4096)
    image, packed, unpacked = folder / "image", folder / "packed", folder / "unpacked"
    image.write_bytes(data)
    for pack, unpack in ((run_ours, run_theirs), (run_theirs, run_ours)):
        unpacked.write_bytes(b"")
        for _ in range(20):  # 1.x packs nothing at times
            packed.unlink(missing_ok=True)
            assert pack("thin_metadata_pack", "-i", image, "-o", packed).code == 0
            if packed.stat().st_size > EMPTY:
                break
        done = unpack("thin_metadata_unpack", "-i", packed, "-o", unpacked, "-f")
        assert done.code == 0, done.error
        assert unpacked.read_bytes() == data


def run_theirs(tool: str, *arguments: str | Path) -> Outcome:
    peer = find_peer("1.x")
    assert peer is not None
    return run_peer(peer, tool, *arguments)


@given(
    power=st.integers(7, 20),
    blocks=st.integers(2, 1 << 20),
    thins=st.integers(1, 10**6),
    unit=st.sampled_from("bskKmMgG"),
    numeric=st.sampled_from(["", "-n", "-nshort", "-nlong"]),
)
@example(power=7, blocks=2, thins=947, unit="K", numeric="")  # 0.9 drops digits
@settings(parent=FEW, max_examples=40)
def test_metadata_size(power: int, blocks: int, thins: int, unit: str, numeric: str) -> None:
    peer = find_peer("0.9")  # 1.x estimates one block more
    if peer is None:
        pytest.skip("thin-provisioning-tools 0.9 is not here")
    sizes = ["-b", f"{1 << power}s", "-s", f"{blocks << power}s", "-m", str(thins), "-u", unit]
    assert_same(peer, "thin_metadata_size", *sizes, *filter(None, [numeric]))

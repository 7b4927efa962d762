from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, ExhaustedError
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.formats.thin.check import check_metadata
from drystone.formats.thin.devices import read_devices
from drystone.formats.thin.dump import Choice, dump
from drystone.formats.thin.extents import Runs
from drystone.formats.thin.parse import parse_xml
from drystone.formats.thin.restore import Overrides, expand_runs, restore
from drystone.formats.thin.spelling import SPELLERS
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata

HEAD = '<superblock uuid="" time="2" transaction="5" version="2" data_block_size="128" nr_data_blocks="1000">'
DEVICE = '<device dev_id="1" mapped_blocks="3" transaction="0" creation_time="0" snap_time="1">'
FIRST: dict[int, tuple[int, int]] = {block: (block * 3, block % 2) for block in range(3000)}


def spell(reader: MemoryBlocks, *, old: bool = False) -> str:
    parts = dump(reader, read_superblock(reader), Choice(share=not old))
    return b"".join(bytes(chunk) for chunk in SPELLERS["xml", old](parts)).decode()


def write(text: str, size: int = 4096 * 400, overrides: Overrides | None = None) -> MemoryDisk:
    disk = MemoryDisk(size)
    disk.data[0] = 0xA5
    restore(disk, parse_xml(io.BytesIO(text.encode())), overrides)
    return disk


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    "devices",
    [
        {},
        {1: {}},
        {1: {}, 2: {}, 9: {(1 << 64) - 1: 5}},
        {1: FIRST, 2: FIRST | {700: (9500, 2)}, 3: {block: FIRST[block] for block in range(1000, 1004)}, 4: FIRST},
        {16777215: {block * 5: block for block in range(20_000)}},
    ],
)
def test_a_restored_dump_dumps_equal_and_is_sound(devices: dict[int, BlockMap], old: bool) -> None:
    text = spell(MemoryBlocks(write_thin_metadata(devices, nr_data_blocks=40_000, time=2, transaction_id=7)), old=old)
    made = MemoryBlocks(write(text).to_bytes())
    assert spell(made, old=True) == spell(
        MemoryBlocks(write_thin_metadata(devices, nr_data_blocks=40_000, time=2, transaction_id=7)), old=True
    )
    report = check_metadata(made)
    assert report.findings == []


def test_what_is_shared_is_shared_again() -> None:
    text = spell(MemoryBlocks(write_thin_metadata({1: FIRST, 2: FIRST, 3: FIRST}, nr_data_blocks=10_000)))
    alone = write(spell(MemoryBlocks(write_thin_metadata({1: FIRST}, nr_data_blocks=10_000))))
    shared = write(text)
    used = [read_superblock(MemoryBlocks(disk.to_bytes())).metadata_space_map.nr_allocated for disk in (alone, shared)]
    assert used[1] <= used[0] + 3
    assert spell(MemoryBlocks(shared.to_bytes())).count("<ref") == 3


def test_definitions_that_nobody_refers_to_leave_nothing() -> None:
    rows = "".join(f'<single_mapping origin_block="{n}" data_block="{n}" time="0"/>\n' for n in range(500))
    disk = write(f"{HEAD}\n<def name='a'>\n{rows}</def>{DEVICE}</device></superblock>")
    superblock = read_superblock(MemoryBlocks(disk.to_bytes()))
    assert superblock.data_space_map.nr_allocated == 0
    assert check_metadata(MemoryBlocks(disk.to_bytes())).findings == []


def test_what_only_some_devices_took_is_counted_as_they_took_it() -> None:
    """A definition with a leaf that is copied, one nobody takes, and one that shares its data with both."""
    rows = [f'<single_mapping origin_block="{n}" data_block="{n % 700}" time="0"/>\n' for n in range(2000)]
    definitions = "".join(
        f"<def name='{begin}'>\n{''.join(rows[begin:end])}</def>" for begin, end in ((0, 600), (600, 660), (660, 2000))
    )
    for taken in ([], [0], [600], [0, 600], [0, 660], [600, 660], [0, 600, 660]):
        for many in (1, 300):
            devices = "".join(
                DEVICE.replace('"1"', f'"{number}"', 1)
                + "".join(f"<ref name='{name}'/>" for name in taken)
                + "</device>"
                for number in range(many)
            )
            disk = write(f"{HEAD}\n{definitions}{devices}</superblock>", size=4096 * 2000)
            assert check_metadata(MemoryBlocks(disk.to_bytes())).findings == []


class CutDisk(MemoryDisk):
    """A disk that notes its writes block by block, None for a flush."""

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self.data[:] = np.frombuffer(data, dtype=np.uint8).reshape(self.data.shape)
        self.before = self.data.copy()
        self.log: list[tuple[NDArray[np.uint64], NDArray[np.uint8]] | None] = []

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        self.log += [(numbers[place : place + 1], blocks[place].copy()) for place in range(len(numbers))]
        super().write_blocks(numbers, blocks)

    def flush(self) -> None:
        self.log.append(None)

    def iter_cuts(self) -> Iterator[bytes]:
        """What a power cut may leave: all that was flushed, and of what was not nothing, all, or the last block."""
        durable = self.before
        waiting: list[tuple[NDArray[np.uint64], NDArray[np.uint8]]] = []
        for event in [*self.log, None]:
            if event is not None:
                waiting.append(event)
            for some in ([], waiting[-1:], waiting):
                left = durable.copy()
                for numbers, blocks in some:
                    left[numbers] = blocks
                yield left.tobytes()
            if event is None:
                durable, waiting = np.frombuffer(left.tobytes(), dtype=np.uint8).reshape(durable.shape), []


def test_a_power_cut_leaves_no_metadata_or_all_of_it() -> None:
    old = write_thin_metadata({5: FIRST}, nr_data_blocks=10_000, time=1).ljust(4096 * 200, b"\0")
    new = write_thin_metadata({1: FIRST, 2: FIRST | {700: (9500, 2)}}, nr_data_blocks=10_000, time=2)
    due = [spell(MemoryBlocks(image), old=True) for image in (old, new)]
    disk = CutDisk(old)
    restore(disk, parse_xml(io.BytesIO(spell(MemoryBlocks(new)).encode())))
    found: list[str] = []
    for left in disk.iter_cuts():
        try:
            read_superblock(MemoryBlocks(left))
        except DamagedError:
            found.append("none")
            continue
        assert check_metadata(MemoryBlocks(left)).findings == []
        found.append(("old", "new")[due.index(spell(MemoryBlocks(left), old=True))])
    assert set(found) == {"old", "none", "new"}
    assert "old" not in found[found.index("new") :]
    assert found[-1] == "new"


def test_mapped_blocks_are_counted() -> None:
    disk = write(
        f'{HEAD}{DEVICE}<range_mapping origin_begin="0" data_begin="0" length="9" time="0"/></device></superblock>'
    )
    reader = MemoryBlocks(disk.to_bytes())
    assert read_devices(reader, read_superblock(reader))[1].mapped_blocks == 9


def test_overrides() -> None:
    disk = write(f"{HEAD}</superblock>", overrides=Overrides(77, 256, 5000))
    superblock = read_superblock(MemoryBlocks(disk.to_bytes()))
    assert (superblock.transaction_id, superblock.data_block_size) == (77, 256)
    assert superblock.data_space_map.nr_blocks == 5000


MAP = '<single_mapping origin_block="{}" data_block="{}" time="0"/>'
MANY = "".join(f"    {MAP.format(block, block)}\n" for block in range(40))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"{DEVICE}\n{MAP.format(5, 1)}{MAP.format(5, 2)}</device>", "line 3: virtual block 5 does not ascend"),
        (f"{DEVICE}{MAP.format(5, 1)}<!-- -->{MAP.format(4, 2)}</device>", "does not ascend"),
        (f"{DEVICE}\n{MAP.format(5, 1000)}</device>", "line 3: data block 1000, expected below 1000"),
        (f"{DEVICE}</device>\n{DEVICE}</device>", "line 3: there are two devices 1"),
        ("<def name='a'></def><def name='a'></def>", "there are two definitions 'a'"),
        (f"{DEVICE}\n<ref name='b'/></device>", "line 3: there is no definition 'b'"),
        (
            f"<def name='a'>{MAP.format(5, 1)}</def>{DEVICE}{MAP.format(6, 1)}<ref name='a'/></device>",
            "the blocks of definition 'a' are not above",
        ),
        (f"{DEVICE}\n{MANY}{MAP.format(4, 1)}</device>", "line 43: virtual block 4 does not ascend"),
        (f"{DEVICE}\n{MANY}{MAP.format(50, 1000)}</device>", "line 43: data block 1000, expected below 1000"),
        (f"<def name='a'>\n{MANY}</def>{DEVICE}\n<ref name='b'/>\n{MAP.format(50, 1000)}</device>", "definition 'b'"),
        (
            f'{DEVICE}<range_mapping origin_begin="18446744073709551615" data_begin="0" length="2" time="0"/></device>',
            "virtual block 18446744073709551615",
        ),
    ],
)
def test_what_does_not_make_metadata(body: str, reason: str) -> None:
    disk = MemoryDisk(4096 * 100)
    with pytest.raises(DamagedError) as caught:
        restore(disk, parse_xml(io.BytesIO(f"{HEAD}\n{body}</superblock>".encode())))
    assert reason in caught.value.message
    assert not disk.data[0].any()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        HEAD.replace("128", "127"),
        HEAD.replace('version="2"', 'version="3"'),
        # A mapping has 24 bits for it: metadata with such a time would not be sound.
        HEAD.replace('time="2"', 'time="16777216"') + "</superblock>",
    ],
)
def test_nothing_is_written_when_the_head_is_wrong(text: str) -> None:
    disk = MemoryDisk(4096 * 10)
    disk.data[:] = 7
    with pytest.raises(DamagedError):
        restore(disk, parse_xml(io.BytesIO(text.encode())))
    assert (disk.data == 7).all()


def test_a_disk_that_is_too_small() -> None:
    text = f"{HEAD.replace('1000', '1000000')}{DEVICE}"
    text += '<range_mapping origin_begin="0" data_begin="0" length="1000000" time="0"/></device></superblock>'
    disk = MemoryDisk(4096 * 10)
    with pytest.raises(ExhaustedError, match="does not fit 10 blocks"):
        restore(disk, parse_xml(io.BytesIO(text.encode())))
    assert not disk.data[0].any()


def test_long_runs_are_taken_apart_in_pieces() -> None:
    def column(*values: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        return np.array(values, dtype=np.uint64)

    runs = Runs(column(0, 5, 300_000), column(9, 20, 70), np.array([1, 0, 2], dtype=np.uint32), column(3, 200_000, 1))
    pieces = list(expand_runs(runs))
    assert max(len(keys) for keys, _ in pieces) <= 1 << 17
    keys, values = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    assert keys.tolist() == [0, 1, 2, *range(5, 200_005), 300_000]
    assert (values >> np.uint64(24)).tolist() == [9, 10, 11, *range(20, 200_020), 70]
    assert (values & np.uint64(0xFFFFFF)).tolist() == [1] * 3 + [0] * 200_000 + [2]

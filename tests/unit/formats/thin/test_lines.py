from __future__ import annotations

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.devices import find_mapping_root
from drystone.formats.thin.leaves import Leaves, list_leaves
from drystone.formats.thin.lines import Lines, Marks, Row, read_lines
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata


def make(mappings: BlockMap, fan_out: int = 2) -> tuple[MemoryBlocks, Leaves]:
    reader = MemoryBlocks(write_thin_metadata({1: mappings}, fan_out=fan_out, nr_data_blocks=10))
    return reader, list_leaves(reader, find_mapping_root(reader, read_superblock(reader), 1))


def read(reader: MemoryBlocks, leaves: Leaves, *marks: tuple[int, Row, int], batch: int = 2) -> list[tuple[int, ...]]:
    """Rows: (virtual, data, length, time) for mappings, (kind, name) for the others."""
    named = [name for _, kind, name in marks if kind in {Row.REF, Row.DEF}]
    columns = Marks(
        np.array([at for at, _, _ in marks], dtype=np.int64),
        np.array([kind for _, kind, _ in marks], dtype=np.uint8),
        np.array(named, dtype=np.uint64),
    )
    return [row for lines in read_lines(reader, leaves, columns, batch=batch) for row in spread(lines)]


def spread(lines: Lines) -> list[tuple[int, ...]]:
    runs = zip(*(each.tolist() for each in (lines.runs.virtual, lines.runs.data, lines.runs.length)), strict=True)
    times, names = iter(lines.runs.time.tolist()), iter(lines.names.tolist())
    rows: list[tuple[int, ...]] = []
    for kind in lines.kinds.tolist():
        if kind == Row.MAPPING:
            rows.append((*next(runs), next(times)))
        else:
            rows.append((kind, next(names)) if kind in {Row.REF, Row.DEF} else (kind,))
    return rows


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_runs_go_on_across_leaves_and_batches(batch: int) -> None:
    reader, leaves = make({block: 100 + block for block in range(20)})
    assert read(reader, leaves, batch=batch) == [(0, 100, 20, 0)]


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
@pytest.mark.parametrize("at", range(6))
def test_marks_end_runs(batch: int, at: int) -> None:
    reader, leaves = make({block: 100 + block for block in range(10)})
    rows = read(reader, leaves, (at, Row.REF, 7), batch=batch)
    before = [(0, 100, 2 * at, 0)] if at else []
    after = [(2 * at, 100 + 2 * at, 10 - 2 * at, 0)] if at < 5 else []
    assert rows == [*before, (Row.REF, 7), *after]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_several_marks_in_one_place_keep_their_order(batch: int) -> None:
    reader, leaves = make({block: block for block in range(6)})
    marks = [(0, Row.DEF, 1), (2, Row.DEF_END, 0), (2, Row.DEF, 5), (3, Row.DEF_END, 0)]
    assert read(reader, leaves, *marks, batch=batch) == [
        (Row.DEF, 1),
        (0, 0, 4, 0),
        (Row.DEF_END,),
        (Row.DEF, 5),
        (4, 4, 2, 0),
        (Row.DEF_END,),
    ]


def test_marks_without_leaves() -> None:
    reader, leaves = make({0: 0})
    assert read(reader, leaves[:0], (0, Row.REF, 3), (0, Row.REF, 4)) == [(Row.REF, 3), (Row.REF, 4)]


def test_a_run_ends_where_virtual_data_or_time_does() -> None:
    mappings = {0: (5, 0), 1: (6, 0), 2: (7, 1), 3: (8, 1), 5: (9, 1), 6: (11, 1), 7: (12, 2)}
    reader, leaves = make(mappings)
    assert read(reader, leaves) == [(0, 5, 2, 0), (2, 7, 2, 1), (5, 9, 1, 1), (6, 11, 1, 1), (7, 12, 1, 2)]


def test_the_last_possible_data_block_is_not_followed_by_the_first() -> None:
    reader, leaves = make({0: (1 << 40) - 2, 1: (1 << 40) - 1, 2: 0, 3: 1}, fan_out=252)
    assert read(reader, leaves) == [(0, (1 << 40) - 2, 2, 0), (2, 0, 2, 0)]


def test_only_a_root_may_be_empty() -> None:
    reader, leaves = make({})
    assert read(reader, leaves, (0, Row.DEF, 1), (1, Row.DEF_END, 0)) == [(Row.DEF, 1), (Row.DEF_END,)]
    two = Leaves(leaves.edges[np.array([0, 0])], np.array([True, False]))
    with pytest.raises(DamagedError, match="number of entries is 0"):
        read(reader, two)

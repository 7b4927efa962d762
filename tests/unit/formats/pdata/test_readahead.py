"""Batches come in order with their own blocks, whatever the reader does."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.readahead import read_ahead

Numbers = NDArray[np.uint64]


class Numbered:
    """A reader whose blocks hold their own numbers; it fails at one of them, and notes the threads that read."""

    size = 1 << 30

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken
        self.threads: set[int] = set()

    def read_blocks(self, numbers: Numbers) -> NDArray[np.uint8]:
        self.threads.add(threading.get_ident())
        if self.broken in numbers.tolist():
            raise OSError(5, "Input/output error")
        blocks = np.zeros((len(numbers), BLOCK), dtype=np.uint8)
        blocks[:, :8] = numbers.astype("<u8").view(np.uint8).reshape(-1, 8)
        return blocks

    def read_bytes(self, numbers: Sequence[int]) -> memoryview:
        return self.read_blocks(np.array(numbers, dtype=np.uint64)).reshape(-1).data


def make_batches(count: int, asked: list[int] | None = None) -> Iterator[Numbers]:
    for number in range(count):
        if asked is not None:
            asked.append(number)
        yield np.array([number * 10, number * 10 + 1], dtype=np.uint64)


def get_numbers(batch: Numbers) -> Numbers:
    return batch


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_batches_come_in_order_with_their_blocks(count: int) -> None:
    found = list(read_ahead(Numbered(), make_batches(count), get_numbers))
    assert [batch.tolist() for batch, _ in found] == [batch.tolist() for batch in make_batches(count)]
    for batch, blocks in found:
        assert blocks[:, :8].copy().view("<u8").reshape(-1).tolist() == batch.tolist()


def test_one_batch_needs_no_thread() -> None:
    reader = Numbered()
    list(read_ahead(reader, make_batches(1), get_numbers))
    assert reader.threads == {threading.get_ident()}
    list(read_ahead(reader, make_batches(5), get_numbers))
    assert len(reader.threads) > 1


def test_no_more_is_asked_for_than_two_ahead() -> None:
    asked: list[int] = []
    batches = read_ahead(Numbered(), make_batches(50, asked), get_numbers)
    for given in range(1, 5):
        next(batches)
        assert len(asked) <= given + 2
    batches.close()


def test_a_failed_read_ends_it_where_it_is_due() -> None:
    batches = read_ahead(Numbered(broken=31), make_batches(50), get_numbers)
    found = [next(batches)[0].tolist()[0] for _ in range(3)]
    assert found == [0, 10, 20]
    with pytest.raises(OSError, match="Input/output error"):
        next(batches)


def test_threads_are_gone_when_it_is_left_early() -> None:
    before = threading.active_count()
    batches = read_ahead(Numbered(), make_batches(50), get_numbers)
    next(batches)
    batches.close()
    assert threading.active_count() == before

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from blake3 import blake3

from drystone.base.errors import UnavailableError
from drystone.fleet.disk.sums import PIECE, Summing, count_pieces, digest_of


@pytest.fixture(scope="module")
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
@pytest.mark.parametrize("step", [1000, 100_000, PIECE, 5 * PIECE])
def test_sums_do_not_depend_on_how_the_bytes_come(size: int, step: int, beside: ThreadPoolExecutor) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    pieces = b"".join(blake3(data[at : at + PIECE]).digest() for at in range(0, size, PIECE))
    summing = Summing(md5=True, beside=beside)
    buffer = bytearray(step)
    for at in range(0, size, step):
        part = data[at : at + step]
        buffer[: len(part)] = part
        summing.update(memoryview(buffer)[: len(part)])
        buffer[:] = bytes(step)  # may be used again at once
    sums = summing.finish()
    assert (sums.size, sums.pieces, sums.md5) == (size, pieces, hashlib.md5(data).hexdigest())
    assert sums.digest == blake3(pieces).hexdigest() == digest_of(pieces)
    assert count_pieces(size) == len(pieces) // 32
    assert summing.finish() == sums


def test_md5_is_left_out_where_nobody_asks() -> None:
    summing = Summing(md5=False)
    summing.update(b"abc")
    assert summing.finish().md5 == ""


def test_a_body_that_outlives_the_threads_is_told() -> None:
    with ThreadPoolExecutor(1) as executor:
        summing = Summing(md5=True, beside=executor)
        summing.update(b"y" * 100_000)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="closed"):
            summing.update(b"y")
    summing.finish()


def test_many_bodies_share_the_threads(beside: ThreadPoolExecutor) -> None:
    data = b"y" * 200_000
    all_ = [Summing(md5=True, beside=beside) for _ in range(6)]
    for _ in range(100):
        for each in all_:
            each.update(data)
    assert {each.finish().md5 for each in all_} == {hashlib.md5(data * 100).hexdigest()}

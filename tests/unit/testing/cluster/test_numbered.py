"""The history checker of numbered blocks: what it must find, and the program that writes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.testing.cluster.numbered import BLOCK, BLOCKS, THREADS, History, block_of, is_of, word_of


@pytest.fixture
def history() -> History:
    found = History()
    found.take(1, ["a 0 1", "a 1 1", "a 0 2"])
    found.take(2, ["a 0 1", "wrong block 3 was read torn", "error Input/output error", "end"])
    return found


def file_of(words: dict[int, int]) -> NDArray[np.uint8]:
    """The file with these blocks, all others as it was made."""
    made = np.zeros((BLOCKS, BLOCK // 8), np.uint64)
    for block, word in words.items():
        made[block] = word
    return made.reshape(-1).view(np.uint8)


def test_every_block_has_one_writer() -> None:
    share = BLOCKS // THREADS
    blocks = {(thread, block_of(thread, number)) for thread in range(THREADS) for number in range(1, share + 1)}
    assert len({block for _, block in blocks}) == len(blocks) == BLOCKS


def test_what_was_acknowledged_is_there(history: History) -> None:
    assert (history.count, history.wrong, history.errors) == (4, ["block 3 was read torn"], ["Input/output error"])
    assert history.check(file_of(history.words), "legs 0") == []


def test_what_was_under_way_may_be_there(history: History) -> None:
    later = {block_of(1, 2): word_of(2, 1, 2)}
    assert history.check(file_of(history.words | later), "legs 0") == []


def test_an_older_block_is_found(history: History) -> None:
    block = block_of(0, 1)
    assert history.words[block] == word_of(2, 0, 1)
    (found,) = history.check(file_of(history.words | {block: word_of(1, 0, 1)}), "legs 0")
    assert f"block {block} has 0x1000000000001, acknowledged was" in found
    (found,) = history.check(file_of(history.words | {block: 0}), "legs 1")
    assert found.startswith("legs 1: ")


def test_a_block_of_another_place_is_found(history: History) -> None:
    other = block_of(0, 5)
    (found,) = history.check(file_of(history.words | {other: word_of(2, 0, 6)}), "legs 0")
    assert "never written there" in found
    assert not is_of(word_of(1, THREADS, 1), block_of(0, 1))


def test_a_torn_block_is_found(history: History) -> None:
    content = file_of(history.words)
    content[(block_of(0, 1) + 1) * BLOCK - 1] ^= 1
    (found,) = history.check(content, "legs 0")
    assert "torn" in found


def test_the_program_writes_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(BLOCKS * BLOCK))
    command = [sys.executable, "-m", "drystone.testing.cluster.numbered", str(path), "3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        lines = [program.stdout.readline() for _ in range(20)]
        program.stdin.close()
        lines += program.stdout.readlines()
    history = History()
    history.take(3, [line.rstrip("\n") for line in lines])
    assert lines[-1] == "end\n"
    assert (history.wrong, history.errors) == ([], [])
    assert history.count >= 18
    assert history.check(np.fromfile(path, np.uint8), "file") == []

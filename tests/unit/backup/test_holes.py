"""Where a file has data, as its file system says, and as one says that cannot be believed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from drystone.backup.holes import STEP, find_data
from drystone.backup.source import DeviceSource

SIZE = 64 * STEP + 5


def knows_holes(folder: Path) -> bool:
    path = folder / "probe"
    path.write_bytes(b"")
    os.truncate(path, STEP)
    with path.open("rb") as file:
        try:
            return os.lseek(file.fileno(), 0, os.SEEK_DATA) != 0
        except OSError as error:
            return error.errno == errno.ENXIO


def write(path: Path, *pieces: tuple[int, bytes]) -> None:
    with path.open("wb") as file:
        file.truncate(SIZE)
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)


def test_a_sparse_file_is_told_without_its_holes(tmp_path: Path) -> None:
    assert knows_holes(tmp_path), "this test wants a file system that has holes: set --basetemp"
    path = tmp_path / "image"
    write(path, (10 * STEP + 4096, b"a" * 4096), (30 * STEP, b"b" * STEP * 2), (SIZE - 1, b"c"))
    with DeviceSource(path) as source:
        told = source.extents()
    data = np.fromfile(path, dtype=np.uint8)
    outside = np.ones(SIZE, dtype=bool)
    for offset, length in told.tolist():
        outside[offset : offset + length] = False
    assert not data[outside].any()
    assert int(told[:, 1].sum()) <= 5 * STEP
    assert (told[1:, 0] > told[:-1].sum(axis=1)).all(), "ascending and apart"


def test_a_hole_that_is_the_whole_file(tmp_path: Path) -> None:
    write(tmp_path / "image")
    with DeviceSource(tmp_path / "image") as source:
        assert int(source.extents()[:, 1].sum()) in {0, SIZE}


def test_what_is_in_memory_only_is_told(tmp_path: Path) -> None:
    """Room that was set aside reads as zeros and may count as a hole, until somebody writes there."""
    with (tmp_path / "image").open("w+b", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, SIZE)
        for at in (3 * STEP + 5, 40 * STEP, SIZE - 1):
            os.pwrite(file.fileno(), b"x", at)
            told = find_data(file.fileno(), SIZE).tolist()
            assert any(begin <= at < begin + length for begin, length in told)


class Answers:
    """A file system's answers: (from, what is asked) -> place; an errno is raised as its error."""

    def __init__(self, answers: dict[tuple[int, int], int | OSError]) -> None:
        self.answers = answers

    def __call__(self, _handle: int, at: int, whence: int) -> int:
        answer = self.answers[at, whence]
        if isinstance(answer, OSError):
            raise answer
        return answer


D, H = os.SEEK_DATA, os.SEEK_HOLE
END = OSError(errno.ENXIO, "hole")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({(0, D): END}, []),
        ({(0, D): OSError(errno.EINVAL, "no holes here")}, [[0, SIZE]]),
        ({(0, D): 0, (0, H): SIZE}, [[0, SIZE]]),
        ({(0, D): 7, (7, H): 9, (STEP, D): END}, [[7, STEP - 7]]),
        ({(0, D): 7, (7, H): 9, (STEP, D): STEP, (STEP, H): STEP + 1, (2 * STEP, D): END}, [[7, 2 * STEP - 7]]),
        ({(0, D): 0, (0, H): 1, (STEP, D): OSError(errno.EIO, "broken")}, [[0, SIZE]]),
        # A place before the one that was asked for, a hole where data begins, and data behind the end:
        ({(0, D): 0, (0, H): 1, (STEP, D): 5}, [[0, SIZE]]),
        ({(0, D): 3, (3, H): 3}, [[0, SIZE]]),
        ({(0, D): SIZE + 1}, []),
    ],
)
def test_answers_that_cannot_be_are_not_believed(
    answers: dict[tuple[int, int], int | OSError], told: list[list[int]], tmp_path: Path
) -> None:
    with (tmp_path / "file").open("w+b") as file:
        assert find_data(file.fileno(), SIZE, Answers(answers)).tolist() == told

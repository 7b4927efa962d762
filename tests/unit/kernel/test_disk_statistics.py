"""What the kernel counts of a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import DamagedError
from drystone.kernel.disk_statistics import read_disk_counts
from drystone.kernel.dm.io_statistics import IoCounts


def write(folder: Path, text: str) -> None:
    (folder / "8:0").mkdir()
    (folder / "8:0" / "stat").write_text(text)


def test_reads_and_writes_are_bytes_and_seconds(tmp_path: Path) -> None:
    write(tmp_path, "     3  1   24   1500   5   0   40  2000   1   100   200 0 0 0 0 7 8\n")
    assert read_disk_counts("8:0", tmp_path) == IoCounts(3, 24 * 512, 1.5, 5, 40 * 512, 2.0, 1)


def test_a_disk_that_is_gone_has_counted_nothing(tmp_path: Path) -> None:
    assert read_disk_counts("8:16", tmp_path) is None


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d e f g h i j k"])
def test_another_file_is_no_answer(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(DamagedError, match="8:0"):
        read_disk_counts("8:0", tmp_path)

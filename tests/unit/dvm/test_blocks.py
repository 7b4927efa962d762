from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError
from drystone.dvm.blocks import KernelBlocks


def test_plain_files_are_written(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(8192))
    with closing(KernelBlocks().open(str(path))) as block:
        assert block.size == 8192
        block.pwrite(4100, b"here")
        block.flush()
    assert path.read_bytes()[4096:4106] == b"\0\0\0\0here\0\0"


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        KernelBlocks().open(str(tmp_path / "none"))
    with pytest.raises(NotFoundError):
        KernelBlocks().number(str(tmp_path / "none"))

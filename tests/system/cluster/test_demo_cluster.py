"""The parts of `make demo-cluster` that say whether all was well: each must be able to say that it was not."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "demo_cluster.py"
BLOCK = 4096
FIRST = 17
"""The block that the writer's first number goes to."""


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo_cluster", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(path: Path, *, damaged: bool) -> Any:
    """What the writer tells at its end; in the middle of it the block that it wrote first may get other bytes."""
    path.write_bytes(bytes(2048 * BLOCK))
    command = [sys.executable, str(SCRIPT), "write", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "20\n"
        if damaged:
            handle = os.open(path, os.O_WRONLY | os.O_DSYNC)
            os.pwrite(handle, b"other", (FIRST + 1) * BLOCK - 5)
            os.close(handle)
        told, _ = writer.communicate()
    assert writer.returncode == 0
    return json.loads(told.splitlines()[-1])


def test_a_writer_that_lost_nothing_says_so(tmp_path: Path, demo: ModuleType) -> None:
    told = write(tmp_path / "file", damaged=False)
    assert (told["error"], told["lost"], told["checked"]) == ("", [], told["writes"])
    assert told["writes"] >= 20
    demo.judge(told, 19)
    with pytest.raises(demo.DemoFailedError):
        demo.judge(told, told["writes"])


def test_a_block_with_other_bytes_at_its_end_is_found(tmp_path: Path, demo: ModuleType) -> None:
    told = write(tmp_path / "file", damaged=True)
    assert told["lost"] == [FIRST]
    with pytest.raises(demo.DemoFailedError):
        demo.judge(told, 19)


@pytest.mark.parametrize(
    ("legs", "left_out", "whole"),
    [
        ([("d1", True), ("d2", True)], False, False),
        ([("d1", False), ("d2", True)], True, False),
        ([("d3", False), ("d2", True)], True, False),
        ([("d3", True), ("d2", True)], True, True),
    ],
)
def test_where_the_copies_stand(demo: ModuleType, legs: list[tuple[str, bool]], *, left_out: bool, whole: bool) -> None:
    dlv = {"legs": [{"dpv": dpv, "in_sync": in_sync} for dpv, in_sync in legs]}
    assert (demo.is_left_out(dlv, "d1"), demo.is_whole(dlv, "d1")) == (left_out, whole)

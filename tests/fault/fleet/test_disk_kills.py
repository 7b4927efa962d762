"""A process that writes to a disk is killed, again and again: what it said was done is there."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.fleet.disk.disk import Disk
from drystone.testing.fleet.disk_world import FLEET, PLACEMENT, check_whole, content, make_disk, read_state

ROUNDS = 4


def run_until_killed(root: Path, seed: int, lines: int) -> list[list[str]]:
    """What the process said before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "drystone.testing.fleet.disk_writer", f"{root}", f"{seed}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if len(said) == lines:
                process.kill()
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert len(said) >= lines, "the process ended by itself"
    return [line.split() for line in said if line.endswith("\n")]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_done_before_a_kill_is_there(seed: int, tmp_path: Path) -> None:
    root = tmp_path / "data_1"
    make_disk(root).close()
    chooser = random.Random(seed)
    sure: dict[str, tuple[int, int]] = {}  # of each key: seq and size of the last change that was done
    for number in range(ROUNDS):
        open_: dict[str, tuple[int, int]] = {}
        for kind, key, *numbers in run_until_killed(root, seed * 100 + number, chooser.randrange(20, 300)):
            if kind == "begin":
                open_[key] = (int(numbers[0]), int(numbers[1]))
            else:
                sure[key] = open_.pop(key)
        disk = Disk(root, "data_1", reserve=0)
        disk.open(FLEET)
        try:
            state = read_state(disk)
            for key in {*sure, *open_}:
                found = state.get((key, "null"))
                allowed = [None if key not in sure or sure[key][1] < 0 else content(key, *sure[key])]
                if key in open_:
                    allowed.append(None if open_[key][1] < 0 else content(key, *open_[key]))
                data = None if found is None else found.data
                assert data in allowed, f"seed {seed}, round {number}: {key} is not what was done"
                if found is not None:
                    sure[key] = (found.seq, len(found.data or b""))
                else:
                    sure.pop(key, None)
            check_whole(disk, state)
            assert {each.key for each in disk.dirty(PLACEMENT)} <= {*open_, *sure}
            for each in disk.dirty(PLACEMENT):
                disk.clear_dirty(PLACEMENT, each.key, each.seq)
        finally:
            disk.close()

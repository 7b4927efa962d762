"""Power cuts in the middle of updates of a group's metadata: what was acknowledged is there, or the one after it."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from drystone.base.errors import DrystoneError
from drystone.lab.lab import Lab
from drystone.lab.python import Python

from . import metadata_group

CUTS = 5
DISKS = [f"/dev/lab/disk{each}" for each in range(4)]


def cut_the_power_during(python: Python, kill: Callable[[], None], begin: int, told: Path, seconds: float) -> int:
    """Kill the guest while it updates, some time after the mutator has run; the last number that was acknowledged."""
    told.write_text("")

    def ask() -> None:
        with contextlib.suppress(DrystoneError):
            python.call(metadata_group.work, DISKS, begin, str(told))

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive() and f"begun {begin + 1}" not in told.read_text():
        time.sleep(0.002)
    time.sleep(seconds)
    kill()
    asking.join()
    done = [line.split()[1] for line in told.read_text().splitlines() if line.startswith("done ")]
    return int(done[-1])


def test_the_last_acknowledged_update_or_the_one_after_it_is_read(
    lab_factory: Callable[..., Lab], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    lab = lab_factory(disks=[1 << 20] * len(DISKS), memory=256 << 20, folders=[tmp_path])
    (guest,) = lab.guests
    rng = random.Random(5)
    last = 0
    for turn in range(CUTS + 1):
        with guest.python() as python:
            if turn == 0:
                python.call(metadata_group.create_on_disks, DISKS)
            found = python.call(metadata_group.look, DISKS)
            assert (found["recovered"], found["whole"]) == (0, 0), found
            assert found["after"] in {last, last + 1}, found
            assert found["before"] in ({found["after"]} if found["complete"] else {None}), found
            if turn < CUTS:
                seconds = rng.uniform(0.0, 0.1)
                last = cut_the_power_during(python, guest.kill, found["after"] + 1, told, seconds)
                guest.boot()

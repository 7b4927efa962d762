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


def cut_the_power_during(python: Python, kill: Callable[[], None], begin: int, file: Path, seconds: float) -> None:
    """Kill the guest some time after it has acknowledged an update."""

    def ask() -> None:
        with contextlib.suppress(DrystoneError):
            python.call(metadata_group.work, DISKS, begin, str(file))

    asking = threading.Thread(target=ask)
    asking.start()
    known = file.read_text()
    while asking.is_alive() and file.read_text() == known:
        time.sleep(0.01)
    time.sleep(seconds)
    kill()
    asking.join()


def test_the_last_acknowledged_update_or_the_one_after_it_is_read(
    lab_factory: Callable[..., Lab], tmp_path: Path
) -> None:
    acknowledged = tmp_path / "acknowledged"
    acknowledged.write_text("0\n")
    lab = lab_factory(disks=[1 << 20] * len(DISKS), memory=256 << 20, folders=[tmp_path])
    (guest,) = lab.guests
    with guest.python() as python:
        python.call(metadata_group.create_on_disks, DISKS)
    rng = random.Random(5)
    number = 0
    for _ in range(CUTS):
        with guest.python() as python:
            cut_the_power_during(python, guest.kill, number + 1, acknowledged, rng.uniform(0.0, 0.5))
        last = int(acknowledged.read_text().split()[-1])
        assert last > number, "at least one was acknowledged"
        guest.boot()
        with guest.python() as python:
            found = python.call(metadata_group.look, DISKS)
        assert (found["recovered"], found["whole"]) == (0, 0), found
        assert found["after"] in {last, last + 1}, found
        assert found["before"] in ({found["after"]} if found["complete"] else {None}), found
        number = found["after"]

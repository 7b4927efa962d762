"""A power cut while a disk of the fleet is written to, on real file systems: what was answered is there.

The disk is one of the lab's, whose unflushed writes are gone after a kill.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError
from drystone.fleet.disk.changes import Change
from drystone.fleet.disk.disk import Disk
from drystone.fleet.objects import ObjectInfo
from drystone.lab.lab import Lab
from drystone.lab.python import Python
from drystone.testing.fleet.disk_world import EPOCH, FLEET, PLACEMENT, check_whole, content, make_disk, read_state

DEVICE, ROOT = "/dev/lab/disk0", Path("/srv/data_1")
KEYS = ["h/a", "h/a/b", "h/c/d/e", "h/f/", "h/g", "h/v"]
OPEN: list[Disk] = []


# These run in the guest.


def start(kind: str) -> None:
    """Mount the disk, made first when `kind` names a file system, and open it."""
    if kind:
        subprocess.run([f"mkfs.{kind}", "-q", DEVICE], check=True)
    ROOT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", DEVICE, ROOT], check=True)
    if kind:
        OPEN.append(make_disk(ROOT))
    else:
        OPEN.append(Disk(ROOT, "data_1", reserve=0))
        OPEN[0].open(FLEET)


def put(key: str, size: int, version: str) -> int:
    """Put an object, durably; its number."""
    (disk,) = OPEN
    seq = disk.take_seq(PLACEMENT, EPOCH)
    body = disk.receive(size=size)
    body.write(content(key, seq, size))
    sums = body.finish()
    change = Change("put", PLACEMENT, ObjectInfo(key, size, 1.0, sums.md5, sums.digest, seq, version), seq)
    if seq % 2:
        disk.commit(disk.prepare(change, body))
    else:
        disk.apply(change, body)
        disk.release(PLACEMENT, seq)
    return seq


def work_once() -> dict[str, int]:
    """Put every key; what was answered."""
    return {key: put(key, 3000, "null") for key in KEYS}


def work_on(seed: int) -> None:
    """Put the keys again, and versions of one, until the power goes; four at once."""

    def work(thread: int) -> None:
        chooser = random.Random(seed * 10 + thread)
        for count in itertools.count():
            key = KEYS[thread] if thread < 3 else "h/v"
            put(key, chooser.choice([0, 10, 5000, 200_000]), f"v{seed}.{count % 5}" if key == "h/v" else "null")

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def look() -> dict[str, int]:
    """Read and check all that is there; the number of the latest version of each key."""
    (disk,) = OPEN
    state = read_state(disk)
    check_whole(disk, state)
    for (key, _), version in state.items():
        assert version.data is not None
        assert version.data == content(key, version.made, len(version.data))
    return {key: max(each.made for (found, _), each in state.items() if found == key) for key, _ in state}


# This runs here.


def cut_the_power_during(python: Python, guest_kill: Callable[[], None], seed: int, seconds: float) -> None:
    """Kill the guest while it works."""

    def ask() -> None:
        with contextlib.suppress(DrystoneError):
            python.call(work_on, seed)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(seconds)
    guest_kill()
    asking.join()


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_answered_is_there_after_every_power_cut(kind: str, lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(disks=[320 << 20], memory=384 << 20)
    (guest,) = lab.guests
    answered: dict[str, int] = {}
    for number, seconds in enumerate((0.5, 1.3, 2.9, 5.0)):
        with guest.python() as python:
            python.call(start, "" if number else kind)
            found = python.call(look)
            assert all(found[key] >= seq for key, seq in answered.items()), f"{found} after {answered}"
            answered = python.call(work_once)
            cut_the_power_during(python, guest.kill, number, seconds)
        guest.boot()
    with guest.python() as python:
        python.call(start, "")
        found = python.call(look)
        assert all(found[key] >= seq for key, seq in answered.items())

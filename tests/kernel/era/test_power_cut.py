"""Power cuts while an era device is written to: every block whose data differ is in the list of what changed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

from drystone.base.errors import DrystoneError
from drystone.lab.lab import Lab
from drystone.lab.python import Python

from . import crashes

CUTS = 5


def cut_the_power_during(python: Python, kill: Callable[[], None], seed: int, seconds: float) -> None:
    def ask() -> None:
        with contextlib.suppress(DrystoneError):
            python.call(crashes.work, seed)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(seconds)
    kill()
    asking.join()


def test_nothing_written_since_an_era_is_missing(lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(disks=[2 << 20, 8 << 20], memory=256 << 20, modules=["dm-era"])
    (guest,) = lab.guests
    rng = random.Random(11)
    points: list[tuple[int, list[str]]] = []
    crashed = 0
    for turn in range(CUTS + 1):
        with guest.python() as python:
            _, was_cut = python.call(crashes.start, fresh=turn == 0)
            crashed += was_cut
            after = python.call(crashes.fingerprints)
            for era, before in points:
                changed, _ = python.call(crashes.read_changed, era)
                assert crashes.missing(before, after, changed) == []
                assert len(changed) < len(after), "not everything is said to have changed"
            _, era = python.call(crashes.read_changed, 1)
            points = [*points[-2:], (era, python.call(crashes.fingerprints))]
            if turn < CUTS:
                cut_the_power_during(python, guest.kill, turn, rng.uniform(0.2, 1.2))
                guest.boot()
    # A cut while the device is suspended, or before the first write, leaves no current writeset.
    assert crashed > CUTS // 2
    changed_at_all = crashes.missing(points[0][1], points[-1][1], [])
    assert len(changed_at_all) > 5, "something was written"

"""The conformance check of device-mapper: what every implementation of `kernel/dm/abc.py` must do.

A check is a function of a `Bench`. `CHECKS` has all of them; they run on the simulated device-mapper in the unit
tests, and on the real one inside a guest. They were written from Linux 6.1; where an errno or a text is asserted, a
kernel was asked.
"""

from __future__ import annotations

from collections.abc import Callable

from drystone.testing.device_mapper import calls, clone, targets, thin
from drystone.testing.device_mapper.bench import DISK_SECTORS, DISKS, Bench, Hands

_MODULES = (calls, targets, clone, thin)

CHECKS: list[Callable[[Bench], None]] = [
    value for module in _MODULES for name, value in vars(module).items() if name.startswith("check_")
]

__all__ = ["CHECKS", "DISKS", "DISK_SECTORS", "Bench", "Hands"]

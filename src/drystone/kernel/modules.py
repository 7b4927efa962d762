"""Kernel modules, loaded where the kernel does not do so by itself."""

from __future__ import annotations

from drystone.base.errors import UnsupportedError

TARGET_MODULES = {"thin-pool": "dm-thin-pool", "thin": "dm-thin-pool"}
"""Targets whose module is neither called dm-TARGET nor has it as an alias."""


def load_module(name: str) -> bool:
    """Whether `name` is there after `modprobe`: built in, loaded before, or loaded now."""
    from drystone.kernel.programs import run_program

    try:
        return run_program("modprobe", ["-q", name], package="kmod").code == 0
    except UnsupportedError:
        return False


def target_module(target: str) -> str:
    """The module (or an alias of it) that holds a device-mapper target."""
    return TARGET_MODULES.get(target, f"dm-{target}")

"""Which boot of the machine it is: what a kernel was told is of one."""

from __future__ import annotations

from pathlib import Path


def read_boot() -> str:
    """What tells this boot from every other. Source: random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

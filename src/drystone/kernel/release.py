"""Which kernel this is, where it matters."""

from __future__ import annotations

import os
import re

_RELEASE = re.compile(r"([0-9]+)\.([0-9]+)")

ERA_KEEPS_WRITESETS = (5, 12)
"""From this version on dm-era keeps the writeset that was the current one when the power went (commit de89afc1e40f,
"Recover committed writeset after crash"). Older stable kernels may have the change too; their number does not tell."""


def parse_release(text: str) -> tuple[int, int]:
    """(6, 1) of `6.1.0-18-amd64`; (0, 0) of what is no release."""
    match = _RELEASE.match(text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def running_release() -> tuple[int, int]:
    """The version of the running kernel."""
    return parse_release(os.uname().release)

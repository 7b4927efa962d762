"""What makes the start of a command short, beside importing little."""

from __future__ import annotations

import gc
import os

_ALLOCATIONS = 20_000
"""Objects that are made before garbage is looked for: the interpreter's own 700 come 60 times while numpy is imported.
A stream's work leaves no garbage that must be looked for."""


def spare_numpy() -> None:
    """Have the commands that are about to import numpy start sooner. Called before they do.

    numpy's library of linear algebra starts a thread a core, which takes 0.1 s of processor time, and no command
    multiplies matrices. What a user has set himself stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    collect_seldom()


def collect_seldom() -> None:
    """Look for garbage seldom: importing makes much that stays, and a short command ends before garbage is a burden."""
    gc.set_threshold(_ALLOCATIONS)

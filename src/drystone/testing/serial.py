"""The backup engine in one thread and with told randomness, so that a seed repeats a run of several processes.

What the engine hands to its threads is done at once, by the one who hands it over; what it takes from the system's
random numbers comes from the seed. Sets are walked in the order of Python's hashes: PYTHONHASHSEED must be the same
too.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import drystone.backup


class SerialExecutor(Executor):
    """Does at once what it is handed. A thread pool's arguments are taken and mean nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that is done. What is no ordinary error goes through: the process is gone."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # a pool's part: whoever asks for the result gets it
            future.set_exception(error)
        return future


def _modules() -> list[ModuleType]:
    names = [each.name for each in pkgutil.walk_packages(drystone.backup.__path__, "drystone.backup.")]
    return [importlib.import_module(name) for name in names]


@contextmanager
def serial(seed: int) -> Iterator[random.Random]:
    """Within the block the engine has no threads, and random names come of the seed; yields further numbers of it."""
    rng = random.Random(seed)  # noqa: S311  # a test's numbers
    names = random.Random(f"names {seed}")  # noqa: S311  # likewise
    with ExitStack() as stack:
        for module in _modules():
            if hasattr(module, "ThreadPoolExecutor"):
                stack.enter_context(patch.object(module, "ThreadPoolExecutor", SerialExecutor))
            if hasattr(module, "Barrier"):
                stack.enter_context(patch.object(module, "Barrier", lambda _parties: threading.Barrier(1)))
        stack.enter_context(patch.object(os, "urandom", names.randbytes))
        yield rng

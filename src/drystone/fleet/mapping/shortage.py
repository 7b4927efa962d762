"""How many placements have few epochs left: counted when something changed, and not for every monitor that asks."""

from __future__ import annotations

import time
from collections.abc import Callable

from drystone.fleet.mapping.epochs import is_short
from drystone.fleet.mapping.model import Model

_EVERY_SECONDS = 10.0
"""Placements change all the time in a large fleet, and it takes weeks from few to none."""


class Shortage:
    """The count of a model, and what it was counted from. :param now: a clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._model: Model | None = None
        self._version = -1
        self._until = 0.0
        self._count = 0

    def count(self, model: Model) -> int:
        """Of the model as it is, or was in the last ten seconds; all placements are looked at once in that time."""
        version = model.version  # before its placements: what is changed meanwhile is counted again
        if model is not self._model or (version != self._version and self._now() >= self._until):
            placements = tuple(model.placements.values())  # at once: the mapper's thread changes them
            self._count = sum(map(is_short, placements))
            self._model, self._version, self._until = model, version, self._now() + _EVERY_SECONDS
        return self._count

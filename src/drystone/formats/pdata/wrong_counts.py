"""A space map held against references that were counted: neighbours whose counts are off alike, as one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.bitmaps import UNKNOWN, CountBatch
from drystone.formats.pdata.counts import ReferenceCounts


@dataclass(frozen=True, slots=True)
class WrongCounts:
    """Neighbouring blocks `begin` to `end` - 1 that are referred to `due` times, `stored` in the space map."""

    begin: int
    end: int
    due: int
    stored: int


def iter_wrong_counts(
    batches: Iterable[CountBatch], counts: ReferenceCounts, *, partial: bool = False
) -> Iterator[WrongCounts]:
    """Runs of blocks whose count in a space map is not that of `counts`.

    :param batches: the space map. Counts that it has lost are not compared, nor those of blocks that do not exist.
    :param partial: `counts` may have missed references, as trees are damaged: only stored counts that are too low
        even so are told.
    """
    for batch in batches:
        due = counts.get_range(batch.begin, min(batch.begin + len(batch), counts.nr_blocks))
        stored = batch.counts[: len(due)]
        wrong = stored < due if partial else stored != due
        wrong &= stored != UNKNOWN
        places = np.flatnonzero(wrong)
        if len(places):
            yield from _join_runs(batch.begin, places, due[places], stored[places])


def _join_runs(begin: int, places: NDArray[Any], due: NDArray[Any], stored: NDArray[Any]) -> Iterator[WrongCounts]:
    breaks = (np.diff(places) != 1) | (np.diff(due.astype(np.int64)) != 0) | (np.diff(stored.astype(np.int64)) != 0)
    firsts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    lasts = np.concatenate((firsts[1:] - 1, [len(places) - 1]))
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        run = begin + int(places[first]), begin + int(places[last]) + 1
        yield WrongCounts(*run, int(due[first]), int(stored[first]))

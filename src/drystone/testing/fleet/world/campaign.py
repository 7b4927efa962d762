"""Many schedules, in several processes: what was met in all of them, and those that failed."""

from __future__ import annotations

import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from drystone.testing.fleet.world.history import HistoryError
from drystone.testing.fleet.world.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed that failed. :ivar log: what broke in it, and what the mappers decided."""

    seed: int
    why: str
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What came of the seeds `first` to `end` - 1. :ivar tally: what was met in those that passed, how often."""

    first: int
    end: int
    tally: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def run_seeds(first: int, end: int, mutants: frozenset[str] = frozenset()) -> Found:
    """Run the schedules of these seeds, in this process."""
    logging.disable()  # what each server logs is of no use in thousands of runs
    found = Found(first, end)
    for seed in range(first, end):
        schedule = Schedule(seed, mutants)
        try:
            schedule.run()
        except HistoryError as error:
            decided = (f"{each.at:.3f} {each.term} {each.subject} {each.why}" for each in schedule.decided())
            found.failures.append(Failure(seed, str(error), (*schedule.log, *decided)))
        found.tally.update(schedule.tally)
    return found


def run_campaign(
    first: int, end: int, mutants: frozenset[str] = frozenset(), *, jobs: int = 1, piece: int = 250
) -> Iterator[Found]:
    """Run the schedules of these seeds in `jobs` processes; what came of each piece, in the order of the seeds.

    :param piece: seeds that a process is given at a time.
    """
    pieces = [(begin, min(end, begin + piece), mutants) for begin in range(first, end, piece)]
    if jobs == 1:
        yield from (run_seeds(*each) for each in pieces)
        return
    with multiprocessing.get_context("forkserver").Pool(jobs) as pool:
        yield from pool.imap(_run_piece, pieces)


def _run_piece(piece: tuple[int, int, frozenset[str]]) -> Found:
    return run_seeds(*piece)

"""So many cases of every subject, counted: read, refused, failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from drystone.base.errors import DrystoneError
from drystone.testing.fuzz.limits import OverTimeError, forget_memory, limit_memory, limit_time, measure_memory, watch
from drystone.testing.fuzz.subjects import SUBJECTS, Subject

SECONDS = 5.0
"""Of the processor, for one case."""

MEMORY = 256 << 20
"""Bytes that the process may map in one case, beyond what it had mapped before."""

LONGEST_MESSAGE = 1000
"""Characters of what a refusal says: what is read may be quoted, and not without end."""

_ROUND = 100


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that was neither read nor refused.

    :ivar case: the subject's random source was made of `SUBJECT SEED CASE`. :ivar reason: the exception, in one line.
    """

    subject: str
    seed: int
    case: int
    reason: str
    data: bytes


@dataclass(slots=True)
class Tally:
    """What became of the cases of a subject.

    :ivar slowest: seconds of the processor that one case took at most.
    :ivar memory: bytes of the process that were resident at most.
    """

    subject: str
    cases: int = 0
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    memory: int = 0
    failures: list[Failure] = field(default_factory=list)


def run_subject(subject: Subject, cases: int, *, seed: int = 0, begin: int = 0) -> Tally:
    """Feed `cases` mutated cases to one subject. Repeatable: each case has a random source of its own."""
    tally = Tally(subject.name)
    forget_memory()
    for first in range(begin, begin + cases, _ROUND):
        with watch():
            for case in range(first, min(first + _ROUND, begin + cases)):
                _run_case(subject, seed, case, tally)
    tally.memory = measure_memory()
    return tally


def make_random(subject: Subject, seed: int, case: int) -> Random:
    """The random source of one case."""
    return Random(f"{subject.name} {seed} {case}")  # noqa: S311  # it repeats itself on purpose


def run_campaign(
    cases: int, *, seed: int = 0, names: Sequence[str] = (), tell: Callable[[Tally], None] = lambda _: None
) -> list[Tally]:
    """About `cases` cases, shared out among the subjects; a tally each.

    :param names: only subjects whose names begin so. :param tell: is called with each tally as it is there.
    """
    chosen = [each for each in SUBJECTS if not names or any(each.name.startswith(name) for name in names)]
    shares = sum(each.share for each in chosen)
    tallies: list[Tally] = []
    for subject in chosen:
        tallies.append(run_subject(subject, -(-cases * subject.share // shares), seed=seed))
        tell(tallies[-1])
    return tallies


def _run_case(subject: Subject, seed: int, case: int, tally: Tally) -> None:
    data = subject.make(make_random(subject, seed, case))
    before = time.process_time()
    reason = ""
    try:
        with limit_memory(MEMORY), limit_time(SECONDS):
            subject.feed(data)
        tally.read += 1
    except DrystoneError as error:
        tally.refused += 1
        if "\n" in error.message:
            reason = f"a message of several lines: {error.message!r}"
        elif len(error.message) > LONGEST_MESSAGE:
            reason = f"a message of {len(error.message)} characters: {error.message[:100]!r}"
    except OverTimeError:
        reason = f"took longer than {SECONDS} seconds"
    except Exception as error:  # noqa: BLE001  # the supervisor: what is no DrystoneError is what it looks for
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
    took = time.process_time() - before
    tally.cases += 1
    tally.seconds += took
    tally.slowest = max(tally.slowest, took)
    if reason:
        tally.failures.append(Failure(subject.name, seed, case, reason, data))

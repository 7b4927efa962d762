"""What clients asked and were told, and whether it is what one correct server could have told them.

Every change of a key has a version number (`seq`), given by whoever led. What was acknowledged, or read, before another
operation began must be older than what that one shows: so the numbers that operations are seen with must not go back.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Operation:
    """One of a client's.

    :ivar kind: put, create (put if there is nothing), delete or get. :ivar value: that was put, unique; of a get, what
        was read, "" for nothing. :ivar seq: of what was acknowledged or read, 0 for nothing that ever was.
    :ivar ended: when the answer came, None while there is none. :ivar times: how often a leader began it: a
        question that comes twice is done twice.
    """

    number: int
    kind: str
    key: tuple[str, str]
    begun: float
    value: str = ""
    seq: int = 0
    ended: float | None = None
    times: int = 0


class HistoryError(Exception):
    """What was found to be wrong."""


class History:
    """All operations of a run. :ivar leaders: (placement, epoch) to the server that acknowledged in it."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.leaders: dict[tuple[str, int], str] = {}
        self.removals: dict[tuple[str, str], set[int]] = {}
        """Numbers with which a key was removed, acknowledged or not, or its absence was told to other members."""

    def begin(self, kind: str, key: tuple[str, str], now: float, value: str = "") -> Operation:
        """A client asks."""
        operation = Operation(len(self.operations), kind, key, now, value)
        self.operations.append(operation)
        return operation

    def acknowledged(self, placement: str, epoch: int, server: str) -> None:
        """:raises HistoryError: another server has acknowledged in that epoch."""
        if self.leaders.setdefault((placement, epoch), server) != server:
            raise HistoryError(
                f"two leaders in epoch {epoch} of {placement}: {self.leaders[placement, epoch]} and {server}"
            )

    def check(self) -> None:
        """:raises HistoryError: an operation shows something older than what had ended before it began."""
        by_key: dict[tuple[str, str], list[Operation]] = {}
        twice = {each.value for each in self.operations if each.times > 1}
        for operation in self.operations:
            if operation.ended is not None:
                by_key.setdefault(operation.key, []).append(operation)
        for key, operations in by_key.items():
            ended = sorted(operations, key=lambda each: each.ended or 0.0)
            begun = sorted(operations, key=lambda each: each.begun)
            self._check_order(begun, ended)
            self._check_values(operations, self.removals.get(key, set()))
            self._check_returns(begun, twice)

    @staticmethod
    def _check_order(begun: list[Operation], ended: list[Operation]) -> None:
        newest = 0
        source: Operation | None = None
        done = 0
        for operation in begun:
            while done < len(ended) and (ended[done].ended or 0.0) < operation.begun:
                if ended[done].seq > newest:
                    newest, source = ended[done].seq, ended[done]
                done += 1
            fits = operation.seq >= newest if operation.kind == "get" else operation.seq > newest
            if not fits:
                raise HistoryError(f"{_spell(operation)} came after {_spell(source) if source else 'nothing'}")

    @staticmethod
    def _check_returns(begun: list[Operation], twice: set[str]) -> None:
        """Of one key: a value is put once, so what was followed by something else is not there again.

        Numbers alone do not say so: who leads gives the state that it has a new one.

        :param twice: values that were put twice.
        """
        known: dict[str, float] = {}
        for each in begun:
            known[each.value] = min(known.get(each.value, math.inf), each.ended or 0.0)
        find_other = _find_others(begun)
        for operation in begun:
            if operation.value and operation.value not in twice:
                other = find_other(known[operation.value], operation.value)
                if other is not None and (other.ended or 0.0) < operation.begun:
                    raise HistoryError(f"{_spell(operation)} is there again, after {_spell(other)}")

    @staticmethod
    def _check_values(operations: list[Operation], removals: set[int]) -> None:
        """Of one key: a number stands for one value, and what was created found nothing there."""
        by_seq: dict[int, Operation] = {}
        for operation in operations:
            same = by_seq.setdefault(operation.seq, operation)
            if same.value != operation.value:
                raise HistoryError(f"{_spell(operation)} and {_spell(same)} are the same change")
        before: Operation | None = None
        for _, operation in sorted(by_seq.items()):
            if (
                operation.kind == "create"
                and before is not None
                and before.value
                and not any(before.seq < number < operation.seq for number in removals)
            ):
                raise HistoryError(f"{_spell(operation)} though there was {_spell(before)}")
            before = operation


def _find_others(begun: list[Operation]) -> Callable[[float, str], Operation | None]:
    """Asks which operation that began after a moment and showed something else than a value was the first to end."""
    firsts: list[tuple[Operation, ...]] = [()]
    for operation in reversed(begun):
        by_end = sorted((*firsts[-1], operation), key=lambda each: each.ended or 0.0)
        other = next((each for each in by_end if each.value != by_end[0].value), None)
        firsts.append((by_end[0],) if other is None else (by_end[0], other))
    firsts.reverse()

    def find(moment: float, value: str) -> Operation | None:
        after = firsts[bisect.bisect_right(begun, moment, key=lambda each: each.begun)]
        return next((each for each in after if each.value != value), None)

    return find


def _spell(operation: Operation) -> str:
    """`get #12 of ns/h/k (at 103.2 to 103.3): v7, seq 1:5`."""
    return (
        f"{operation.kind} #{operation.number} of {'/'.join(operation.key)} "
        f"(at {operation.begun:.3f} to {operation.ended or 0.0:.3f}): "
        f"{operation.value or 'nothing'}, seq {operation.seq >> 40}:{operation.seq & (1 << 40) - 1}"
    )

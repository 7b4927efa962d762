"""Checks what clients saw of a store: whether each key behaved as one register, whatever happened to the servers.

Inspiration: G. Lowe, "Testing for linearizability", and Wing & Gong's search. For each key an order of its actions is
looked for that agrees with real time and with what a register does. Every value written is different, so a read tells
which write it saw. An action whose answer was lost may have happened at any time after it began, or never. Cost:
exponential in the actions under way at the same time (few), linear in all others.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["put", "create", "delete", "read", "refused"]
"""`create` is a put if there is nothing; `refused` one that was told that there is something."""

ABSENT = ""
_STATES = 2_000_000


@dataclass(frozen=True, slots=True)
class Action:
    """Something done with one key.

    :ivar value: written or read, ABSENT for none; unused in `refused`. :ivar begun: monotonic seconds; :ivar ended:
        likewise, infinite when the answer was lost. :ivar who: for people.
    """

    key: str
    kind: Kind
    value: str
    begun: float
    ended: float
    who: str = ""

    @property
    def sure(self) -> bool:
        """Whether it has happened."""
        return self.ended != math.inf

    def apply(self, value: str) -> str | None:
        """What the register holds after it when it held `value` before; None when it cannot happen then."""
        match self.kind:
            case "put":
                return self.value
            case "create":
                return self.value if value == ABSENT else None
            case "delete":
                return ABSENT
            case "read":
                return value if value == self.value else None
            case "refused":
                return value if value != ABSENT else None

    def __str__(self) -> str:
        ended = f"{self.ended:.3f}" if self.sure else "never"
        return f"{self.begun:.3f} to {ended}: {self.kind} {self.value or 'nothing'} ({self.who})"


_SOMETHING = "something that nobody read"


class History:
    """Actions as they end, from any thread. :ivar actions: so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self.actions: list[Action] = []

    def now(self) -> float:
        """Seconds since the history began."""
        return time.monotonic() - self._start

    def add(self, action: Action) -> None:
        """Note an action. One that certainly did not happen is not noted."""
        with self._lock:
            self.actions.append(action)

    def check(self) -> list[str]:
        """What is wrong: one text a key."""
        with self._lock:
            actions = list(self.actions)
        keys = sorted({each.key for each in actions})
        found = (find_fault(key, [each for each in actions if each.key == key]) for key in keys)
        return [each for each in found if each]


def find_fault(key: str, actions: Sequence[Action]) -> str:
    """Why the actions on one key are none of a register that was empty at first; "" when they are."""
    written = {each.value for each in actions if each.kind in {"put", "create"}}
    for each in actions:
        if each.kind == "read" and each.value != ABSENT and each.value not in written:
            return f"{key}: a value that nobody wrote: {each}"
    ordered = sorted(_that_matter(actions), key=lambda each: each.begun)
    furthest = _search(ordered)
    if furthest is None:
        return ""
    lines = "\n".join(f"  {'* ' if index == furthest else '  '}{each}" for index, each in enumerate(ordered))
    return f"{key}: no order explains what was seen; it fails at the action with a star:\n{lines}"


def _that_matter(actions: Sequence[Action]) -> Iterable[Action]:
    """Without reads that were lost, and without lost writes of what nobody saw.

    Whoever was refused saw that there is something, and not what: one lost write explains one refusal, where there was
    nothing, and one that began earlier does it as well as any. So as many of them are kept as there are refusals, all
    alike.
    """
    read = {each.value for each in actions if each.kind == "read"}
    refused = [each.ended for each in actions if each.kind == "refused"]
    unread = []
    for each in actions:
        if each.sure or each.kind == "delete" or (each.kind in {"put", "create"} and each.value in read):
            yield each
        elif each.kind in {"put", "create"} and each.begun < max(refused, default=-math.inf):
            unread.append(each)
    for each in sorted(unread, key=lambda each: each.begun)[: len(refused)]:
        yield Action(each.key, "create", _SOMETHING, each.begun, each.ended, each.who)


def _search(ordered: Sequence[Action]) -> int | None:
    """None when there is an order; else the index of the first action that no order gets past."""
    ends = sorted((each.ended, index) for index, each in enumerate(ordered) if each.sure)
    needed = sum(1 << index for _, index in ends)
    seen: set[tuple[int, str]] = set()
    waiting: list[tuple[int, str]] = [(0, ABSENT)]
    furthest = 0
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        assert len(seen) < _STATES, "too many actions at the same time to check them"
        done, value = state
        if done & needed == needed:
            return None
        # What ended first of those that are to come bounds what may come next.
        until, first = next((end, index) for end, index in ends if not done >> index & 1)
        furthest = max(furthest, first, key=lambda index: ordered[index].ended)
        for index in _candidates(ordered, done, until):
            after = ordered[index].apply(value)
            if after is not None:
                waiting.append((done | 1 << index, after))
    return furthest


def _candidates(ordered: Sequence[Action], done: int, until: float) -> Iterable[int]:
    """Actions that may come next: not done, and begun before the first of the others ended.

    Of lost writes that nobody read the first, and only where somebody may be refused next.
    """
    found: list[int] = []
    unread: list[int] = []
    for index, each in enumerate(ordered):
        if each.begun > until:
            break
        if not done >> index & 1:
            (unread if each.value == _SOMETHING else found).append(index)
    if any(ordered[index].kind == "refused" for index in found):
        found += unread[:1]
    return found

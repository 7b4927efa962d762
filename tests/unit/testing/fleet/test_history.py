from __future__ import annotations

import math
import random

import pytest

from drystone.testing.fleet.history import ABSENT, Action, History, Kind, find_fault

LOST = math.inf


def act(kind: Kind, value: str, begun: float, ended: float) -> Action:
    return Action("key", kind, value, begun, ended)


RIGHT = {
    "nothing": [],
    "a put is read": [act("put", "a", 0, 1), act("read", "a", 2, 3)],
    "a read meanwhile sees either": [
        act("put", "a", 0, 1),
        act("put", "b", 2, 9),
        act("read", "b", 3, 4),
        act("read", "b", 5, 6),
    ],
    "a lost put may show later": [
        act("put", "a", 0, 1),
        act("put", "b", 2, LOST),
        act("read", "a", 3, 4),
        act("read", "b", 5, 6),
    ],
    "a lost put may never happen": [act("put", "a", 0, 1), act("put", "b", 2, LOST), act("read", "a", 3, 4)],
    "a lost delete may show later": [
        act("put", "a", 0, 1),
        act("delete", ABSENT, 2, LOST),
        act("read", "a", 3, 4),
        act("read", ABSENT, 5, 6),
    ],
    "one of two creates is refused": [act("create", "a", 0, 5), act("refused", "", 0, 5), act("read", "a", 6, 7)],
    "refused by a lost put that nobody read": [
        act("put", "a", 0, LOST),
        act("refused", "", 1, 2),
        act("put", "b", 3, 4),
        act("read", "b", 5, 6),
    ],
    "refused by lost creates, twice": [
        *(act("create", f"{number}", number, LOST) for number in range(8)),
        act("refused", "", 8, 9),
        act("delete", ABSENT, 10, 11),
        act("refused", "", 12, 13),
    ],
    "two creates with a delete between them": [
        act("create", "a", 0, 1),
        act("delete", ABSENT, 2, 3),
        act("create", "b", 4, 5),
    ],
}
WRONG = {
    "a put is lost": [act("put", "a", 0, 1), act("read", ABSENT, 2, 3)],
    "an old value": [act("put", "a", 0, 1), act("put", "b", 2, 3), act("read", "a", 4, 5)],
    "a value that goes back": [
        act("put", "a", 0, 1),
        act("put", "b", 2, LOST),
        act("read", "b", 3, 4),
        act("read", "a", 5, 6),
    ],
    "a value of nobody": [act("put", "a", 0, 1), act("read", "x", 2, 3)],
    "a value before it was written": [act("read", "a", 0, 1), act("put", "a", 2, 3)],
    "a delete that comes undone": [act("put", "a", 0, 1), act("delete", ABSENT, 2, 3), act("read", "a", 4, 5)],
    "two creates": [act("create", "a", 0, 1), act("create", "b", 0, 1)],
    "refused twice by one lost put": [
        act("put", "a", 0, LOST),
        act("refused", "", 1, 2),
        act("delete", ABSENT, 3, 4),
        act("refused", "", 5, 6),
    ],
    "refused by what came later": [act("refused", "", 0, 1), act("put", "a", 2, LOST)],
    "refused by nothing": [act("refused", "", 0, 1), act("put", "a", 2, 3)],
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_a_register_does_is_right(name: str) -> None:
    assert find_fault("key", RIGHT[name]) == ""


@pytest.mark.parametrize("name", WRONG)
def test_what_no_register_does_is_found(name: str) -> None:
    assert find_fault("key", WRONG[name]).startswith("key: ")


def run_register(seed: int, *, actions: int = 120, writers: int = 4) -> list[Action]:
    """What clients see of a register: each action takes effect at some moment between its ends."""
    source = random.Random(seed)
    moments = []
    for who in range(writers):
        at = source.random()
        for number in range(actions // writers):
            length = source.uniform(0.1, 2)
            kind = source.choice(("put", "create", "delete", "read", "read"))
            moments.append((at + length * source.random(), at, at + length, kind, f"{who}.{number}"))
            at += length + source.uniform(0, 0.3)
    value, seen = ABSENT, []
    for _, begun, ended, kind, name in sorted(moments):
        lost = source.random() < 0.1 and kind in {"put", "delete"}
        if kind == "read":
            seen.append(act("read", value, begun, ended))
        elif kind == "create" and value != ABSENT:
            seen.append(act("refused", "", begun, ended))
        else:
            happens = not lost or source.random() < 0.5
            written = ABSENT if kind == "delete" else name
            value = written if happens else value
            seen.append(act(kind, written, begun, LOST if lost else ended))  # type: ignore[arg-type]
    return seen


@pytest.mark.parametrize("seed", range(10))
def test_histories_of_a_register_are_right(seed: int) -> None:
    assert find_fault("key", run_register(seed)) == ""


@pytest.mark.parametrize("seed", range(10))
def test_a_read_of_something_else_is_found(seed: int) -> None:
    """The last read, after all else, is given the value of a write that was overwritten for certain."""
    history = run_register(seed)
    late = max(each.ended for each in history if each.sure)
    old = next(each for each in history if each.sure and each.kind in {"put", "create"})
    history += [act("put", "late", late + 1, late + 2), act("read", old.value, late + 3, late + 4)]
    assert find_fault("key", history).startswith("key: no order")


def test_a_history_checks_each_key() -> None:
    history = History()
    history.add(Action("one", "put", "a", 0, 1))
    history.add(Action("two", "put", "b", 0, 1))
    history.add(Action("one", "read", "a", 2, 3))
    assert history.check() == []
    history.add(Action("two", "read", "a", 2, 3))
    (fault,) = history.check()
    assert fault.startswith("two: a value that nobody wrote")

"""Any order of updates, reverts, expansions, losses, crashes and recoveries against a model of two values.

A crash is the end of the process at any write or flush; what was written before stays. What the regions may lose at a
power cut is the enumeration's business (tests of `replicate`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drystone.base.errors import MismatchError, NotFoundError
from drystone.dvm.discovery.devices import Devices, GroupDevice, GroupReference, Span
from drystone.dvm.transactions.survey import Survey, explain, list_seats, survey
from drystone.dvm.transactions.transact import expand, log, read, recover, reduce, revert, update

GROUP = GroupReference("vg", "00000000-0000-4000-8000-0000000000a1")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
PAGES = 64
MOST = 4


class DeadError(BaseException):
    """The process is gone."""


class Budget:
    """How many writes and flushes are left; None: no end."""

    def __init__(self) -> None:
        self.left: int | None = None

    def take(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise DeadError


class Region:
    is_cached = False

    def __init__(self, name: str, budget: Budget) -> None:
        self.name = name
        self.pages = PAGES
        self.budget = budget
        self.data = bytearray(PAGES * 4096)

    def read(self, page: int, count: int) -> bytes:
        return bytes(self.data[page * 4096 : (page + count) * 4096])

    def write(self, page: int, data: bytes) -> None:
        self.budget.take()
        self.data[page * 4096 : page * 4096 + len(data)] = data

    def flush(self) -> None:
        self.budget.take()


class Group(RuleBasedStateMachine):
    """`values`: what the metadata may be; one value when nothing was cut short since the last look."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget()
        self.regions = [Region(f"/dev/{number}", self.budget) for number in range(MOST)]
        self.inside: set[int] = set()
        self.there: list[int] = []
        self.values: list[Any] = [None]
        self.counter = 0

    def look(self) -> Survey:
        devices = [
            GroupDevice(f"uuid-{number}", f"/dev/{number}", 1 << 20, (), (Span(1, 65),)) for number in self.there
        ]
        document = Devices(group=GROUP, devices=tuple(devices))
        return survey(document, list_seats(document), [self.regions[number] for number in self.there])

    def attempt(self, act: Callable[[], object], crash: int | None) -> bool:
        """Whether it came to its end."""
        self.budget.left = crash
        try:
            act()
        except DeadError:
            return False
        finally:
            self.budget.left = None
        return True

    def settle(self) -> None:
        """After a crash: recovered, and of the values that may be, the one that is."""
        recover(self.look(), ("recover",), NOW)
        found = json.loads(bytes(read(self.look())[1].metadata))
        assert found in self.values
        self.values = [found]

    @initialize(count=st.integers(1, 3), crash=st.none() | st.integers(0, 20))
    def begin(self, count: int, crash: int | None) -> None:
        self.there = list(range(count))
        self.inside = set(self.there)
        if not self.attempt(lambda: expand(self.look(), ("expand",), NOW, keep=4), crash):
            with contextlib.suppress(NotFoundError):  # it had not begun
                recover(self.look(), ("recover",), NOW)
            expand(self.look(), ("expand",), NOW, keep=4)

    @rule(crash=st.none() | st.integers(0, 30), size=st.sampled_from([0, 10, 9000]))
    def put(self, crash: int | None, size: int) -> None:
        self.counter += 1
        value = {"n": self.counter, "text": "x" * size}
        text = json.dumps(value).encode()
        if self.attempt(lambda: update(self.look(), lambda _: text, ("update",), NOW), crash):
            self.values = [value]
        else:
            self.values.append(value)
            self.settle()

    @rule(back=st.integers(0, 3), crash=st.none() | st.integers(0, 30))
    def go_back(self, back: int, crash: int | None) -> None:
        versions = log(self.look()).versions
        chosen = versions[min(back, len(versions) - 1)]
        value = json.loads(bytes(read(self.look(), f"@{chosen.sequence}")[1].metadata))
        if self.attempt(lambda: revert(self.look(), f"@{chosen.sequence}", ("revert",), NOW), crash):
            self.values = [value]
        else:
            self.values.append(value)
            self.settle()

    @precondition(lambda self: len(self.inside) < MOST)
    @rule(crash=st.none() | st.integers(0, 40))
    def grow(self, crash: int | None) -> None:
        new = next(number for number in range(MOST) if number not in self.inside)
        self.there = sorted({*self.inside, new})
        if not self.attempt(lambda: expand(self.look(), ("expand",), NOW, overwrite=True), crash):
            self.settle()
            expand(self.look(), ("expand",), NOW, overwrite=True)
        self.inside.add(new)

    @precondition(lambda self: len(self.inside) > 1)
    @rule(crash=st.none() | st.integers(0, 30))
    def shrink(self, crash: int | None) -> None:
        gone = max(self.inside)
        if not self.attempt(lambda: reduce(self.look(), [f"/dev/{gone}"], ("reduce",), NOW), crash):
            self.settle()
            reduce(self.look(), [f"/dev/{gone}"], ("reduce",), NOW)
        self.inside.discard(gone)
        self.there = sorted(self.inside)

    @precondition(lambda self: len(self.inside) > 1)
    @rule(which=st.integers(0, MOST), crash=st.none() | st.integers(0, 30))
    def lose(self, which: int, crash: int | None) -> None:
        lost = sorted(self.inside)[which % len(self.inside)]
        self.there = sorted(self.inside - {lost})
        try:
            read(self.look())
        except (MismatchError, NotFoundError):
            pass
        else:
            raise AssertionError("a missing device was not missed")
        if not self.attempt(lambda: recover(self.look(), ("recover",), NOW), crash):
            self.settle()
        self.inside.discard(lost)

    @invariant()
    def all_is_there(self) -> None:
        if not self.there:
            return
        found = self.look()
        assert explain(found).complete, explain(found).findings
        assert [json.loads(bytes(read(found)[1].metadata))] == self.values

    @invariant()
    def devices_that_left_change_nothing(self) -> None:
        """All devices come back at once: the group reads the same, or says that it cannot decide."""
        if not self.there:
            return
        before = self.there
        self.there = list(range(MOST))
        try:
            with contextlib.suppress(MismatchError):
                assert [json.loads(bytes(read(self.look())[1].metadata))] == self.values
        finally:
            self.there = before


TestGroup = Group.TestCase
TestGroup.settings = settings(max_examples=25, stateful_step_count=10, deadline=None)

"""Processes that share a store, stepped by a test: every operation of each waits until the test lets it go on.

A process is a function of a store, run by a thread; the test decides who does its next store operation, and whether the
process dies before it, after it, or before an operation that arrives later all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import Enum

from drystone.store.abc import Data, Store
from drystone.testing.stores import Killed

_PATIENCE = 60.0
"""Seconds until a process that neither asks nor ends is a defect."""


class Fate(Enum):
    """What becomes of an operation, and of who does it."""

    DONE = "done"
    KILLED = "killed before it"
    KILLED_AFTER = "killed after it"
    LATE = "killed, and it arrives later"


class Process:
    """A function of a store, stepped. `outcome`: what it returned, or how it failed; None while it runs or was killed.

    One operation at a time: threads of its own stand in a queue.
    """

    def __init__(self, inner: Store, work: Callable[[Store], object], late: list[Callable[[], object]]) -> None:
        self._inner = inner
        self._work = work
        self._late = late
        self._state = threading.Condition()
        self._turn = threading.Lock()
        self._asking = False
        self._fate: Fate | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.killed = False
        self.ended = False
        self.outcome: object = None
        self.error: BaseException | None = None

    def start(self) -> None:
        """Let it run up to its first operation."""
        self._thread.start()
        self._await()

    def step(self, fate: Fate = Fate.DONE) -> None:
        """Let it do the operation that it asks for, and run up to the next one."""
        if self.ended:
            return
        with self._state:
            assert self._asking
            self._fate = fate
            self._asking = False
            self._state.notify_all()
        self._await()

    def finish(self) -> None:
        """Let it go on to its end."""
        while not self.ended:
            self.step()

    def _await(self) -> None:
        with self._state:
            assert self._state.wait_for(lambda: self._asking or self.ended, _PATIENCE), "a process hangs"
        if self.ended:
            self._thread.join()

    def _run(self) -> None:
        try:
            self.outcome = self._work(Stepped(self, self._inner))
        except BaseException as error:  # noqa: BLE001  # a supervisor: the test looks at what it was
            self.error = error
        finally:
            with self._state:
                self.ended = True
                self._state.notify_all()

    def ask(self, operation: Callable[[], object], *, changes: bool) -> object:
        """Called by the process: wait for the operation's fate. :raises Killed: the process died."""
        with self._turn:
            return self._ask(operation, changes=changes)

    def _ask(self, operation: Callable[[], object], *, changes: bool) -> object:
        with self._state:
            if self.killed:
                raise Killed
            self._asking = True
            self._state.notify_all()
            self._state.wait_for(lambda: not self._asking)
            fate = self._fate
            self.killed = fate is not Fate.DONE
        if fate is Fate.KILLED or (fate is Fate.LATE and not changes):
            raise Killed
        if fate is Fate.LATE:
            self._late.append(operation)
            raise Killed
        result = operation()
        if fate is Fate.KILLED_AFTER:
            raise Killed
        return result


class Stepped:
    """The store as a process sees it."""

    def __init__(self, process: Process, inner: Store) -> None:
        self._process = process
        self._inner = inner

    def put_if_absent(self, key: str, data: Data) -> bool:
        """When it is let go on."""
        copied = bytes(data)
        return bool(self._process.ask(lambda: self._inner.put_if_absent(key, copied), changes=True))

    def get(self, key: str) -> bytes:
        """When it is let go on."""
        found = self._process.ask(lambda: self._inner.get(key), changes=False)
        assert isinstance(found, bytes)
        return found

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """When it is let go on."""
        found = self._process.ask(lambda: self._inner.get_range(key, offset, length), changes=False)
        assert isinstance(found, bytes)
        return found

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """When it is let go on; as of then."""
        found = self._process.ask(lambda: list(self._inner.list(prefix)), changes=False)
        assert isinstance(found, list)
        return iter(found)

    def delete(self, key: str) -> None:
        """When it is let go on."""
        self._process.ask(lambda: self._inner.delete(key), changes=True)

    def clean(self) -> int:
        """There is nothing to clean."""
        return 0

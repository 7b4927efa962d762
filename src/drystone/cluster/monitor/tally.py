"""What a monitor has done since it began, counted for Prometheus: rounds, and calls of agents with what came of them.

It decides nothing: all of it may be forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any

from drystone.base.errors import DrystoneError
from drystone.cluster.agents.answers import Survey
from drystone.cluster.model.backup import BackupSeen, BackupWish, RestoreWish
from drystone.cluster.monitor.rounds import AnyAgent

DONE = "done"


class Tally:
    """The counts; several threads may count. The constructor has no effects.

    :param clock: seconds. :param forgets: seconds after which an address that is not asked any more is left out.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic, forgets: float = 60.0) -> None:
        self._clock = clock
        self._forgets = forgets
        self._lock = Lock()
        self._begun = clock()
        self._rounds: Counter[str] = Counter()
        self._last_round: float | None = None
        self._calls: Counter[tuple[str, str]] = Counter()
        self._asked: dict[str, float] = {}
        self._answered: dict[str, float] = {}

    def count_round(self, result: str) -> None:
        """One is over. :param result: `done`, `idle` when it was another monitor's turn, `failed`."""
        with self._lock:
            self._rounds[result] += 1
            if result != "failed":
                self._last_round = self._clock()

    @contextmanager
    def counting(self, call: str, address: str) -> Iterator[None]:
        """Count the call of an agent that the block makes, by its error's code or as `done`."""
        result = "defect"
        try:
            yield
            result = DONE
        except DrystoneError as error:
            result = error.code
            raise
        finally:
            with self._lock:
                self._calls[call, result] += 1
                if call == "survey":
                    now = self._clock()
                    self._answered.setdefault(address, now if result == DONE else self._begun)
                    self._asked[address] = now
                    if result == DONE:
                        self._answered[address] = now

    def rounds(self) -> dict[str, int]:
        """How many came to what."""
        with self._lock:
            return dict(self._rounds)

    def round_age(self) -> float:
        """Seconds since one that did not fail, or since the beginning."""
        with self._lock:
            return self._clock() - (self._begun if self._last_round is None else self._last_round)

    def calls(self) -> dict[tuple[str, str], int]:
        """How many calls came to what."""
        with self._lock:
            return dict(self._calls)

    def look_ages(self) -> dict[str, float]:
        """Seconds since agents answered a look last, by address; of one that never did since the beginning."""
        with self._lock:
            now = self._clock()
            for address in [each for each, at in self._asked.items() if now - at > self._forgets]:
                del self._asked[address], self._answered[address]
            return {address: now - at for address, at in self._answered.items()}


class CountedAgent:
    """An agent whose calls are counted. The constructor has no effects."""

    def __init__(self, agent: AnyAgent, address: str, tally: Tally) -> None:
        self._agent = agent
        self._address = address
        self._tally = tally

    def put(self, wish: Any) -> Any:
        """As the agent's."""
        with self._tally.counting("put", self._address):
            return self._agent.put(wish)

    def look(self, dlv: str, kind: type[Any]) -> Any:
        """As the agent's."""
        with self._tally.counting("look", self._address):
            return self._agent.look(dlv, kind)

    def survey(self) -> Survey:
        """As the agent's."""
        with self._tally.counting("survey", self._address):
            return self._agent.survey()

    def back_up(self, wish: BackupWish) -> BackupSeen:
        """As the agent's."""
        with self._tally.counting("back_up", self._address):
            return self._agent.back_up(wish)

    def stop_backup(self, backup: str) -> None:
        """As the agent's."""
        with self._tally.counting("stop_backup", self._address):
            self._agent.stop_backup(backup)

    def restore(self, wish: RestoreWish) -> BackupSeen:
        """As the agent's."""
        with self._tally.counting("restore", self._address):
            return self._agent.restore(wish)

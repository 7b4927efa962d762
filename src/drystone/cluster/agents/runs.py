"""What an ihost's agent does for long: each in a thread of its own, asked for again and again, ended at will.

Nothing is noted on disk: whoever asked asks again after a kill.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Generic, NoReturn, TypeVar

from msgspec.structs import replace

from drystone.base.errors import BusyError, DrystoneError, NotFoundError
from drystone.cluster.model.backup import BackupSeen, BackupWish, RestoreWish

log = logging.getLogger(__name__)

Wish = TypeVar("Wish", BackupWish, RestoreWish)

_REMEMBERED = 100
"""Runs that have ended, whose outcome is told again."""
_STOP_SECONDS = 20.0
"""That a run has to end: a chunk may be on its way from or to a slow store."""


class _StoppedError(Exception):
    """It was to end."""


@dataclass(slots=True)
class Run(Generic[Wish]):
    """One under way. :ivar ended: nothing of it runs any more."""

    wish: Wish
    seen: BackupSeen
    stop: Event = field(default_factory=Event)
    ended: Event = field(default_factory=Event)

    def note(self, done: int, total: int) -> None:
        """Have it be told how far it is, in bytes. It ends here when it is to end."""
        if self.stop.is_set():
            self.give_up()
        self.seen = replace(self.seen, done=done, total=total)

    def give_up(self) -> NoReturn:
        """End it here; that it was begun is forgotten, so that it is begun anew when it is asked for again."""
        raise _StoppedError("it was to end")


class Runs(Generic[Wish]):
    """All of a kind. The constructor has no effects.

    :param what: they are, in words, such as `backup`. :param work: does one, and says how it ended.
    :param stop_seconds: that one has to end when it is to.
    """

    def __init__(
        self, what: str, work: Callable[[Run[Wish]], BackupSeen], *, stop_seconds: float = _STOP_SECONDS
    ) -> None:
        self._what = what
        self._stop_seconds = stop_seconds
        self._work: Callable[[Run[Wish]], BackupSeen] = work
        self._guard = Lock()
        self._runs: OrderedDict[str, Run[Wish]] = OrderedDict()

    def find(self, wish: str) -> BackupSeen | None:
        """How the one of that id stands; None: nothing is known of it."""
        with self._guard:
            run = self._runs.get(wish)
        return None if run is None else run.seen

    def put(self, wish: Wish) -> BackupSeen:
        """Begin it, unless it was begun; how it stands. :raises BusyError: another one of the dlv is under way."""
        with self._guard:
            run = self._runs.get(wish.id)
            if run is None:
                for other in self._runs.values():
                    if other.wish.dlv == wish.dlv and not other.ended.is_set():
                        raise BusyError(f"{self._what} {other.wish.id} of dlv {wish.name} is under way")
                run = self._runs[wish.id] = Run(wish, BackupSeen(wish.id, "running"))
                Thread(target=self._run, args=(run,), name=f"{self._what}-{wish.id}", daemon=True).start()
                self._forget()
            return run.seen

    def stop(self, wish: str) -> None:
        """End one; when this returns nothing of it runs, and nothing is known of it.

        :raises NotFoundError: it is not known. :raises BusyError: it does not end; ask again.
        """
        if not self._end_all(lambda run: run.wish.id == wish):
            raise NotFoundError(f"there is no {self._what} {wish[:100]!r} here")

    def leave(self, dlv: str, *, forget: bool = False) -> None:
        """End those of a dlv (its id). :raises BusyError: one does not end.

        :param forget: what became of those that have ended, too.
        """
        self._end_all(lambda run: run.wish.dlv == dlv and (forget or not run.ended.is_set()))

    def _end_all(self, is_meant: Callable[[Run[Wish]], bool]) -> bool:
        """End runs, also those that are begun anew while others are waited for; whether there was any."""
        was_any = False
        while True:
            with self._guard:
                runs = [run for run in self._runs.values() if is_meant(run)]
            if not runs:
                return was_any
            was_any = True
            for run in runs:
                self._end(run)

    def _end(self, run: Run[Wish]) -> None:
        run.stop.set()
        if not run.ended.wait(self._stop_seconds):
            raise BusyError(f"{self._what} {run.wish.id} has not ended yet", hint="try again")
        self._drop(run)

    def _drop(self, run: Run[Wish]) -> None:
        """Know nothing of it any more. What was begun anew since, by the same id, is another one."""
        with self._guard:
            if self._runs.get(run.wish.id) is run:
                del self._runs[run.wish.id]

    def _forget(self) -> None:
        for key in [key for key, run in self._runs.items() if run.ended.is_set()][:-_REMEMBERED]:
            del self._runs[key]

    def _run(self, run: Run[Wish]) -> None:
        try:
            run.seen = self._work(run)
        except _StoppedError:
            log.info("%s %s of dlv %s was ended", self._what, run.wish.id, run.wish.name)
            self._drop(run)  # also when nobody waits for its end any more: it is begun anew when it is asked for
        except DrystoneError as error:
            log.warning("%s %s of dlv %s: %s", self._what, run.wish.id, run.wish.name, error)
            run.seen = replace(run.seen, status="failed", reason=error.message)
        except Exception as error:  # the supervisor of the thread: whatever it is, it has ended
            log.exception("%s %s of dlv %s", self._what, run.wish.id, run.wish.name)
            run.seen = replace(run.seen, status="failed", reason=f"a defect: {type(error).__name__}")
        finally:
            run.ended.set()

"""Questions to the kernel that may wait for a disk: each is asked in a thread of its own, and given up after a while.

A thread that waits in the kernel cannot be ended. So there is one at most of each name: while it waits, nobody else is
sent after it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Asides(Generic[Answer]):
    """Questions of a kind, by name. :param seconds: that an answer is waited for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._guard = Lock()
        self._waiting: dict[str, Future[Answer]] = {}

    def ask(self, name: str, question: Callable[[], Answer]) -> Answer | None:
        """The answer; None: there was none in time, or an earlier question of that name waits still.

        :raises BaseException: what the question raised.
        """
        with self._guard:
            earlier = self._waiting.get(name)
            if earlier is not None and not earlier.done():
                return None
            answer = self._waiting[name] = Future[Answer]()
        Thread(target=_answer, args=(question, answer), daemon=True).start()
        try:
            return answer.result(self._seconds)
        except TimeoutError:
            return None


def _answer(question: Callable[[], Answer], answer: Future[Answer]) -> None:
    try:
        answer.set_result(question())
    except BaseException as error:  # noqa: BLE001 - raised where the question was asked
        answer.set_exception(error)

"""A warm Python interpreter in a guest: functions are called there without paying an interpreter's start (143 ms)."""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.lab.command import Command, Sink

_KEPT = 64 << 10
"""Bytes of stderr that are kept for messages."""


class Host(Protocol):
    """Where a command can be begun: a guest."""

    def start(self, argv: Sequence[str], *, stdout: Sink, stderr: Sink) -> Command:
        """Begin a command."""


class Python:
    """The interpreter, for one thread at a time. The constructor has no effects; the first call starts it.

    with guest.python() as python:
        size = python.call("os.path:getsize", "/etc/hosts")
        python.call(function_of_a_test_file, "/dev/nbd0", count=3)
    """

    def __init__(self, guest: Host) -> None:
        self._guest = guest
        self._command: Command | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._partial = b""
        self._stderr = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(
        self, target: str | Callable[..., object], *args: object, timeout: float | None = None, **kwargs: object
    ) -> Any:
        """Call a function there with JSON values; its value, as JSON gives it back. `timeout` is in seconds.

        :param target: `package.module:function`, `/path/file.py:function`, or a function of a file that the guest sees.
        :raises DrystoneError: the function raised; its traceback is a note of the error and the fact `traceback`.
        :raises TimedOutError: it took longer; the interpreter is ended. :raises UnavailableError: it ended.
        """
        place = target if isinstance(target, str) else f"{target.__code__.co_filename}:{target.__qualname__}"
        command = self._command or self._start()
        command.write(json.dumps({"target": place, "args": args, "kwargs": kwargs}).encode() + b"\n")
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            self.close()
            raise TimedOutError(f"{place} did not end within {timeout:g} s in the guest") from None
        if line is None:
            self.close()
            text = self._stderr.decode(errors="replace").strip()
            raise UnavailableError(f"the interpreter in the guest ended during {place}", stderr=text)
        answer = json.loads(line)
        if "error" in answer:
            failure = DrystoneError(f"{place} in the guest: {answer['error']}", traceback=answer["traceback"])
            failure.add_note(answer["traceback"])
            raise failure
        return answer["value"]

    def _start(self) -> Command:
        self._lines, self._partial = queue.Queue(), b""
        lines = self._lines
        self._command = self._guest.start(
            [sys.executable, "-m", "drystone.lab.guest.warm"], stdout=self._take, stderr=self._keep
        )
        self._command.drain(lambda: lines.put(None))
        return self._command

    def _take(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._lines.put(line)

    def _keep(self, data: bytes) -> None:
        self._stderr += data
        del self._stderr[:-_KEPT]

    @property
    def printed(self) -> str:
        """What the functions have printed, its last part."""
        return self._stderr.decode(errors="replace")

    def close(self) -> None:
        """End the interpreter; the next call starts another."""
        if self._command is not None:
            self._command.close()
            self._command = None

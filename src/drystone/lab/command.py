"""A command in a guest: its streams, its end, its result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.lab.control import Connection, error_from
from drystone.lab.frames import PIECE, WINDOW, Header

Sink = Callable[[bytes], object]

_KILL = 9
_KILL_SECONDS = 5.0
"""How long a killed command may take until its end is known."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended. `status` is its exit code, or minus the number of the signal that ended it."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode(errors="replace")

    @property
    def exit_code(self) -> int:
        """As a shell counts it: 128 + n after signal n."""
        return self.status if self.status >= 0 else 128 - self.status

    def check(self) -> Result:
        """Itself, when the command succeeded.

        :raises DrystoneError: it did not; the last line of its stderr is in the message.
        """
        if self.status != 0:
            lines = self.stderr.decode(errors="replace").strip().splitlines()
            last = f": {lines[-1]}" if lines else ""
            raise DrystoneError(
                f"{self.argv[0]} ended with {self.exit_code} in the guest{last}",
                argv=list(self.argv),
                status=self.status,
                stderr=self.stderr.decode(errors="replace"),
            )
        return self


class Command:
    """A command that runs in a guest. `pump` moves its output into the sinks until it has ended.

    Somebody must pump: `wait` does; or `drain` starts a thread for it. Input is written by any thread.
    """

    def __init__(self, connection: Connection, argv: Sequence[str], stdout: Sink, stderr: Sink) -> None:
        self.argv = tuple(argv)
        self.status: int | None = None
        self._connection = connection
        self._sinks = {"out": stdout, "err": stderr}
        self._credit = WINDOW
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._failure: DrystoneError | None = None

    def write(self, data: bytes) -> None:
        """Give `data` to the command's standard input; waits while the command takes none. Ended: it is dropped."""
        view = memoryview(data)
        while view:
            with self._lock:
                self._lock.wait_for(lambda: self._credit > 0 or self._over)
                if self._over:
                    return
                piece = view[: min(PIECE, self._credit)]
                self._credit -= len(piece)
                self._connection.send({"do": "in"}, bytes(piece))
            view = view[len(piece) :]

    @property
    def _over(self) -> bool:
        return self.status is not None or self._failure is not None

    def close_input(self) -> None:
        """End of the command's standard input."""
        self._tell({"do": "eof"})

    def signal(self, number: int) -> None:
        """Send a signal to the command's process group."""
        self._tell({"do": "signal", "number": number})

    def resize(self, rows: int, columns: int) -> None:
        """Tell the command's terminal its new size in characters."""
        self._tell({"do": "resize", "terminal": [rows, columns]})

    def _tell(self, header: Header) -> None:
        with self._lock:
            if not self._over:
                self._connection.send(header)

    def pump(self, timeout: float | None = None) -> int:
        """Move output until the command has ended; its status. `timeout` is in seconds.

        :raises TimedOutError: it runs still. :raises UnavailableError: its guest went away, or it could not be started
            for want of the guest. What the sinks raise comes through.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while self.status is None:
                header, payload = self._connection.receive(deadline)
                self._take(header, payload)
        except TimedOutError:
            raise TimedOutError(f"{self.argv[0]} did not end within {timeout:g} s in the guest") from None
        except DrystoneError as error:
            self._end(failure=error)
            raise
        return self.status

    def _take(self, header: Header, payload: bytes) -> None:
        if "error" in header:
            raise error_from(header["error"])
        event = header["event"]
        if event in self._sinks:
            self._sinks[event](payload)
            self._tell({"do": "ack", "bytes": len(payload)})
        elif event == "ack":
            with self._lock:
                self._credit += header["bytes"]
                self._lock.notify_all()
        elif event == "refused":
            self._sinks["err"](f"{header['reason']}\n".encode())
            self._end(status=header["status"])
        elif event == "exit":
            self._end(status=header["status"])

    def _end(self, *, status: int | None = None, failure: DrystoneError | None = None) -> None:
        with self._lock:
            self.status, self._failure = status, failure
            self._lock.notify_all()
        self._connection.close()

    def drain(self, at_end: Callable[[], object] = lambda: None) -> None:
        """Pump in a thread of its own from now on; it calls `at_end` last."""
        self._thread = threading.Thread(target=self._drain, args=(at_end,), name=f"lab:{self.argv[0]}", daemon=True)
        self._thread.start()

    def _drain(self, at_end: Callable[[], object]) -> None:
        try:
            self.pump()
        except DrystoneError as error:
            self._failure = error
        finally:
            at_end()

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended; its status. `timeout` is in seconds; the command goes on after it.

        :raises TimedOutError: it runs still. :raises UnavailableError: its guest went away.
        """
        if self._thread is None:
            return self.pump(timeout)
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimedOutError(f"{self.argv[0]} did not end within {timeout:g} s in the guest")
        if self.status is None:
            raise self._failure or UnavailableError("the lab has ended")
        return self.status

    def kill(self, number: int = _KILL) -> int:
        """Send a signal and wait for the end; its status.

        :raises TimedOutError: it did not end.
        """
        self.signal(number)
        return self.wait(_KILL_SECONDS)

    def close(self) -> None:
        """Let go of it; a command that still runs is killed."""
        self._connection.close()


def feed(command: Command, data: bytes) -> None:
    """Write `data` to the command and close its input, in a thread when it is more than goes at once."""
    if len(data) <= WINDOW:
        command.write(data)
        command.close_input()
    else:
        threading.Thread(target=_feed, args=(command, data), daemon=True).start()


def _feed(command: Command, data: bytes) -> None:
    try:
        command.write(data)
        command.close_input()
    except UnavailableError:
        return  # whoever waits for the command is told

"""Servers on loopback, for tests, as processes: started, killed, stopped in their tracks; and why one is not here."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from drystone.base.errors import UnavailableError

CHECKOUT = Path(__file__).resolve().parents[3]
"""The folder with .s3-server/ and .azure-server/ in it, when the package is used from a checkout."""

READY_SECONDS = 60.0


def why_absent(name: str, what: str, checkout: Path = CHECKOUT) -> str:
    """Why what scripts/NAME installs cannot be started here, "" when it can. :param what: it is called: "S3"."""
    folder = checkout / f".{name}"
    if list(folder.glob("ready-*")):
        return ""
    failed = folder / "failed"
    why = failed.read_text().strip() if failed.exists() else "nobody installed it"
    return f"the {what} server is not here: {why} (scripts/{name} --again)"


class ServerProcess:
    """One process, which ends when its stdin does, so that it never outlives its test. Nothing runs until `start`.

    :param what: it is called, in messages: "S3". :param log: the file that gets its stderr.
    """

    def __init__(self, what: str, log: Path) -> None:
        self._what = what
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        command: Sequence[object],
        read_port: Callable[[str], int | None],
        environ: Mapping[str, str] | None = None,
    ) -> int:
        """Start it, and wait until a line of its stdout says where it listens; its port.

        :param read_port: the port that a line tells; None for a line that tells none.

        :raises UnavailableError: it ended, or said nothing for a minute.
        """
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=environ,
            )
        for line in self._read_lines(self._process, time.monotonic() + READY_SECONDS):
            port = read_port(line)
            if port is not None:
                return port
        self.kill()
        raise UnavailableError(f"the {self._what} server did not start; its log is {self._log}")

    @staticmethod
    def _read_lines(process: subprocess.Popen[bytes], until: float) -> Iterator[str]:
        assert process.stdout is not None
        waiting = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, until - time.monotonic())):
                data = os.read(process.stdout.fileno(), 4096)
                if not data:
                    return
                *lines, waiting = (waiting + data).split(b"\n")
                yield from (line.decode() for line in lines)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server does not run"
        self._process.send_signal(number)

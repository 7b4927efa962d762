"""The cluster's servers by their commands, as processes that tests kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_END_SECONDS = 60.0


class Server:
    """`drystone cluster` with `words`, until the block ends. :ivar told: its first line, as JSON.

    :param log: file for what it says.
    """

    def __init__(self, *words: str, log: Path) -> None:
        self._words = words
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.told: dict[str, str] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        """Started, and ended in order; by force when it does not end."""
        self.start()
        try:
            yield self
        finally:
            if self._process is not None:
                self.end()

    def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "drystone.cli.main", "cluster", *self._words, "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={key: value for key, value in os.environ.items() if not key.startswith("DRYSTONE_")},
                start_new_session=True,
            )
        line = self._output.readline()
        assert line, self._log.read_text()
        self.told = json.loads(line)

    @property
    def _output(self) -> IO[bytes]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; its exit status."""
        assert self._process is not None, "started"
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(_END_SECONDS)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

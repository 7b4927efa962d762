"""A command server of `dvm` for benchmarks: started, waited for, its processor time counted."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


class Server:
    """`dvm serve` as a process. :ivar socket: where it listens."""

    def __init__(self, process: subprocess.Popen[bytes], socket: str) -> None:
        self.process = process
        self.socket = socket

    def _list(self) -> list[tuple[str, float]]:
        """State and processor seconds of the server, with all its workers that have ended, and of those it has."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = []
        for each in (str(pid), *children):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
                found.append((fields[0], sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")))
        return found

    def processor_s(self) -> float:
        """Of all of them."""
        return sum(used for _, used in self._list())

    def wait_until_ready(self) -> None:
        """Until a worker waits for the next command."""
        before: list[tuple[str, float]] = []
        while len(now := self._list()) != 2 or {state for state, _ in now} != {"S"} or now != before:
            before = now
            time.sleep(0.05)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A command server that is ready."""
    socket = str(folder / "socket")
    words = [str(Path(sys.executable).parent / "dvm"), "serve", "--socket", socket]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "it says when it listens"
        server = Server(process, socket)
        server.wait_until_ready()
        try:
            yield server
        finally:
            process.terminate()

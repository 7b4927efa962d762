"""`convoy` as a fork of this process, which has imported what it needs.

In a guest an interpreter that imports the web libraries takes two to three seconds, and these tests start some fifty
daemons. A fork is a process of its own in all that matters here: it is killed, it holds locks and devices, it restarts.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from drystone.cli import convoy
from drystone.testing.volume_daemon import Ran


class Fork:
    """A run of `convoy`; what it prints goes to the ends of the files `out` and `err`."""

    def __init__(self, words: Sequence[str], out: Path, err: Path) -> None:
        _import_all()
        self._code: int | None = None
        self.pid = os.fork()
        if not self.pid:
            _become(words, out, err)

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        limit = time.monotonic() + (timeout or 180.0)
        while (code := self.poll()) is None:
            assert time.monotonic() < limit, f"process {self.pid} goes on"
            time.sleep(0.01)
        return code

    def send_signal(self, sig: int) -> None:
        os.kill(self.pid, sig)


def run_fork(words: Sequence[str], folder: Path) -> Ran:
    """Run `convoy` to its end."""
    out, err = folder / "fork.out", folder / "fork.err"
    for each in (out, err):
        each.write_bytes(b"")
    code = Fork(words, out, err).wait()
    return Ran(code, out.read_text(), err.read_text())


def _import_all() -> None:
    """What a daemon imports once it serves."""
    import drystone.volumes.drivers.devicemapper
    import drystone.volumes.routes
    import drystone.wire.application
    import drystone.wire.server  # noqa: F401  # for the fork


def _become(words: Sequence[str], out: Path, err: Path) -> NoReturn:
    """Run `convoy` in the child, without anything of pytest's, and end."""
    code = 70
    try:
        for number, path in ((1, out), (2, err)):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(handle, number)
            os.close(handle)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        logging.root.handlers.clear()
        warnings.resetwarnings()
        code = convoy.run(words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)

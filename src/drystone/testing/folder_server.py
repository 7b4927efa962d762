"""A server for tests: its processes in a folder of their own, as an unprivileged user."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from drystone.base.errors import UnavailableError


class FolderServer(ABC):
    """One server, ended by force at the end of the block. :ivar folder: with all that it writes, and its log."""

    prefix: ClassVar[str]
    """Of the folder's name."""
    end_signal: ClassVar[signal.Signals]
    """That it ends at, fast and in order."""

    def __init__(self) -> None:
        self.folder = Path()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if why := self.why_absent():
            raise UnavailableError(why)
        self.folder = Path(tempfile.mkdtemp(prefix=self.prefix))  # a socket's path must be short
        if self.user:
            shutil.chown(self.folder, self.user)
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def user(self) -> str | None:
        """Who it runs as, None for ourselves: it wants no root."""
        return "nobody" if os.geteuid() == 0 else None

    @staticmethod
    @abstractmethod
    def why_absent() -> str:
        """Why there is none here, "" when there is."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what it starts from, once."""

    @abstractmethod
    def start(self) -> None:
        """Start it (again), and wait until it answers. :raises UnavailableError: it does not."""

    def prepare_by(self, command: list[str | Path], text: bytes = b"") -> None:
        """Run a program in the folder, with `text` as its input."""
        subprocess.run(command, input=text, check=True, capture_output=True, user=self.user, cwd=self.folder)

    def launch(self, command: list[str | Path]) -> None:
        """Start its process, whose output goes to the log."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.folder)

    def failure(self, name: str) -> UnavailableError:
        """That it does not start, with the end of its log."""
        return UnavailableError(f"{name} does not start: {(self.folder / 'log').read_text()[-400:]}")

    def kill(self) -> None:
        """SIGKILL; what was committed is there after `start`."""
        assert self.process is not None, "started"
        self.process.kill()
        self.process.wait()
        self.process = None

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.send_signal(self.end_signal)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

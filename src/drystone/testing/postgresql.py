"""A PostgreSQL server for tests: in a folder, on a unix socket only, as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from drystone.base.errors import UnavailableError

_FOLDERS = "/usr/lib/postgresql"
_START_SECONDS = 60.0


def why_absent() -> str:
    """Why there is no PostgreSQL here, "" when there is."""
    return "" if _find_programs() is not None else "PostgreSQL is not installed (Debian's package postgresql)"


def _find_programs() -> Path | None:
    """The folder with the newest release's programs."""
    found = sorted(Path(_FOLDERS).glob("*/bin/postgres"))
    return found[-1].parent if found else None


class PostgreSql:
    """One server, ended by force at the end of the block. :ivar folder: with its data, its log and its socket."""

    def __init__(self) -> None:
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0

    def __enter__(self) -> Self:
        programs = _find_programs()
        if programs is None:
            raise UnavailableError(why_absent())
        self.folder = Path(tempfile.mkdtemp(prefix="drystone-pg-"))  # a socket's path must be short
        if self._user:
            shutil.chown(self.folder, self._user)
        try:
            subprocess.run(
                [programs / "initdb", "-D", self.folder / "data", "-A", "trust", "-U", "drystone", "-N"],
                check=True,
                capture_output=True,
                user=self._user,
                cwd=self.folder,
            )
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def _user(self) -> str | None:
        """Who it runs as, None for ourselves: it wants no root."""
        return "nobody" if os.geteuid() == 0 else None

    def start(self) -> None:
        """Start it (again), and wait until it answers. :raises UnavailableError: it does not."""
        programs = _find_programs()
        assert programs is not None, "entered"
        until = time.monotonic() + _START_SECONDS
        while subprocess.run(
            [programs / "pg_isready", "-q", "-h", self.folder, "-U", "drystone"], check=False
        ).returncode:  # fmt: skip
            # One that was killed may have left children that end soon; until then a new one refuses to start.
            if self._process is None or self._process.poll() is not None:
                with (self.folder / "log").open("ab") as log:
                    self._process = subprocess.Popen(
                        [
                            programs / "postgres",
                            "-D",
                            self.folder / "data",
                            "-k",
                            self.folder,
                            "-c",
                            "listen_addresses=",
                        ],
                        stdout=log,
                        stderr=log,
                        user=self._user,
                        cwd=self.folder,
                    )
            if time.monotonic() > until:
                raise UnavailableError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()[-400:]}")
            time.sleep(0.1)

    def make_database(self) -> str:
        """A new, empty database; its URL."""
        import psycopg

        self._count += 1
        name = f"map{self._count}"
        with psycopg.connect(f"host={self.folder} user=drystone dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://drystone@/{name}?host={self.folder}"

    def kill(self) -> None:
        """SIGKILL; what was committed is there after `start`."""
        assert self._process is not None, "started"
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Whoever asks waits."""
        for each in self._list_processes():
            os.kill(each, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        for each in self._list_processes():
            os.kill(each, signal.SIGCONT)

    def _list_processes(self) -> list[int]:
        assert self._process is not None, "entered"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.resume()
            self._process.send_signal(signal.SIGINT)  # its fast shutdown
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

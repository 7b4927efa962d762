"""A PostgreSQL server for tests: in a folder, on a unix socket only, as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from drystone.testing.database_server import DatabaseServer

_FOLDERS = "/usr/lib/postgresql"
_START_SECONDS = 60.0


def why_absent() -> str:
    """Why there is no PostgreSQL here, "" when there is."""
    return "" if _find_programs() is not None else "PostgreSQL is not installed (Debian's package postgresql)"


def _find_programs() -> Path | None:
    """The folder with the newest release's programs."""
    found = sorted(Path(_FOLDERS).glob("*/bin/postgres"))
    return found[-1].parent if found else None


class PostgreSql(DatabaseServer):
    """One server, ended by force at the end of the block. :ivar folder: with its data, its log and its socket."""

    prefix = "drystone-pg-"
    end_signal = signal.SIGINT
    why_absent = staticmethod(why_absent)

    @property
    def _programs(self) -> Path:
        found = _find_programs()
        assert found is not None, "entered"
        return found

    def prepare(self) -> None:
        initdb = self._programs / "initdb"
        self.prepare_by([initdb, "-D", self.folder / "data", "-A", "trust", "-U", "drystone", "-N"])

    def start(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while subprocess.run(
            [self._programs / "pg_isready", "-q", "-h", self.folder, "-U", "drystone"], check=False
        ).returncode:  # fmt: skip
            # One that was killed may have left children that end soon; until then a new one refuses to start.
            if self.process is None or self.process.poll() is not None:
                data, place = self.folder / "data", self.folder
                self.launch([self._programs / "postgres", "-D", data, "-k", place, "-c", "listen_addresses="])
            if time.monotonic() > until:
                raise self.failure("PostgreSQL")
            time.sleep(0.1)

    def make_database(self) -> str:
        import psycopg

        self.count += 1
        name = f"map{self.count}"
        with psycopg.connect(f"host={self.folder} user=drystone dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://drystone@/{name}?host={self.folder}"

    def pause(self) -> None:
        """Whoever asks waits."""
        for each in self._list_processes():
            os.kill(each, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        for each in self._list_processes():
            os.kill(each, signal.SIGCONT)

    def _list_processes(self) -> list[int]:
        assert self.process is not None, "entered"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def __exit__(self, *raised: object) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.resume()
        super().__exit__(*raised)

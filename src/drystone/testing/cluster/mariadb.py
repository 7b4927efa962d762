"""A MariaDB server for tests: in a folder, on a unix socket only, as an unprivileged user."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from pathlib import Path

from drystone.testing.database_server import DatabaseServer

_START_SECONDS = 60.0
_LOG_SIZE = "--innodb-log-file-size=8M"
_SYSTEM_TABLES = Path("/usr/share/mysql/mysql_system_tables.sql")


def why_absent() -> str:
    """Why there is no MariaDB here, "" when there is."""
    there = Path(_find_server()).exists() and _SYSTEM_TABLES.exists()
    return "" if there else "MariaDB is not installed (Debian's package mariadb-server-core)"


def _find_server() -> str:
    return shutil.which("mariadbd") or "/usr/sbin/mariadbd"


class MariaDb(DatabaseServer):
    """One server, ended by force at the end of the block. :ivar folder: with its data, its log and its socket."""

    prefix = "drystone-my-"
    end_signal = signal.SIGTERM
    why_absent = staticmethod(why_absent)

    def prepare(self) -> None:
        """As mariadb-install-db does, which is in a package with much else."""
        (self.folder / "data").mkdir()
        if self.user:
            shutil.chown(self.folder / "data", self.user)
        self.prepare_by(
            [_find_server(), "--no-defaults", "--bootstrap", f"--datadir={self.folder}/data", _LOG_SIZE],
            b"create database mysql;\nuse mysql;\n" + _SYSTEM_TABLES.read_bytes(),
        )

    @property
    def _socket(self) -> Path:
        return self.folder / "s"

    def start(self) -> None:
        self.launch(
            [
                _find_server(),
                "--no-defaults",
                f"--datadir={self.folder}/data",
                f"--socket={self._socket}",
                f"--pid-file={self.folder}/pid",
                "--skip-networking",
                "--innodb-buffer-pool-size=16M",
                "--skip-grant-tables",
                _LOG_SIZE,
            ]
        )
        assert self.process is not None, "launched"
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > until or self.process.poll() is not None:
                raise self.failure("MariaDB")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0

    def make_database(self) -> str:
        import pymysql  # type: ignore[import-untyped]

        self.count += 1
        name = f"cluster{self.count}"
        connection = pymysql.connect(unix_socket=str(self._socket), user="root")
        try:
            connection.cursor().execute(f"CREATE DATABASE {name}")
        finally:
            connection.close()
        return f"mariadb://root@localhost/{name}?unix_socket={self._socket}"

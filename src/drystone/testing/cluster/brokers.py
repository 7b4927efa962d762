"""Brokers for tests, the real ones: RabbitMQ and Redis in folders, on loopback only, as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

from drystone.testing.folder_server import FolderServer

PASSWORD = "a-password-of-the-tests"  # noqa: S105
_START_SECONDS = 60.0
_RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Not /usr/sbin/rabbitmq-server, which is for root and the package's own user."""


class BrokerServer(FolderServer):
    """One broker. :ivar port: of 127.0.0.1."""

    port = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """As clients are told it, with a password."""

    def launch(self, command: list[str | Path]) -> None:
        """Start its processes, as a group of their own."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                cwd=self.folder,
                env=self.environ(),
                start_new_session=True,
            )

    def environ(self) -> dict[str, str]:
        """Of its processes."""
        return {**os.environ, "HOME": str(self.folder)}

    def wait_until(self, answers: Callable[[], bool], name: str) -> None:
        """:raises UnavailableError: it ended, or did not answer for a minute."""
        until = time.monotonic() + _START_SECONDS
        while not answers():
            if time.monotonic() > until or self.process is None or self.process.poll() is not None:
                raise self.failure(name)
            time.sleep(0.05)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, all of it."""
        self._signal(signal.SIGKILL)
        super().kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "started"
        os.killpg(self.process.pid, number)

    def __exit__(self, *raised: object) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.resume()
                self.kill()  # nothing of it is kept
        super().__exit__(*raised)


class RedisServer(BrokerServer):
    """One Redis."""

    prefix = "drystone-redis-"
    end_signal = signal.SIGTERM

    @staticmethod
    def why_absent() -> str:
        """Why there is none here, "" when there is."""
        return "" if shutil.which("redis-server") else "Redis is not installed (Debian's package redis-server)"

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/3"

    def prepare(self) -> None:
        self.port = find_port()
        self.prepare_by(["tee", self.folder / "redis.conf"], _REDIS.format(self=self, password=PASSWORD).encode())

    def start(self) -> None:
        self.launch(["redis-server", self.folder / "redis.conf"])
        self.wait_until(lambda: answers_at(self.port), "Redis")


_REDIS = """\
bind 127.0.0.1
port {self.port}
requirepass {password}
dir {self.folder}
save ""
appendonly no
"""


class RabbitServer(BrokerServer):
    """One RabbitMQ, with the port mapper of Erlang that it wants beside it."""

    prefix = "drystone-rabbit-"
    end_signal = signal.SIGTERM

    def __init__(self) -> None:
        super().__init__()
        self._mapper: subprocess.Popen[bytes] | None = None
        self._mapper_port = 0

    @staticmethod
    def why_absent() -> str:
        """Why there is none here, "" when there is."""
        return "" if _RABBIT.exists() else "RabbitMQ is not installed (Debian's package rabbitmq-server)"

    @property
    def url(self) -> str:
        return f"amqp://drystone:{PASSWORD}@127.0.0.1:{self.port}//"

    def prepare(self) -> None:
        self.port, self._mapper_port = find_port(), find_port()
        self.prepare_by(["tee", self.folder / "rabbitmq.conf"], _RABBITMQ.format(self=self, password=PASSWORD).encode())
        self.prepare_by(["tee", self.folder / "plugins"], b"[].\n")
        with (self.folder / "log").open("ab") as log:
            self._mapper = subprocess.Popen(
                ["epmd", "-address", "127.0.0.1", "-port", str(self._mapper_port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                cwd="/",
            )

    def environ(self) -> dict[str, str]:
        """Everything in the folder, and on loopback."""
        folder = self.folder
        return super().environ() | {
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"drystone{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(find_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        }

    def start(self) -> None:
        self.launch([_RABBIT])
        self.wait_until(lambda: answers_at(self.port), "RabbitMQ")

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()


_RABBITMQ = """\
listeners.tcp.default = 127.0.0.1:{self.port}
default_user = drystone
default_pass = {password}
disk_free_limit.absolute = 1MB
"""


def find_port() -> int:
    """A port of 127.0.0.1 that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers_at(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0

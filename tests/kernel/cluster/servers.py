"""A whole cluster in one kernel, each part of it a process of its own: an API server, a monitor, dpvs, an ihost.

The processes are the commands that an operator starts; they meet over TLS, by certificates of one authority.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drystone.cluster import certificates
from drystone.cluster.agents.client import AgentClient
from drystone.cluster.agents.service import format_disk
from drystone.cluster.connection import ClientTls, Connection, trusting

API, IHOST = "127.0.0.1:9300", "127.0.0.1:9401"
OPERATOR, AGENT = "an-operators-token", "the-token-of-the-ihost"
PATIENCE = 150.0
"""Seconds that anything may take before the test is given up; most of it is Python that starts."""


def await_that(what: str, is_so: Callable[[], object], pause: float = 0.2) -> None:
    """Until it is so."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() < begun + PATIENCE, f"not within {PATIENCE:g} s: {what}"
        time.sleep(pause)
    print(f"{time.monotonic():.1f} s, after {time.monotonic() - begun:.1f}: {what}")  # noqa: T201 - of a test that failed


class Server:
    """One process. :param words: of the command below `drystone cluster`. Its log is in `folder`."""

    def __init__(self, folder: Path, name: str, *words: str) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._command = [str(Path(sys.executable).with_name("drystone")), "cluster", *words]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin to start it (again)."""
        with self._log.open("a") as log:
            self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, text=True)

    def await_ready(self) -> None:
        """Until it says that it is ready."""
        assert self.process is not None, "started"
        assert self.process.stdout is not None, "piped"
        assert self.process.stdout.readline(), f"{self.name} did not start: {self.log()}"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None, "started"
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Have it end; its exit status."""
        assert self.process is not None, "started"
        assert self.process.stdout is not None, "piped"
        self.send(number)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process = None
        return status

    def log(self) -> str:
        """The end of what it logged."""
        return self._log.read_text(errors="replace")[-4000:]


class Servers:
    """All of them. :param disks: of the dpvs, by name; each is formatted."""

    def __init__(self, folder: Path, disks: dict[str, str]) -> None:
        self._folder = folder
        self._authority = self._make_certificates(["api", "monitor", "ihost", *disks])
        tokens = folder / "tokens.toml"
        tokens.write_text(f'[alice]\ntoken = "{OPERATOR}"\n[ihost]\ntoken = "{AGENT}"\nrole = "agent"\n')
        token = folder / "ihost.token"
        token.write_text(f"{AGENT}\n")
        for path in (tokens, token):
            path.chmod(0o600)
        database = f"sqlite:///{folder}/cluster.db"
        known = ("--certificate", "{0}.pem", "--key-file", "{0}.key")
        self.api = self._server("api", "--listen", API, "--database", database, "--tokens", str(tokens), *known)
        self.monitor = self._server(
            "monitor", "--database", database, "--pause", "1", "--patience", "4", *known,
            "--authority", str(self._authority),
        )  # fmt: skip
        agent = (*known, "--clients", str(self._authority))
        self.repository = folder / "repository"
        settings = folder / "ihost.toml"
        settings.write_text(f'[repositories.nightly]\nurl = "vfs://{self.repository}"\n')
        self.ihost = self._server(
            "ihost", "--config", str(settings),
            "--listen", IHOST, "--name", "ihost", "--api", f"https://{API}", "--token", str(token),
            "--authority", str(self._authority), "--folder", str(folder / "ihost"), *agent,
        )  # fmt: skip
        self.dpvs: dict[str, Server] = {}
        self.portals: dict[str, str] = {}
        for at, (name, disk) in enumerate(disks.items()):
            format_disk(disk)
            self.portals[name] = f"127.0.0.1:{3261 + at}"
            self.dpvs[name] = self._server(
                "dpv", "--listen", self.address(name), "--disk", disk, "--portal", self.portals[name],
                "--folder", str(folder / name), *agent, name=name,
            )  # fmt: skip
        self._connection = Connection(
            "the API", f"https://{API}", tls=trusting(self._authority), token=OPERATOR, seconds=30
        )  # fmt: skip
        tls = ClientTls(folder / "monitor.pem", folder / "monitor.key", self._authority)
        self.ihost_client = AgentClient(IHOST, tls=tls)

    @property
    def all(self) -> list[Server]:
        """Every one."""
        return [self.api, self.monitor, self.ihost, *self.dpvs.values()]

    @staticmethod
    def address(dpv: str) -> str:
        """Of a dpv's agent: names end with a number."""
        return f"127.0.0.1:{9410 + int(dpv[-1])}"

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask the API; status and document of the answer."""
        data = None if body is None else json.dumps(body).encode()
        status, answer = self._connection.send(method, f"/v1{path}", data)
        return status, json.loads(answer) if answer else None

    def must(self, method: str, path: str, body: object = None) -> Any:
        """The document of an answer that is no error."""
        status, document = self.ask(method, path, body)
        assert status < 300, document
        return document

    def dlv(self) -> Any:
        """The one dlv, as recorded."""
        return self.must("GET", "/dlvs/db")

    def await_dlv(self, what: str, is_so: Callable[[Any], object]) -> None:
        """Until the record of the dlv is so."""
        try:
            await_that(what, lambda: is_so(self.dlv()))
        except AssertionError as error:
            events = "\n".join(str(each) for each in self.must("GET", "/events?limit=1000")["items"])
            raise AssertionError(f"{error}\n{json.dumps(self.dlv(), indent=1)}\n{events}\n{self.logs()}") from error

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {each.name}\n{each.log()}" for each in self.all)

    def _server(self, kind: str, *words: str, name: str = "") -> Server:
        place = str(self._folder / (name or kind))
        return Server(self._folder, name or kind, kind, *(word.format(place) for word in words))

    def _make_certificates(self, names: list[str]) -> Path:
        now = datetime.now(UTC)
        root = certificates.make_authority("tests", days=2, now=now)
        path = self._folder / "authority.pem"
        path.write_bytes(root.certificate)
        for name in names:
            purpose: certificates.Purpose = "client" if name == "monitor" else "server"
            made = certificates.issue(root, name, purpose, ("127.0.0.1",), days=2, now=now)
            (self._folder / f"{name}.pem").write_bytes(made.certificate)
            (self._folder / f"{name}.key").write_bytes(made.key)
            (self._folder / f"{name}.key").chmod(0o600)
        return path

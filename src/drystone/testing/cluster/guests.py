"""A cluster over guests of the lab: a control host (API, monitor, SQLite), an ihost, dpvs; each part can be killed.

The lab is not imported: guests are handed in, and asked for no more than `Guest` says.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from drystone.cluster import certificates

PATIENCE = 240.0
"""Seconds that anything may take before it is given up; most of it is Python that starts on a busy machine."""
INITIATOR = "iqn.2026-11.org.example:h1"
DISK = "/dev/lab/disk0"
DATABASE = "/run/tmp/cluster.db"
_WITHIN = "drystone.testing.cluster.within"


class Guest(Protocol):
    """A guest, with its commands and interpreters, as drystone.lab has them."""

    address: str

    def start(self, argv: Sequence[str], *, stdout: Any, stderr: Any, cwd: str | None = None) -> Any: ...

    def run(self, argv: Sequence[str], *, timeout: float | None = None, cwd: str | None = None) -> Any: ...

    def python(self) -> Any: ...

    def kill(self) -> None: ...

    def boot(self) -> None: ...

    def cut(self, way: str = "both") -> None: ...

    def heal(self) -> None: ...


class NotSoError(Exception):
    """Something did not become so."""


def await_that(what: str, is_so: Callable[[], object], pause: float = 0.3, patience: float = PATIENCE) -> None:
    """Until it is so. :raises NotSoError: it took too long."""
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            raise NotSoError(f"not within {patience:g} s: {what}")
        time.sleep(pause)


class Part:
    """A process in a guest. :ivar log: what it wrote to stderr."""

    def __init__(self, name: str, guest: Guest, *words: str) -> None:
        self.name, self.guest, self.words = name, guest, words
        self.log = bytearray()
        self._said = bytearray()
        self._something, self._ended = threading.Event(), threading.Event()
        self._command: Any = None

    def start(self) -> None:
        """Begin to start it (again)."""
        self._said.clear()
        something, ended = self._something, self._ended = threading.Event(), threading.Event()

        def end() -> None:
            ended.set()
            something.set()

        self._command = self.guest.start(self.words, stdout=self._hear, stderr=self.log.extend, cwd="/")
        self._command.drain(end)

    def _hear(self, data: bytes) -> None:
        self._said += data
        self._something.set()

    def await_ready(self) -> None:
        """Until it has said something. :raises NotSoError: it ended instead, or says nothing."""
        if not self._something.wait(PATIENCE) or not self._said:
            raise NotSoError(f"{self.name} did not start:\n{self.log[-2000:].decode(errors='replace')}")

    def lines(self) -> list[str]:
        """The whole lines that it has printed."""
        return self._said.decode(errors="replace").split("\n")[:-1]

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more; also when its guest is gone."""
        return self._ended.is_set()

    def kill(self) -> None:
        """SIGKILL."""
        self._command.signal(signal.SIGKILL)

    def finish(self) -> None:
        """Close its standard input, and wait for its end."""
        self._command.close_input()
        self._command.wait(PATIENCE)


class Site:
    """The cluster. :param folder: of this machine, that all guests have too. :param guests: control, ihost, dpvs."""

    def __init__(self, folder: Path, guests: Sequence[Guest]) -> None:
        self.folder = folder
        self.control, self.host, *dpvs = guests
        self.dpvs = {f"d{at}": guest for at, guest in enumerate(dpvs, 1)}
        self.guests: dict[str, Guest] = {"c1": self.control, "h1": self.host, **self.dpvs}
        self._url = f"https://{self.control.address}:9300"
        self._pythons: dict[str, Any] = {}
        self.parts: dict[str, Part] = {}
        self._papers()
        self._describe()
        self.events = Part("events", self.control, "python", "-m", _WITHIN, "events", DATABASE)

    def _papers(self) -> None:
        now = datetime.now(UTC)
        root = certificates.make_authority("tests", days=2, now=now)
        (self.folder / "authority.pem").write_bytes(root.certificate)
        places = {"api": self.control, "h1": self.host, **self.dpvs}
        for name in ("monitor1", *places):
            purpose: certificates.Purpose = "client" if name == "monitor1" else "server"
            address = (places[name].address,) if name in places else ("127.0.0.1",)
            made = certificates.issue(root, name, purpose, address, days=2, now=now)
            (self.folder / f"{name}.pem").write_bytes(made.certificate)
            self._secret(f"{name}.key", made.key)
        self._tokens = {"alice": f"{uuid4()}", "h1": f"{uuid4()}"}
        lines = [f'[{name}]\ntoken = "{token}"\n' for name, token in self._tokens.items()]
        self._secret("tokens.toml", f'{"".join(lines)}role = "agent"\n'.encode())
        self._secret("h1.token", f"{self._tokens['h1']}\n".encode())

    def _secret(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)
        (self.folder / name).chmod(0o600)

    def _describe(self) -> None:
        """The servers' commands."""
        database = ("--database", f"sqlite:///{DATABASE}")
        authority = ("--authority", f"{self.folder}/authority.pem")
        clients = ("--clients", f"{self.folder}/authority.pem")
        listen = ("--listen", f"{self.control.address}:9300", "--tokens", f"{self.folder}/tokens.toml")
        self._part("api", "api", self.control, "api", *listen, *database)
        self._part("monitor", "monitor1", self.control, "monitor", *database, "--patience", "6", *authority)
        known = ("--api", self._url, "--token", f"{self.folder}/h1.token", *authority, "--name", "h1")
        place = ("--listen", f"{self.host.address}:9401", "--folder", f"{self.folder}/notes-h1")
        self._part("h1", "h1", self.host, "ihost", *place, *known, *clients)
        for name, guest in self.dpvs.items():
            at = ("--portal", f"{guest.address}:3260", "--listen", f"{guest.address}:9400", "--disk", DISK)
            self._part(name, name, guest, "dpv", *at, "--folder", f"{self.folder}/notes-{name}", *clients)

    def _part(self, name: str, paper: str, guest: Guest, *words: str) -> None:
        own = ("--certificate", f"{self.folder}/{paper}.pem", "--key-file", f"{self.folder}/{paper}.key")
        self.parts[name] = Part(name, guest, "drystone", "cluster", *words, *own)

    def start(self) -> None:
        """Everything, and the hosts registered."""
        for name in ("h1", *self.dpvs):
            (self.folder / f"notes-{name}").mkdir()
        self.name_host()
        with ThreadPoolExecutor() as pool:
            [*pool.map(lambda guest: self.must(guest, "drystone", "cluster", "format", DISK), self.dpvs.values())]
        self.parts["api"].start()
        for name in self.dpvs:
            self.parts[name].start()
        self.parts["api"].await_ready()
        for name in ("monitor", "h1"):
            self.parts[name].start()
        self.events.start()
        for part in self.parts.values():
            part.await_ready()
        for name, guest in self.dpvs.items():
            places = {"address": f"{guest.address}:9400", "portal": f"{guest.address}:3260"}
            self.tell("POST", "/dpvs", {"name": name, "size": 240 << 20, **places})
        self.tell("POST", "/ihosts", {"name": "h1", "address": f"{self.host.address}:9401", "initiator": INITIATOR})
        await_that("all hosts are available", self.all_available)
        self.tell("POST", "/dvgs", {"name": "fast", "dpvs": [*self.dpvs]})

    def name_host(self) -> None:
        """Give the ihost its initiator's name: its file system is new at each boot."""
        self.must(self.host, "sh", "-c", f"echo InitiatorName={INITIATOR} > /etc/iscsi/initiatorname.iscsi")

    def all_available(self) -> bool:
        """Whether the record says so of all hosts."""
        hosts = [*(f"/dpvs/{name}" for name in self.dpvs), "/ihosts/h1"]
        return all(self.ask("GET", path)[1]["status"] == "available" for path in hosts)

    def must(self, guest: Guest, *words: str) -> str:
        """Run a command; its stdout. :raises NotSoError: it failed."""
        done = guest.run(words, cwd="/", timeout=PATIENCE)
        if done.exit_code:
            raise NotSoError(f"exit code {done.exit_code}: {' '.join(words)}\n{done.stderr.decode(errors='replace')}")
        return str(done.text)

    def call(self, name: str, function: str, *args: object) -> Any:
        """A function of `within` in a guest."""
        python = self._pythons.get(name)
        if python is None:
            python = self._pythons[name] = self.guests[name].python()
        return python.call(f"{_WITHIN}:{function}", *args, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: object = None, key: str = "") -> tuple[int, Any]:
        """Ask the API once; status (0: no answer) and document."""
        authority = f"{self.folder}/authority.pem"
        status, document = self.call("c1", "ask", self._url, authority, self._tokens["alice"], method, path, body, key)
        return status, document

    def tell(self, method: str, path: str, body: object = None) -> Any:
        """Ask until there is an answer that is no outage. :raises NotSoError: it is an error."""
        key, end = str(uuid4()), time.monotonic() + PATIENCE
        while True:
            status, document = self.ask(method, path, body, "" if method == "GET" else key)
            if 0 < status < 300:
                return document
            if (0 < status < 500 and status != 429) or time.monotonic() > end:
                raise NotSoError(f"{method} {path}: {status} {document}")
            time.sleep(0.3)

    def dlv(self, name: str) -> Any:
        """As recorded; None: there is none."""
        try:
            return self.tell("GET", f"/dlvs/{name}")
        except NotSoError as error:
            if " 404 " in str(error):
                return None
            raise

    def seen_events(self, name: str) -> list[str]:
        """What happened to a dlv and its snapshots and jobs, in order."""
        told = [json.loads(line) for line in self.events.lines()]
        return [what for _, what, kind, subject in told if kind == "job" or subject.partition("@")[0] == name]

    def kill_kernel(self, name: str) -> None:
        """Cut a guest's power."""
        python = self._pythons.pop(name, None)
        if python is not None:
            python.close()
        self.guests[name].kill()

    def boot(self, name: str) -> None:
        """Boot it again, with its agent."""
        self.guests[name].boot()
        if name == "h1":
            self.name_host()
        self.parts[name].start()
        self.parts[name].await_ready()

    def left(self) -> list[str]:
        """What is left of volumes on any host."""
        return [
            f"{name}: {each}"
            for name in ("h1", *self.dpvs)
            for each in self.call(name, "left", "" if name == "h1" else DISK)
        ]

    def logs(self) -> str:
        """The ends of all logs."""
        ends = {name: each.log[-4000:].decode(errors="replace") for name, each in self.parts.items()}
        return "\n".join(f"--- {name}\n{text}" for name, text in ends.items())

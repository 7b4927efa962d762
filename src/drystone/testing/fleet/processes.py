"""A fleet of real processes on loopback, in a folder: started, stopped, killed, hung, cut off, damaged.

with FleetProcesses(folder) as fleet:
    fleet.start()
    fleet.client.ask(fleet.storage[0].url, "PUT", "/bucket")
    fleet.storage[0].kill()

Servers call each other through relays (network.py), where wanted; clients call each server directly, at its `url`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self, TypeVar

import httpx
import msgspec

from drystone.base.files import replace_file
from drystone.fleet.documents import FleetMap, Key
from drystone.fleet.mapping.status import Status
from drystone.testing.fleet.client import FleetClient
from drystone.testing.fleet.mounts import Mounts, dying
from drystone.testing.fleet.network import Network, Relay

Document = TypeVar("Document")

_START_SECONDS = 120.0
_END_SECONDS = 60.0
_PORTS = range(20000, 32000)  # below those that the kernel gives to who calls


def find_port() -> int:
    """A port on 127.0.0.1 that nobody listens on, and that nobody is given for a call of its own."""
    for _ in range(100):
        port = random.choice(_PORTS)  # noqa: S311  # any will do
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def wait_until(what: str, holds: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something holds. :raises AssertionError: it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.1)


class Server:
    """A mapper or a storage server. Nothing runs until `start`.

    :ivar name: its id. :ivar port: that it listens on, the same after every start. :ivar relay: where others call it;
        None: at its port.
    """

    def __init__(self, name: str, command: Callable[[Server], Sequence[str]], log: Path) -> None:
        self.name = name
        self.port = find_port()
        self.relay: Relay | None = None
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._hung = False

    @property
    def url(self) -> str:
        """Where clients call it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Where other servers call it."""
        return self.relay.url if self.relay is not None else self.url

    @property
    def pid(self) -> int:
        """Of its process, 0 when there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def hung(self) -> bool:
        """Whether it was made to hang."""
        return self._hung

    def begin(self, *words: str) -> None:
        """Start it, with more words for this once, and do not wait until it answers."""
        assert not self.pid, f"{self.name} runs"
        self._reap()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                dying([*self._command(self), *words]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.begin()
        self.wait()

    def wait(self) -> None:
        """Wait until it listens. :raises AssertionError: it ended, or does not."""

        def begun() -> bool:
            assert self.pid, f"{self.name} ended when it was started; its log is {self._log}"
            return self.listens()

        wait_until(f"{self.name} listens", begun, _START_SECONDS)

    def listens(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as trial:
            trial.settimeout(1.0)
            return trial.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self._process is not None, f"{self.name} does not run"
        self._process.terminate()
        try:
            return self._process.wait(_END_SECONDS)
        finally:
            self._reap()

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._reap()

    def hang(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        assert self.pid, f"{self.name} does not run"
        os.kill(self.pid, signal.SIGSTOP)
        self._hung = True

    def resume(self) -> None:
        """SIGCONT."""
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)
        self._hung = False

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(_END_SECONDS)
        self._process = None
        self._hung = False


class FleetProcesses:
    """Mappers and storage servers over one folder. Ended by force at the end of the block, network and disks with them.

    :param servers: storage servers. :param disks: of each. :param mappers: over one database. :param database: URL;
        SQLite in `root` when "". :param disk_size: bytes of each disk, as a file system of its own; 0: plain folders.
    :param mapper_words: more words for the mappers' command line, :param storage_words: for the storage servers'.
    :param relays: servers call each other through relays, which can be cut. They cost as much as a server.
    :ivar client: with a key that may do everything.
    """

    def __init__(
        self,
        root: Path,
        *,
        servers: int = 2,
        disks: int = 3,
        mappers: int = 1,
        database: str = "",
        disk_size: int = 0,
        mapper_words: Sequence[str] = ("--dead", "3", "--replace", "6"),
        storage_words: Sequence[str] = (),
        relays: bool = True,
    ) -> None:
        self.root = root
        self.database = database or f"sqlite:///{root / 'map.db'}"
        self.secret = secrets.token_hex(16)
        self.key = Key(f"DRY{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30), {"*": "admin"})
        self.client = FleetClient(self.key.access_key, self.key.secret)
        self._mapper_words = mapper_words
        self._storage_words = storage_words
        self._disks = disks
        self._disk_size = disk_size
        self._relays = relays
        self.storage = [self._make(f"storage_{number}", self._storage_command) for number in range(1, servers + 1)]
        self.mappers = [self._make(f"mapper_{number}", self._mapper_command) for number in range(1, mappers + 1)]
        self.network = Network(self._find_pid)
        self.mounts: Mounts | None = None
        self._stack = contextlib.ExitStack()

    def _make(self, name: str, command: Callable[[Server], Sequence[str]]) -> Server:
        return Server(name, command, self.root / f"{name}.log")

    @property
    def everybody(self) -> list[Server]:
        """Mappers first."""
        return [*self.mappers, *self.storage]

    def _find_pid(self, name: str) -> int:
        return next((each.pid for each in self.everybody if each.name == name), 0)

    def disk(self, server: Server, number: int) -> Path:
        """The folder that a server knows as data_NUMBER."""
        return self.root / server.name / f"data_{number}"

    def disks(self, server: Server) -> list[Path]:
        """All of them."""
        return [self.disk(server, number) for number in range(1, self._disks + 1)]

    def seen(self, disk: Path) -> Path:
        """Where what is on a disk can be read and changed from here."""
        return self.mounts.seen(disk) if self.mounts is not None else disk

    def _storage_command(self, server: Server) -> Sequence[str]:
        mappers = [word for each in self.mappers for word in ("--mapper", each.address)]
        home = self.root / server.name
        words = [
            *(sys.executable, "-m", "drystone.cli.main", "fleet", "storage"),
            *("--id", server.name, "--listen", f"127.0.0.1:{server.port}", "--url", server.address, *mappers),
            *("--root", str(home), "--state", str(home / "state"), "--secret", str(self.root / "fleet.secret")),
            *self._storage_words,
        ]
        return words if self.mounts is None else self.mounts.inside(words)

    def _mapper_command(self, server: Server) -> Sequence[str]:
        members = [word for each in self.storage for word in ("--server", each.name)]
        return [
            *(sys.executable, "-m", "drystone.cli.main", "fleet", "mapper"),
            *("--listen", f"127.0.0.1:{server.port}", "--url", server.address, "--database", self.database),
            *("--secret", str(self.root / "fleet.secret"), *members, *self._mapper_words),
        ]

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True)
        replace_file(self.root / "fleet.secret", self.secret.encode() + b"\n", mode=0o600)
        folders = tuple(disk for each in self.storage for disk in self.disks(each))
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            if self._disk_size:
                self.mounts = stack.enter_context(Mounts(self.root, folders, self._disk_size))
            stack.enter_context(self.network)
            for each in self.everybody:
                if self._relays:
                    each.relay = self.network.relay(each.name, each.port)
                stack.callback(each.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start all, and wait until every server has its disks and knows the key."""
        for mapper in self.mappers:
            mapper.start()
        for each in self.storage:
            each.begin()
        wait_until("a mapper takes the key", lambda: self.make_key(self.key))
        wait_until("all servers and disks are there", self.is_whole)

    # ------------------------------------------------------------------ what mappers say

    def call_mapper(self, method: str, path: str, document: object = None, seconds: float = 5.0) -> httpx.Response:
        """The answer of the mapper that leads. :raises AssertionError: none does."""
        for mapper in itertools.chain(self.mappers, self.mappers):
            with contextlib.suppress(httpx.HTTPError):
                answer = httpx.request(
                    method,
                    mapper.url + path,
                    content=None if document is None else msgspec.json.encode(document),
                    headers={"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"},
                    timeout=seconds,
                    trust_env=False,
                )
                if answer.status_code not in (307, 503):
                    return answer
        raise AssertionError(f"no mapper leads: {method} {path}")

    def ask_mapper(self, path: str, kind: type[Document], document: object = None) -> Document:
        """A document that the leading mapper gives. :raises AssertionError: it does not."""
        answer = self.call_mapper("GET" if document is None else "POST", path, document)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return msgspec.json.decode(answer.content, type=kind)

    def make_key(self, key: Key) -> bool:
        """Make an access key; whether a mapper took it."""
        try:
            return self.call_mapper("POST", "/internal/keys", key).status_code == 200
        except AssertionError:
            return False

    def status(self) -> Status | None:
        """The fleet's, None while no mapper leads."""
        try:
            return self.ask_mapper("/internal/status", Status)
        except AssertionError:
            return None

    def map(self) -> FleetMap:
        """The map."""
        return self.ask_mapper("/internal/map", FleetMap)

    def is_whole(self) -> bool:
        """Whether all servers live and have the map, and all disks are good."""
        status = self.status()
        if status is None or status.recovering:
            return False
        alive = [each for each in status.servers if each.alive and each.map_version == status.version]
        good = [each for each in status.disks if each.state == "good"]
        return len(alive) == len(self.storage) and len(good) == len(self.storage) * self._disks

    def is_protected(self) -> bool:
        """Whether every host has all its copies too."""
        status = self.status()
        return self.is_whole() and status is not None and all(each.state == "protected" for each in status.hosts)

    # ------------------------------------------------------------------ the database, when it is SQLite

    @property
    def database_file(self) -> Path:
        """Its one file, once no mapper runs and `fold_database` was called."""
        return Path(self.database.removeprefix("sqlite:///"))

    def copy_database(self, to: Path) -> None:
        """Copy it, whether mappers run or not."""
        with (
            contextlib.closing(sqlite3.connect(self.database_file)) as source,
            contextlib.closing(sqlite3.connect(to)) as target,
        ):
            source.backup(target)

    def fold_database(self) -> None:
        """Have all of it in its one file. No mapper may run."""
        with contextlib.closing(sqlite3.connect(self.database_file)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix in ("-wal", "-shm"):
            self.database_file.with_name(self.database_file.name + suffix).unlink(missing_ok=True)

    # ------------------------------------------------------------------ faults of disks

    def unmount(self, disk: Path) -> None:
        """Take a disk away; an empty folder is left in its place."""
        if self.mounts is not None:
            self.mounts.unmount(disk)
        else:
            disk.rename(disk.with_name(f"away-{disk.name}"))
            disk.mkdir()

    def mount(self, disk: Path) -> None:
        """Bring it back."""
        if self.mounts is not None:
            self.mounts.mount(disk)
        else:
            disk.rmdir()
            disk.with_name(f"away-{disk.name}").rename(disk)

    def fill(self, disk: Path) -> None:
        """Leave no room on a disk, which must be a file system of its own."""
        assert self.mounts is not None, "a plain folder cannot be filled"
        with (self.seen(disk) / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def drain(self, disk: Path) -> None:
        """Undo `fill`."""
        (self.seen(disk) / "filler").unlink(missing_ok=True)

    def stored_files(self, disk: Path) -> Iterator[Path]:
        """The objects' files on a disk, in order."""
        for slot in ("primary", "secondary"):
            for folder, folders, names in os.walk(self.seen(disk) / slot):
                folders.sort()
                yield from (Path(folder, name) for name in sorted(names))


def flip_byte(path: Path, at: int) -> None:
    """Change one bit of a file's byte, in place; its times stay."""
    times = path.stat()
    with path.open("r+b", buffering=0) as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x10]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def truncate(path: Path, size: int) -> None:
    """Cut a file off, in place; its times stay."""
    times = path.stat()
    os.truncate(path, size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

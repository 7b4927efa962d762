"""What the fleet's benchmarks share: the cases, a client that is no measure of itself, and how all are asked in turn.

The client is the same for us and for peers: threads with a socket each, kept open, whose requests were signed before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drystone.fleet.s3.signing import sign_request
from drystone.testing.fleet.processes import FleetProcesses
from pairs import compile_all, measure

BUCKET = "bench"
MIB = 1 << 20
BUFFER = 1 << 20
SECONDS = 120.0


@dataclass(frozen=True)
class Case:
    """What is measured. :ivar count: requests a run, :ivar at_once: connections. :ivar size: bytes of each object."""

    name: str
    method: str
    size: int
    count: int
    at_once: int
    runs: int


CASES = (
    Case("fleet GET 1 MiB x 256, 8 at once", "GET", MIB, 256, 8, 7),
    Case("fleet GET 1 GiB", "GET", 1024 * MIB, 1, 1, 5),
    Case("fleet PUT 4 KiB x 400, 16 at once", "PUT", 4096, 400, 16, 7),
    Case("fleet PUT 1 MiB x 64, 8 at once", "PUT", MIB, 64, 8, 7),
    Case("fleet PUT 512 MiB", "PUT", 512 * MIB, 1, 1, 5),
)

Sign = Callable[[str, str, int], bytes]
"""Makes the head of a request: (method, key, size of the body)."""


@dataclass(frozen=True)
class Server:
    """Whom requests are sent to. :ivar sign: for it."""

    port: int
    sign: Sign


class Connection:
    """A socket on which one request follows another."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(BUFFER)

    def ask(self, head: bytes, body: memoryview, times: int = 1) -> int:
        """Send a request whose body is `body`, `times` over; how many bytes the answer's body had."""
        if times == 1 and len(body) <= 65536:
            self._socket.sendall(head + body)
        else:
            self._socket.sendall(head)
            for _ in range(times if body else 0):
                self._socket.sendall(body)
        view = memoryview(self._buffer)
        got = 0
        while (end := self._buffer.find(b"\r\n\r\n", 0, got)) < 0:
            received = self._socket.recv_into(view[got:])
            assert received, "the server closed"
            got += received
        lines = bytes(view[:end]).decode("latin-1").lower().split("\r\n")
        assert lines[0].split()[1] in {"200", "201", "204"}, lines
        size = next((int(each.partition(":")[2]) for each in lines if each.startswith("content-length:")), 0)
        left = size - (got - end - 4)
        while left:
            received = self._socket.recv_into(view, min(left, BUFFER))
            assert received, "the server closed"
            left -= received
        return size

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def run_case(case: Case, server: Server, number: int) -> None:
    """Do all requests of a case once. :param number: of the run: what is put is new each time."""
    piece = memoryview(bytes(min(case.size, MIB)) if case.method == "PUT" else b"")
    times = max(1, case.size // MIB) if case.method == "PUT" else 1
    keys = [f"host/{case.method}-{case.size}/{number if case.method == 'PUT' else 0}-{i}" for i in range(case.count)]
    heads = [server.sign(case.method, key, case.size if case.method == "PUT" else 0) for key in keys]
    failed: list[BaseException] = []

    def work(mine: list[bytes]) -> None:
        try:
            connection = Connection(server.port)
            for head in mine:
                size = connection.ask(head, piece, times)
                assert case.method == "PUT" or size == case.size, size
            connection.close()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(heads[at :: case.at_once],)) for at in range(case.at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def make_signer(port: int, bucket: str, access_key: str, secret: str) -> Sign:
    """Signs requests to a server, with the body left out. :param bucket: is there."""
    host = f"127.0.0.1:{port}"

    def sign(method: str, key: str, size: int) -> bytes:
        target = f"/{bucket}/{key}"
        headers = {"host": host, "content-length": str(size)}
        signed = sign_request(method, target, headers, access_key, secret, now=time.time())
        return "".join(
            [f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {text}\r\n" for name, text in signed.items()), "\r\n"]
        ).encode()

    return sign


def fill(case: Case, server: Server) -> None:
    """Put what a case reads."""
    piece = memoryview(bytes(MIB))
    connection = Connection(server.port)
    for number in range(case.count):
        connection.ask(server.sign("PUT", f"host/GET-{case.size}/0-{number}", case.size), piece, case.size // MIB)
    connection.close()


@contextmanager
def running_fleet(folder: Path) -> Iterator[Server]:
    """A fleet of two servers with a disk each; the one that leads the host of all cases, as a client of many hosts
    would ask it half of the time."""
    with FleetProcesses(folder, disks=1, mapper_words=(), relays=False) as fleet:
        fleet.start()
        for path in (f"/{BUCKET}", f"/{BUCKET}/host/first"):
            assert fleet.client.ask(fleet.storage[0].url, "PUT", path).status == 200
        leader = fleet.map().placements[0].leader
        port = next(each.port for each in fleet.storage if each.name == leader)
        yield Server(port, make_signer(port, BUCKET, fleet.key.access_key, fleet.key.secret))


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. :ivar runs: pairs of each case, 0 for its own number. :ivar folder: fresh."""

    cases: tuple[Case, ...]
    runs: int
    folder: Path


@contextmanager
def reading_arguments(description: str) -> Iterator[Asked]:
    """The command line, and a folder for as long as the block lasts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", help="parts of the cases' names; all when none is given")
    parser.add_argument("--runs", type=int, default=0, help="pairs of each case")
    parser.add_argument("--folder", type=Path, help="where both keep their files")
    asked = parser.parse_args()
    cases = tuple(case for case in CASES if not asked.names or any(name in case.name for name in asked.names))
    compile_all()
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-", dir=asked.folder))
    folder.chmod(0o755)
    try:
        yield Asked(cases, asked.runs, folder)
    finally:
        shutil.rmtree(folder)


def make_run(case: Case, server: Server) -> Callable[[], None]:
    """Does all requests of a case when it is called, each time as another run; what is read is there."""
    if case.method == "GET":
        fill(case, server)
    numbers = itertools.count()
    return lambda: run_case(case, server, next(numbers))


def measure_all(
    asked: Asked, ours: Server, peers: Callable[[Case], Mapping[str, Callable[[], None]]]
) -> list[dict[str, object]]:
    """Each case with each of its peers, as bench/run.py describes it."""
    found = []
    for case in asked.cases:
        act = make_run(case, ours)
        for peer, ask in peers(case).items():
            found.append(measure(case.name, act, peer, ask, runs=asked.runs or case.runs))
            print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    return found

"""The fleet's S3 against nginx on the same machine: reads of 1 MiB and 1 GiB, writes of 4 KiB, 1 MiB and 512 MiB.

    python bench/fleet_nginx.py [--runs N] [NAME...]

Ours checks every byte it reads, and acknowledges a write when it is durable (fsync) on two disks of two servers, with
MD5 and BLAKE3; nginx sends files as they are, and keeps one copy of what is put (WebDAV) without fsync and sums. What
the disk itself takes for two durable copies is shown by two dd's at once, with fdatasync. The client is the same for
both: threads with a socket each, kept open, whose requests were signed before. Both are asked for the same, in turn.
Prints a JSON list as bench/run.py describes it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drystone.fleet.s3.signing import sign_request
from drystone.testing.fleet.mounts import dying
from drystone.testing.fleet.processes import FleetProcesses, find_port, wait_until
from pairs import compile_all, measure

BUCKET = "bench"
MIB = 1 << 20
BUFFER = 1 << 20
SECONDS = 120.0

NGINX = """\
worker_processes 2;
daemon off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  client_max_body_size 0;
  client_body_temp_path temporary;
  proxy_temp_path temporary; fastcgi_temp_path temporary; uwsgi_temp_path temporary; scgi_temp_path temporary;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    root files;
    dav_methods PUT;
    create_full_put_path on;
  }}
}}
"""


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


def run_case(case: Case, port: int, sign: Sign, number: int) -> None:
    """Do all requests of a case once. :param number: of the run: what is put is new each time."""
    piece = memoryview(bytes(min(case.size, MIB)) if case.method == "PUT" else b"")
    times = max(1, case.size // MIB) if case.method == "PUT" else 1
    keys = [f"host/{case.method}-{case.size}/{number if case.method == 'PUT' else 0}-{i}" for i in range(case.count)]
    heads = [sign(case.method, key, case.size if case.method == "PUT" else 0) for key in keys]
    failed: list[BaseException] = []

    def work(mine: list[bytes]) -> None:
        try:
            connection = Connection(port)
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


@contextmanager
def serving_nginx(folder: Path) -> Iterator[int]:
    """nginx over `folder`/files; its port."""
    port = find_port()
    for name in ("files", "temporary"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o777)  # its workers are nobody when we are root
    (folder / "nginx.conf").write_text(NGINX.format(port=port))
    command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    process = subprocess.Popen(dying(command), cwd=folder)
    try:

        def listens() -> bool:
            with socket.socket() as trial:
                return trial.connect_ex(("127.0.0.1", port)) == 0

        wait_until("nginx listens", listens)
        yield port
    finally:
        process.terminate()
        process.wait()


def sign_for_nginx(method: str, key: str, size: int) -> bytes:
    """A request that nobody signs."""
    return f"{method} /{BUCKET}/{key} HTTP/1.1\r\nHost: bench\r\nContent-Length: {size}\r\n\r\n".encode()


def signer(fleet: FleetProcesses, port: int) -> Sign:
    """Signs requests to one server, with the body left out."""
    host = f"127.0.0.1:{port}"

    def sign(method: str, key: str, size: int) -> bytes:
        target = f"/{BUCKET}/{key}"
        headers = {"host": host, "content-length": str(size)}
        access = fleet.key
        signed = sign_request(method, target, headers, access.access_key, access.secret, now=time.time())
        return "".join(
            [f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {text}\r\n" for name, text in signed.items()), "\r\n"]
        ).encode()

    return sign


def run_numbered(case: Case, port: int, sign: Sign, numbers: Iterator[int]) -> None:
    """Do all requests of a case, as its next run."""
    run_case(case, port, sign, next(numbers))


def find_peers(case: Case, port: int, folder: Path) -> dict[str, Callable[[], None]]:
    """What a case is compared with. :param port: of nginx."""
    peers: dict[str, Callable[[], None]] = {
        "nginx": partial(run_numbered, case, port, sign_for_nginx, itertools.count()),
    }
    if case.method == "PUT" and case.size > 100 * MIB:
        peers["two dd with fdatasync"] = partial(write_twice, folder, case.size)
    return peers


def write_twice(folder: Path, size: int) -> None:
    """Two durable copies of `size` bytes, without a network and without sums."""
    copies = [folder / f"copy-{number}" for number in range(2)]
    words = ["dd", "if=/dev/zero", "bs=1M", f"count={size // MIB}", "conv=fdatasync", "status=none"]
    writers = [subprocess.Popen([*words, f"of={copy}"]) for copy in copies]
    assert [writer.wait() for writer in writers] == [0, 0]
    for copy in copies:
        copy.unlink()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The fleet's S3 against nginx.")
    parser.add_argument("names", nargs="*", help="parts of the cases' names; all when none is given")
    parser.add_argument("--runs", type=int, default=0, help="pairs of each case")
    parser.add_argument("--folder", type=Path, help="where both keep their files")
    asked = parser.parse_args()
    cases = [case for case in CASES if not asked.names or any(name in case.name for name in asked.names)]
    compile_all()
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-", dir=asked.folder))
    folder.chmod(0o755)
    found = []
    try:
        with (
            FleetProcesses(folder / "fleet", disks=1, mapper_words=(), relays=False) as fleet,
            serving_nginx(folder / "nginx") as port,
        ):
            fleet.start()
            ours = find_leader(fleet)
            sign = signer(fleet, ours)
            numbers = itertools.count()
            for case in cases:
                if case.method == "GET":
                    fill(case, ours, sign)
                    fill(case, port, sign_for_nginx)
                for peer, ask in find_peers(case, port, folder).items():
                    act = partial(run_numbered, case, ours, sign, numbers)
                    found.append(measure(case.name, act, peer, ask, runs=asked.runs or case.runs))
                    print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found))


def find_leader(fleet: FleetProcesses) -> int:
    """The port of the server that leads the host, as a client of many hosts would ask it half of the time."""
    for path in (f"/{BUCKET}", f"/{BUCKET}/host/first"):
        assert fleet.client.ask(fleet.storage[0].url, "PUT", path).status == 200
    leader = fleet.map().placements[0].leader
    return next(each.port for each in fleet.storage if each.name == leader)


def fill(case: Case, port: int, sign: Sign) -> None:
    """Put what a case reads."""
    piece = memoryview(bytes(MIB))
    connection = Connection(port)
    for number in range(case.count):
        connection.ask(sign("PUT", f"host/GET-{case.size}/0-{number}", case.size), piece, case.size // MIB)
    connection.close()


if __name__ == "__main__":
    main()

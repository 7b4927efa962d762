"""A TCP proxy on loopback between a client and a real server, which fails as networks do.

with FaultyProxy(server.port) as proxy:
    proxy.plan(lambda number, line: CutAnswer(0) if line.startswith("PUT ") else None)

It knows no more of HTTP than that a request begins when the client speaks for the first time, or for the first time
since the server spoke; so it serves clients that wait for an answer before they ask again on a connection.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

_CHUNK = 16 * 1024
_ALL = 1 << 62
_SECONDS = 60.0
_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """The connection is closed after this many bytes of the answer; 0: it is done, and the client never hears."""

    after: int


@dataclass(frozen=True, slots=True)
class CutRequest:
    """The connection is closed after this many bytes of the request reached the server."""

    after: int


@dataclass(frozen=True, slots=True)
class Slow:
    """Both ways at this many bytes a second."""

    rate: int


@dataclass(frozen=True, slots=True)
class Silence:
    """The request reaches the server, and nothing of the answer comes: the connection stays open."""


@dataclass(frozen=True, slots=True)
class BadGateway:
    """The request is done by the server, and the client is told 502, as by a proxy that lost the answer."""


Fault = CutAnswer | CutRequest | Slow | Silence | BadGateway
Plan = Callable[[int, str], Fault | None]
"""The fault of a request, by its number (from 0) and its first line; None: all is well."""


def fail_once(fault: Fault, verb: str, key: str) -> Plan:
    """The first request with this verb and `key` in its line fails so, and no other."""
    done: list[str] = []

    def plan(_number: int, line: str) -> Fault | None:
        if not done and line.startswith(f"{verb} ") and key in line:
            done.append(line)
            return fault
        return None

    return plan


class FaultyProxy:
    """Listens between `__enter__` and `__exit__`.

    :ivar port: on 127.0.0.1. :ivar lines: the first line of every request so far.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._plan: Plan = lambda _number, _line: None
        self._listening: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.port = 0
        self.lines: list[str] = []

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def plan(self, plan: Plan | None) -> None:
        """How requests fail from now on; None: not at all."""
        with self._lock:
            self._plan = plan or (lambda _number, _line: None)

    def refuse(self) -> None:
        """Stop listening and break every connection, as a host does whose server died."""
        self._closed.set()
        if self._listening is not None:
            # A thread in accept(2) does not notice that its socket was closed; shut down, it does.
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_SECONDS)
            assert not thread.is_alive(), "the proxy does not end"
        self._threads.clear()

    def listen(self) -> None:
        """Listen (again), on the same port."""
        self._closed.clear()
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        self._start(self._accept, self._listening)

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    def _start(self, function: Callable[[socket.socket], None], argument: socket.socket) -> None:
        thread = threading.Thread(target=function, args=(argument,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while not self._closed.is_set():
            try:
                client, _ = listening.accept()
            except OSError:
                return
            self._start(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            with self._lock:
                self._open |= {client, server}
            try:
                if not self._closed.is_set():
                    _Pipe(client, server, self._begin).run()
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _begin(self, line: str) -> Fault | None:
        with self._lock:
            number, plan = len(self.lines), self._plan
            self.lines.append(line)
        return plan(number, line)


class _Pipe:
    """One connection, carried by the thread that calls `run`."""

    def __init__(self, client: socket.socket, server: socket.socket, begin: Callable[[str], Fault | None]) -> None:
        self._client = client
        self._server = server
        self._begin = begin
        self._fault: Fault | None = None
        self._speaker: Literal["client", "server"] = "server"
        self._sent = 0  # bytes of this request, then of its answer

    def run(self) -> None:
        """Until either side closes, or the plan says so."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._client, selectors.EVENT_READ, self._from_client)
            selector.register(self._server, selectors.EVENT_READ, self._from_server)
            while True:
                for key, _ in selector.select():
                    if not key.data():
                        return

    def _from_client(self) -> bool:
        data = self._client.recv(_CHUNK)
        if not data:
            return False
        if self._speaker == "server":
            self._speaker, self._sent = "client", 0
            self._fault = self._begin(data.partition(b"\r\n")[0].decode("latin-1"))
        return self._pass(data, self._server, self._fault.after if isinstance(self._fault, CutRequest) else _ALL)

    def _from_server(self) -> bool:
        data = self._server.recv(_CHUNK)
        if not data:
            return False
        if self._speaker == "client":
            self._speaker, self._sent = "server", 0
        if isinstance(self._fault, Silence):
            return True
        if isinstance(self._fault, BadGateway):
            self._client.sendall(_BAD_GATEWAY)
            return False
        return self._pass(data, self._client, self._fault.after if isinstance(self._fault, CutAnswer) else _ALL)

    def _pass(self, data: bytes, to: socket.socket, most: int) -> bool:
        """Hand on as much as may go; False when that was the last."""
        part = data[: max(0, most - self._sent)]
        if isinstance(self._fault, Slow):
            time.sleep(len(part) / self._fault.rate)
        to.sendall(part)
        self._sent += len(part)
        return len(part) == len(data) and self._sent < most

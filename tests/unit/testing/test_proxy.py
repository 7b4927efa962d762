"""The proxy that fails, in front of a server that answers every line with itself, three times."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from drystone.testing.proxy import CutAnswer, CutRequest, Fault, FaultyProxy, Silence, Slow

LINE = b"GET 123456\r\n"


class Threefold(socketserver.StreamRequestHandler):
    heard: list[bytes]

    def handle(self) -> None:
        for line in self.rfile:
            self.heard.append(line)
            self.wfile.write(line * 3)


@pytest.fixture
def heard() -> list[bytes]:
    return []


@pytest.fixture
def proxy(heard: list[bytes]) -> Iterator[FaultyProxy]:
    handler = type("Handler", (Threefold,), {"heard": heard})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            with FaultyProxy(server.server_address[1]) as listening:
                yield listening
        finally:
            server.shutdown()
            serving.join()


def ask(client: socket.socket, line: bytes = LINE) -> bytes:
    """What comes back before the connection is closed, or until it is all there."""
    client.sendall(line)
    client.settimeout(1.0)
    answer = b""
    while len(answer) < 3 * len(line):
        try:
            part = client.recv(1000)
        except TimeoutError:
            break
        if not part:
            break
        answer += part
    return answer


def test_all_is_well(proxy: FaultyProxy, heard: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        assert ask(client) == LINE * 3
        assert ask(client, b"PUT\r\n") == b"PUT\r\n" * 3
    assert heard == [LINE, b"PUT\r\n"]
    assert proxy.lines == ["GET 123456", "PUT"]


@pytest.mark.parametrize(
    ("fault", "answer", "reached"),
    [
        (CutAnswer(0), b"", True),
        (CutAnswer(5), (LINE * 3)[:5], True),
        (CutRequest(0), b"", False),
        (CutRequest(4), b"", False),
        (Silence(), b"", True),
    ],
)
def test_faults(fault: Fault, answer: bytes, *, reached: bool, proxy: FaultyProxy, heard: list[bytes]) -> None:
    proxy.plan(lambda number, _line: fault if number == 1 else None)
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        assert ask(client) == LINE * 3
        assert ask(client) == answer
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        assert ask(client) == LINE * 3
    assert heard.count(LINE) == 2 + reached


def test_slowness(proxy: FaultyProxy) -> None:
    proxy.plan(lambda _number, _line: Slow(200))
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        assert ask(client) == LINE * 3
    assert time.monotonic() - begun > 4 * len(LINE) / 200 * 0.9


def test_refusing_and_listening_again(proxy: FaultyProxy) -> None:
    port = proxy.port
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert ask(client) == LINE * 3
        proxy.refuse()
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port)):
            pass
        proxy.listen()
        assert proxy.port == port
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert ask(client) == LINE * 3

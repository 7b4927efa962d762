"""The NBD server as a client sees it: negotiation, reads, refusals, errors, ends."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, DrystoneError
from drystone.wire.nbd.protocol import LARGEST_READ, TRANSMISSION_FLAGS, Description
from drystone.wire.nbd.server import CONNECTIONS, WORKERS, NbdServer

DISK = random.Random(5).randbytes(1 << 20)
REPLY = 0x3E889045565A9


class Client:
    """The client's side, written from the protocol's document."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        stream.settimeout(20)

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.stream.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def greet(self, flags: int = 3) -> None:
        assert self.take(18) == b"NBDMAGICIHAVEOPT\x00\x03"
        self.stream.sendall(struct.pack(">I", flags))

    def option(self, kind: int, data: bytes = b"") -> None:
        self.stream.sendall(b"IHAVEOPT" + struct.pack(">II", kind, len(data)) + data)

    def reply(self) -> tuple[int, int, bytes]:
        magic, option, kind, length = struct.unpack(">QIII", self.take(20))
        assert magic == REPLY
        return option, kind, self.take(length)

    def request(self, command: int, cookie: int, offset: int = 0, length: int = 0, data: bytes = b"") -> None:
        self.stream.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, cookie, offset, length) + data)

    def answer(self) -> tuple[int, int]:
        magic, error, cookie = struct.unpack(">IIQ", self.take(16))
        assert magic == 0x67446698
        return error, cookie

    def read(self, offset: int, length: int) -> bytes:
        self.request(0, 99, offset, length)
        assert self.answer() == (0, 99)
        return self.take(length)


def read_disk(offset: int, length: int) -> bytes:
    if offset == 4096 * 7:
        raise DamagedError("it is broken")
    if offset == 4096 * 8:
        raise ZeroDivisionError("a defect")
    return DISK[offset : offset + length]


@pytest.fixture
def failures() -> list[DrystoneError]:
    return []


@pytest.fixture
def server(failures: list[DrystoneError]) -> Iterator[NbdServer]:
    with NbdServer(Description("image", len(DISK)), read_disk, failed=failures.append) as made:
        yield made


@pytest.fixture
def client(server: NbdServer) -> Iterator[Client]:
    near, far = socket.socketpair()
    server.serve(far, negotiate=True)
    with near:
        yield Client(near)


@pytest.fixture
def reader(server: NbdServer) -> Iterator[Client]:
    near, far = socket.socketpair()
    server.serve(far, negotiate=False)
    with near:
        yield Client(near)


@pytest.mark.parametrize("name", [b"", b"image"])
def test_go_chooses_the_export(client: Client, name: bytes) -> None:
    client.greet()
    client.option(7, struct.pack(">I", len(name)) + name + struct.pack(">HH", 1, 3))
    assert client.reply() == (7, 3, struct.pack(">HQH", 0, len(DISK), TRANSMISSION_FLAGS))
    assert client.reply() == (7, 3, struct.pack(">HIII", 3, 1, 4096, LARGEST_READ))
    assert client.reply() == (7, 1, b"")
    assert client.read(1000, 5000) == DISK[1000:6000]


@pytest.mark.parametrize(("flags", "zeros"), [(1, 124), (3, 0)])
def test_export_name_of_older_clients(client: Client, flags: int, zeros: int) -> None:
    client.greet(flags)
    client.option(1, b"image")
    assert client.take(10 + zeros) == struct.pack(">QH", len(DISK), TRANSMISSION_FLAGS) + bytes(zeros)
    assert client.read(0, 512) == DISK[:512]


def test_options_before_an_export_is_chosen(client: Client) -> None:
    client.greet()
    client.option(3)
    assert client.reply() == (3, 2, b"\0\0\0\x05image")
    assert client.reply() == (3, 1, b"")
    client.option(3, b"x")
    assert client.reply()[1] == 0x80000003
    for unknown in (5, 8, 9, 10, 4711):
        client.option(unknown, b"abc")
        assert client.reply() == (unknown, 0x80000001, b"")
    client.option(6, b"\0\0\0\x05other\0\0")
    assert client.reply()[1] == 0x80000006
    for wrong in (b"", b"\0\0\0\xff\0\0", b"\0\0\0\0\0\x02\0\0", b"\xff\xff\xff\xff" + bytes(8)):
        client.option(7, wrong)
        assert client.reply()[1] == 0x80000003
    client.option(6, b"\0\0\0\0\0\0")
    assert [client.reply()[1] for _ in range(3)] == [3, 3, 1]
    client.option(2)
    assert client.reply() == (2, 1, b"")
    with pytest.raises(EOFError):
        client.take(1)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", 4),
        struct.pack(">I", 3) + b"IHAVEOPX" + bytes(8),
        struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 7, 1 << 30),
        struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 1, 5) + b"other",
    ],
)
def test_what_cannot_be_answered_ends_the_connection(client: Client, data: bytes) -> None:
    client.take(18)
    client.stream.sendall(data)
    with pytest.raises((EOFError, ConnectionResetError)):
        client.take(1)


def test_changes_are_refused_and_reads_go_on(reader: Client) -> None:
    reader.request(1, 1, 0, 3 << 20, bytes(3 << 20))
    assert reader.answer() == (1, 1)
    for command in (4, 6):
        reader.request(command, 2, 0, 4096)
        assert reader.answer() == (1, 2)
    for command, offset, length in ((7, 0, 0), (0, len(DISK) - 1, 2), (0, 1 << 63, 1), (0, 0, LARGEST_READ + 1)):
        reader.request(command, 3, offset, length)
        assert reader.answer() == (22, 3)
    reader.request(3, 4)
    assert reader.answer() == (0, 4)
    assert reader.read(len(DISK) - 1, 1) == DISK[-1:]
    reader.request(2, 5)
    with pytest.raises(EOFError):
        reader.take(1)


def test_damage_and_defects_are_errors_of_the_request_alone(reader: Client, failures: list[DrystoneError]) -> None:
    for at in (7, 8):
        reader.request(0, 7, 4096 * at, 4096)
        assert reader.answer() == (5, 7)
    assert [each.code for each in failures] == ["damaged", "internal"]
    assert reader.read(0, 10) == DISK[:10]


@pytest.mark.parametrize("data", [bytes(28), struct.pack(">IHHQQI", 0x25609513, 0, 1, 0, 0, 1 << 31)])
def test_what_is_no_request_ends_the_connection(reader: Client, data: bytes) -> None:
    reader.stream.sendall(data)
    with pytest.raises((EOFError, ConnectionResetError)):
        reader.take(1)


def test_many_requests_are_answered_whatever_their_order(reader: Client) -> None:
    rng = random.Random(1)
    asked = {cookie: (rng.randrange(len(DISK) - 9000), rng.randrange(1, 9000)) for cookie in range(200)}
    asked = {cookie: range_ for cookie, range_ in asked.items() if range_[0] not in {4096 * 7, 4096 * 8}}
    requests = list(asked.items())

    def send() -> None:
        for cookie, (offset, length) in requests:
            reader.request(0, cookie, offset, length)

    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(len(asked)):
        error, cookie = reader.answer()
        offset, length = asked.pop(cookie)
        assert (error, reader.take(length)) == (0, DISK[offset : offset + length])
    sender.join()


def test_a_listening_socket_serves_several_clients_until_it_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "nbd")
    server = NbdServer(Description("image", len(DISK)), read_disk)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    server.listen(listener)
    clients = []
    for _ in range(3):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(path)
        clients.append(Client(stream))
        clients[-1].greet()
        clients[-1].option(1, b"")
        clients[-1].take(10)
        assert clients[-1].read(3, 3) == DISK[3:6]
    server.close()
    for each in clients:
        with pytest.raises(EOFError):
            each.take(1)
        each.stream.close()
    near, far = socket.socketpair()
    server.serve(far, negotiate=True)
    assert near.recv(1) == b""
    near.close()


def test_a_client_that_breaks_off_leaves_no_thread(server: NbdServer) -> None:
    for sent in (b"", b"\0", struct.pack(">IHHQQI", 0x25609513, 0, 1, 0, 0, 4096) + b"few"):
        near, far = socket.socketpair()
        server.serve(far, negotiate=False)
        near.sendall(sent)
        near.close()
    server.close()
    assert not [each.name for each in threading.enumerate() if each.name.startswith("nbd")]


def test_close_waits_for_a_thread_that_is_about_to_end(server: NbdServer) -> None:
    near, far = socket.socketpair()
    about, go_on = threading.Event(), threading.Event()
    ended: list[bool] = []

    def note_the_end() -> None:
        about.set()
        go_on.wait(10)
        ended.append(True)

    server.serve(far, negotiate=False, ended=note_the_end)
    near.close()
    assert about.wait(10)
    threading.Timer(0.05, go_on.set).start()
    server.close()
    assert ended == [True]


def test_a_client_that_takes_no_replies_stops_itself_alone(server: NbdServer) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    for _, far in pairs:
        server.serve(far, negotiate=False)
    stuck, other = (Client(near) for near, _ in pairs)
    for cookie in range(14):
        stuck.request(0, cookie, 4096 * 9, 900_000)
    time.sleep(0.2)  # its replies fill the line
    assert other.read(4096 * 9, 4096) == DISK[4096 * 9 :][:4096]
    for near, _ in pairs:
        near.close()


def listen(server: NbdServer, path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    server.listen(listener)


def connect(path: Path) -> Client:
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(str(path))
    return Client(stream)


def test_connections_are_bounded_and_one_that_ends_makes_room(server: NbdServer, tmp_path: Path) -> None:
    listen(server, tmp_path / "nbd")
    clients = [connect(tmp_path / "nbd") for _ in range(CONNECTIONS)]
    for each in clients:
        each.greet()
    refused = connect(tmp_path / "nbd")
    with pytest.raises((EOFError, ConnectionResetError)):
        refused.take(1)
    refused.stream.close()
    clients.pop().stream.close()
    end = time.monotonic() + 60
    while True:  # until the server has seen that it ended
        client = connect(tmp_path / "nbd")
        with contextlib.suppress(EOFError, ConnectionResetError):
            client.greet()
            break
        client.stream.close()
        assert time.monotonic() < end
    for each in (*clients, client):
        each.stream.close()


def test_a_server_without_a_file_descriptor_left_takes_the_next_client(server: NbdServer, tmp_path: Path) -> None:
    listen(server, tmp_path / "nbd")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    first, second = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    resource.setrlimit(resource.RLIMIT_NOFILE, (second.fileno() + 1, limits[1]))
    try:
        first.connect(str(tmp_path / "nbd"))
        time.sleep(0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    second.connect(str(tmp_path / "nbd"))
    for each in (first, second):
        Client(each).greet()
        each.close()


def test_what_has_not_begun_when_the_server_ends_is_not_read() -> None:
    began, hold = threading.Semaphore(0), threading.Event()
    reads: list[int] = []

    def read(offset: int, length: int) -> bytes:
        reads.append(offset)
        began.release()
        hold.wait(120)
        return bytes(length)

    server = NbdServer(Description("image", 1 << 20), read)
    near, far = socket.socketpair()
    server.serve(far, negotiate=False)
    reader = Client(near)
    for cookie in range(12):
        reader.request(0, cookie, 512 * cookie, 512)
    for _ in range(WORKERS):
        assert began.acquire(timeout=120)
    ending = threading.Thread(target=server.close)
    ending.start()
    assert near.recv(1) == b""  # it has been shut down
    hold.set()
    ending.join(120)
    assert sorted(reads) == [512 * each for each in range(WORKERS)]
    near.close()


def test_a_client_is_answered_though_nobody_can_be_told() -> None:
    def refuse(error: DrystoneError) -> None:
        raise BrokenPipeError(str(error))

    with NbdServer(Description("image", len(DISK)), read_disk, failed=refuse) as deaf:
        near, far = socket.socketpair()
        deaf.serve(far, negotiate=False)
        reader = Client(near)
        for at in (7, 8):
            reader.request(0, at, 4096 * at, 4096)
            assert reader.answer() == (5, at)
        near.close()


def test_a_read_that_gives_another_length_is_an_error_of_ours(failures: list[DrystoneError]) -> None:
    with NbdServer(Description("image", 1 << 20), lambda _offset, _length: b"few", failed=failures.append) as server:
        near, far = socket.socketpair()
        server.serve(far, negotiate=False)
        reader = Client(near)
        reader.request(0, 7, 0, 4096)
        assert reader.answer() == (5, 7)
        assert reader.read(0, 3) == b"few"
        near.close()
    assert [each.code for each in failures] == ["internal"]

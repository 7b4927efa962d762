"""The power-cut disk's server, over a socketpair: what is in the file, and when; requests that are none."""

from __future__ import annotations

import errno
import io
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drystone.base.errors import DamagedError
from drystone.lab.disklog import FLUSH, LARGEST_WRITE, TRIM, WRITE, Record, read_records
from drystone.lab.guest import nbd
from drystone.lab.guest.nbd import CachedFile, serve

SIZE = 1 << 20


class Disk:
    """A disk that is served by a thread, with its backing file and a client's end."""

    def __init__(self, folder: Path, limit: int = 1 << 30) -> None:
        self.path = folder / "disk"
        self.path.write_bytes(bytes(SIZE))
        self.log_path = folder / "log"
        self.handle = os.open(self.path, os.O_RDWR)
        self.log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.cached = CachedFile(self.handle, SIZE, limit)
        self.client, self.server = socket.socketpair()
        self.client.settimeout(10)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        try:
            serve(self.server, self.cached, self.log)
        except (DamagedError, OSError) as error:
            self.failure = error
        finally:
            self.server.close()

    def ask(self, command: int, offset: int = 0, size: int = 0, data: bytes = b"", flags: int = 0) -> tuple[int, bytes]:
        self.client.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, command, 7, offset, size) + data)
        head = nbd.receive(self.client, nbd.REPLY.size)
        assert head is not None, "the server closed"
        magic, number, handle = nbd.REPLY.unpack(head)
        assert (magic, handle) == (nbd.REPLY_MAGIC, 7)
        answer = nbd.receive(self.client, size) if command == nbd.CMD_READ and not number else b""
        assert answer is not None
        return number, answer

    def write(self, offset: int, data: bytes, flags: int = 0) -> None:
        assert self.ask(nbd.CMD_WRITE, offset, len(data), data, flags) == (0, b"")

    def read(self, offset: int, size: int) -> bytes:
        number, data = self.ask(nbd.CMD_READ, offset, size)
        assert number == 0
        return data

    def stored(self, offset: int, size: int) -> bytes:
        """What would be there after a power cut."""
        return self.path.read_bytes()[offset : offset + size]

    def close(self) -> None:
        self.client.close()
        self.thread.join(120)
        assert not self.thread.is_alive()
        self.cached.close()
        os.close(self.handle)
        os.close(self.log)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.close()


def test_a_write_is_read_back_and_lost_until_it_is_flushed(disk: Disk) -> None:
    disk.write(512, b"a" * 512)
    assert disk.read(512, 512) == b"a" * 512
    assert disk.stored(512, 512) == bytes(512)
    assert disk.ask(nbd.CMD_FLUSH) == (0, b"")
    assert disk.stored(0, 1536) == bytes(512) + b"a" * 512 + bytes(512)
    assert disk.read(512, 512) == b"a" * 512


def test_a_forced_write_is_durable_alone(disk: Disk) -> None:
    disk.write(0, b"lazy" * 128)
    disk.write(512, b"hard" * 128, nbd.FLAG_FUA)
    assert disk.stored(0, 1024) == bytes(512) + b"hard" * 128
    assert disk.read(0, 1024) == b"lazy" * 128 + b"hard" * 128


def test_the_newer_of_two_writes_wins_whichever_was_forced(disk: Disk) -> None:
    disk.write(0, b"1" * 4096)
    disk.write(0, b"2" * 512, nbd.FLAG_FUA)
    disk.write(512, b"3" * 512)
    disk.ask(nbd.CMD_FLUSH)
    assert disk.stored(0, 4096) == disk.read(0, 4096) == b"2" * 512 + b"3" * 512 + b"1" * 3072


def test_a_write_after_a_flush_is_lost_again(disk: Disk) -> None:
    disk.write(0, b"1" * 4096)
    disk.ask(nbd.CMD_FLUSH)
    disk.write(0, b"2" * 512)
    assert disk.read(0, 1024) == b"2" * 512 + b"1" * 512
    assert disk.stored(0, 1024) == b"1" * 1024


def test_a_full_cache_writes_itself_back(tmp_path: Path) -> None:
    disk = Disk(tmp_path, limit=16 << 10)
    for number in range(5):
        disk.write(number * 4096, b"x" * 4096)
    assert disk.stored(0, 5 * 4096) == b"x" * 5 * 4096
    disk.write(5 * 4096, b"y" * 4096)
    assert disk.stored(5 * 4096, 4096) == bytes(4096)
    disk.close()


def test_a_flush_that_fails_says_so_and_the_next_one_makes_it_good(tmp_path: Path) -> None:
    disk = Disk(tmp_path, limit=16 << 10)
    read_only, good = os.open(disk.path, os.O_RDONLY), os.dup(disk.handle)
    os.dup2(read_only, disk.handle)
    disk.write(512, b"1" * 512)
    for _ in range(2):
        assert disk.ask(nbd.CMD_FLUSH)[0] == errno.EBADF
    assert disk.ask(nbd.CMD_WRITE, 0, 512, b"2" * 512, nbd.FLAG_FUA)[0] == errno.EBADF
    assert disk.ask(nbd.CMD_WRITE, 4096, 16384, b"3" * 16384)[0] == errno.EBADF  # more than the cache holds
    assert disk.read(0, 1024) == bytes(512) + b"1" * 512
    os.dup2(good, disk.handle)
    assert disk.ask(nbd.CMD_FLUSH) == (0, b"")
    assert disk.stored(0, 1024) == bytes(512) + b"1" * 512
    for handle in (read_only, good):
        os.close(handle)
    disk.close()


def test_a_trim_keeps_the_bytes(disk: Disk) -> None:
    disk.write(0, b"1" * 512)
    assert disk.ask(nbd.CMD_TRIM, 0, 512) == (0, b"")
    assert disk.read(0, 512) == b"1" * 512


@pytest.mark.parametrize(
    ("command", "offset", "size", "number"),
    [
        (nbd.CMD_WRITE, SIZE - 511, 512, errno.ENOSPC),
        (nbd.CMD_READ, SIZE - 511, 512, errno.EINVAL),
        (nbd.CMD_TRIM, SIZE, 512, errno.EINVAL),
        (nbd.CMD_READ, 1 << 63, 512, errno.EINVAL),
        (nbd.CMD_READ, 0, 0xFFFFFFFF, errno.EINVAL),
        (99, 0, 0, errno.EINVAL),
    ],
)
def test_what_cannot_be_done_is_answered_with_an_error(
    disk: Disk, command: int, offset: int, size: int, number: int
) -> None:
    data = bytes(size) if command == nbd.CMD_WRITE else b""
    assert disk.ask(command, offset, size, data) == (number, b"")
    assert disk.read(0, 512) == bytes(512)


def test_goodbye_ends_the_server(disk: Disk) -> None:
    disk.client.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_DISC, 0, 0, 0))
    disk.thread.join(120)
    assert not disk.thread.is_alive()
    assert disk.failure is None


@pytest.mark.parametrize(
    "request_",
    [b"x" * nbd.REQUEST.size, nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_WRITE, 0, 0, LARGEST_WRITE + 1)],
)
def test_what_is_no_request_ends_the_server_with_an_error_of_ours(disk: Disk, request_: bytes) -> None:
    disk.client.sendall(request_)
    disk.thread.join(120)
    assert isinstance(disk.failure, DamagedError)
    assert disk.path.read_bytes() == bytes(SIZE)


class Words:
    """A stream that holds some bytes and takes every answer."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def recv_into(self, buffer: memoryview, /) -> int:
        return self._data.readinto(buffer)

    def sendall(self, data: bytes, /) -> None:
        assert len(data) <= LARGEST_WRITE + nbd.REPLY.size


_requests = st.builds(
    nbd.REQUEST.pack,
    st.just(nbd.REQUEST_MAGIC),
    st.integers(0, 3),
    st.integers(0, 6),
    st.integers(0, 9),
    st.integers(0, 8192) | st.integers(0, (1 << 64) - 1),
    st.integers(0, 8192) | st.integers(0, (1 << 32) - 1),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.lists(_requests | st.binary(max_size=64), max_size=8))
def test_no_bytes_make_the_server_hang_or_fail_otherwise(tmp_path: Path, pieces: list[bytes]) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(8192))
    handle = os.open(path, os.O_RDWR)
    cached = CachedFile(handle, 8192, 1 << 20)
    try:
        serve(Words(b"".join(pieces)), cached)
    except DamagedError:
        pass
    finally:
        cached.close()
        os.close(handle)
    assert path.stat().st_size == 8192


def test_the_log_holds_every_request_in_order_also_unflushed_ones(disk: Disk) -> None:
    disk.write(512, b"a" * 512)
    disk.ask(nbd.CMD_FLUSH)
    disk.write(1024, b"b" * 512, nbd.FLAG_FUA)
    disk.ask(nbd.CMD_TRIM, 0, 4096)
    assert list(read_records(io.BytesIO(disk.log_path.read_bytes()))) == [
        Record(WRITE, 512, 512, b"a" * 512),
        Record(FLUSH),
        Record(WRITE, 1024, 512, b"b" * 512, forced=True),
        Record(TRIM, 0, 4096),
    ]


def test_a_torn_log_ends_before_the_torn_record() -> None:
    whole = Record(FLUSH).to_bytes()
    torn = Record(WRITE, 0, 512, bytes(512)).to_bytes()[:-1]
    assert list(read_records(io.BytesIO(whole + torn))) == [Record(FLUSH)]


def test_a_log_of_something_else_is_refused() -> None:
    with pytest.raises(DamagedError):
        list(read_records(io.BytesIO(struct.pack("<BBHIQ", WRITE, 0, 0, 1 << 31, 0))))
    with pytest.raises(DamagedError):
        list(read_records(io.BytesIO(b"x" * 16)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "force", "flush"]), st.integers(0, 40), st.integers(1, 12)), max_size=20
    )
)
def test_the_file_is_what_the_flushes_say(tmp_path: Path, steps: list[tuple[str, int, int]]) -> None:
    size = 52 * 512
    path = tmp_path / "disk"
    path.write_bytes(bytes(size))
    handle = os.open(path, os.O_RDWR)
    cached = CachedFile(handle, size, 1 << 30)
    seen, stable = bytearray(size), bytearray(size)
    waiting: set[int] = set()
    for number, (step, first, count) in enumerate(steps, 1):
        offset, data = first * 512, bytes([number]) * count * 512
        if step == "flush":
            cached.flush()
            stable, waiting = bytearray(seen), set()
            continue
        seen[offset : offset + len(data)] = data
        if step == "write":
            cached.write(offset, data)
            waiting.update(range(first, first + count))
        else:
            cached.write_through(offset, data)
            stable[offset : offset + len(data)] = data
    assert cached.read(0, size) == seen
    assert path.read_bytes() == stable
    cached.close()
    os.close(handle)

"""A command's client side against a supervisor that is played here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from drystone.base.errors import DrystoneError, ExhaustedError, TimedOutError, UnavailableError
from drystone.lab.command import Command, Result, feed
from drystone.lab.control import Connection, error_from
from drystone.lab.frames import WINDOW, Frame, FrameReader, encode_frame


class Played:
    """A command, and the other end of its connection."""

    def __init__(self) -> None:
        near, self.far = socket.socketpair()
        self.out, self.err = bytearray(), bytearray()
        self.command = Command(Connection(near), ["demo"], self.out.extend, self.err.extend)
        self._reader = FrameReader()

    def say(self, header: dict[str, object], payload: bytes = b"") -> None:
        self.far.sendall(encode_frame(header, payload))

    def hear(self, count: int) -> list[Frame]:
        found: list[Frame] = []
        while len(found) < count:
            found += self._reader.feed(self.far.recv(1 << 16))
        return found

    def close(self) -> None:
        self.command.close()
        self.far.close()


@pytest.fixture
def played() -> Iterator[Played]:
    made = Played()
    yield made
    made.close()


def test_output_is_taken_and_acknowledged_until_the_end(played: Played) -> None:
    played.say({"event": "out"}, b"one")
    played.say({"event": "err"}, b"two!")
    played.say({"event": "exit", "status": 3})
    assert played.command.pump() == 3
    assert (bytes(played.out), bytes(played.err)) == (b"one", b"two!")
    assert [header["bytes"] for header, _ in played.hear(2)] == [3, 4]


def test_input_waits_for_room(played: Played) -> None:
    feed(played.command, bytes(WINDOW + 1))
    played.command.drain()
    taken = 0
    while taken < WINDOW:
        taken += sum(len(payload) for _, payload in played.hear(1))
    played.far.settimeout(0.05)
    with pytest.raises(TimeoutError):
        played.far.recv(1)
    played.far.settimeout(10)
    played.say({"event": "ack", "bytes": 1000})
    (_, last), (end, _) = played.hear(2)
    assert (len(last), end) == (1, {"do": "eof"})


def test_input_for_a_command_that_has_ended_is_dropped(played: Played) -> None:
    played.say({"event": "exit", "status": 0})
    played.command.pump()
    played.command.write(b"late")
    played.command.close_input()


def test_a_terminals_size_is_passed_on(played: Played) -> None:
    played.command.resize(24, 80)
    assert played.hear(1) == [({"do": "resize", "terminal": [24, 80]}, b"")]


def test_a_command_that_cannot_be_started_says_why(played: Played) -> None:
    played.say({"event": "refused", "status": 127, "reason": "demo: No such file or directory"})
    assert played.command.pump() == 127
    assert played.err == b"demo: No such file or directory\n"


def test_a_time_limit_leaves_the_command_running(played: Played) -> None:
    with pytest.raises(TimedOutError, match=r"within 0\.01 s"):
        played.command.pump(0.01)
    played.say({"event": "exit", "status": 0})
    assert played.command.pump(10) == 0


def test_a_lost_guest_is_an_error_in_its_class(played: Played) -> None:
    played.say({"error": {"code": "unavailable", "message": "guest node1 went away"}})
    with pytest.raises(UnavailableError, match="node1"):
        played.command.pump()


def test_a_supervisor_that_closes_is_an_error(played: Played) -> None:
    played.far.close()
    with pytest.raises(UnavailableError, match="ended"):
        played.command.pump()


def test_closing_wakes_up_the_thread_that_receives(played: Played) -> None:
    played.command.drain()
    threading.Timer(0.05, played.command.close).start()
    with pytest.raises(UnavailableError):
        played.command.wait(10)


def test_an_error_keeps_its_class_and_facts() -> None:
    error = error_from(ExhaustedError("no room", hint="less", wanted=5).to_document())
    assert isinstance(error, ExhaustedError)
    assert (error.message, error.hint, error.facts) == ("no room", "less", {"wanted": 5})
    assert type(error_from({"code": "unheard-of", "message": "x"})) is DrystoneError


def test_a_result_that_failed_says_its_last_line() -> None:
    assert Result(("a",), 0, b"x", b"").check().text == "x"
    failed = Result(("mkfs",), -9, b"", b"first\nno space\n")
    assert failed.exit_code == 137
    with pytest.raises(DrystoneError, match="mkfs ended with 137 in the guest: no space"):
        failed.check()

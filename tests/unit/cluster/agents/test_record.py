"""The API as an agent uses it: commits, a past epoch, and an API that does not answer, or not what it should."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
import pytest
from msgspec.structs import replace

from drystone.base.errors import (
    DrystoneError,
    MismatchError,
    RefusedError,
    TimedOutError,
    UnavailableError,
    UsageError,
)
from drystone.cluster.agents.record import ApiRecord
from drystone.testing.cluster.bench import DLV
from drystone.wire.problems import to_problem

from .test_ihost import attached, without

DLV_, WISH = attached()
SMALLER = without(DLV_, WISH, "leg-1b")[1]


class FakeApi(ThreadingHTTPServer):
    """Answers by method. :ivar asked: method, path, token and body of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeHandler)
        self.answers: dict[str, tuple[int, bytes]] = {"POST": (200, msgspec.json.encode(SMALLER))}
        self.asked: list[tuple[str, str, str, object]] = []
        self.silence = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class FakeHandler(BaseHTTPRequestHandler):
    server: FakeApi

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_GET(self) -> None:
        self._answer(None)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name in the standard library
        """Nothing."""

    def _answer(self, body: object) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Authorization"], body))
        time.sleep(self.server.silence)
        status, data = self.server.answers[self.command]
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def problem(error: DrystoneError) -> tuple[int, bytes]:
    return 409, msgspec.json.encode(to_problem(error))


@pytest.fixture
def api() -> Iterator[FakeApi]:
    made = FakeApi()
    thread = Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    thread.join(30)
    made.server_close()


def record(api: FakeApi) -> ApiRecord:
    return ApiRecord(api.url, "the-token", "ihost-1", seconds=5)


def test_what_was_lost_is_committed_and_answered(api: FakeApi) -> None:
    assert record(api).shrink(WISH, ["leg-1b"]) == SMALLER
    body = {"ihost": "ihost-1", "attachment": 2, "epoch": 2, "set_epoch": 2, "legs": ["leg-1b"]}
    assert api.asked == [("POST", f"/v1/agents/dlvs/{DLV}/lost", "Bearer the-token", body)]


def test_what_was_copied_is_committed_and_answered(api: FakeApi) -> None:
    assert record(api).grow(WISH, ["leg-1b"]) == SMALLER
    assert api.asked[0][:2] == ("POST", f"/v1/agents/dlvs/{DLV}/copied")


def test_of_a_past_epoch_it_is_asked_what_holds_by_now(api: FakeApi) -> None:
    api.answers = {"POST": problem(MismatchError("past", epoch=3)), "GET": (200, msgspec.json.encode(SMALLER))}
    assert record(api).shrink(WISH, ["leg-1b"]) == SMALLER
    assert api.asked[1][:2] == ("GET", f"/v1/agents/dlvs/{DLV}/wish?ihost=ihost-1")


@pytest.mark.parametrize("error", [MismatchError("it is attached elsewhere"), RefusedError("no leg would be left")])
def test_a_refusal_is_the_same_error_here(api: FakeApi, error: DrystoneError) -> None:
    api.answers = {"POST": problem(error), "GET": problem(error)}
    with pytest.raises(type(error), match=error.message):
        record(api).shrink(WISH, ["leg-1b"])


@pytest.mark.parametrize(
    "wrong",
    [replace(SMALLER, dlv="another"), replace(SMALLER, attachment=9), replace(SMALLER, epoch=1)],
)
def test_an_answer_about_something_else_is_not_taken(api: FakeApi, wrong: msgspec.Struct) -> None:
    api.answers = {"POST": (200, msgspec.json.encode(wrong))}
    with pytest.raises(MismatchError):
        record(api).shrink(WISH, ["leg-1b"])


@pytest.mark.parametrize(
    "answer",
    [(200, b"{}"), (200, b"\xff"), (200, b"[" * 9999), (500, b"<html>"), (409, b"[]"), (200, b" " * (5 << 20))],
)
def test_an_answer_that_is_none_is_an_error(api: FakeApi, answer: tuple[int, bytes]) -> None:
    api.answers = {"POST": answer}
    with pytest.raises(DrystoneError):
        record(api).shrink(WISH, ["leg-1b"])


def test_an_api_that_is_silent_is_not_waited_for(api: FakeApi) -> None:
    api.silence = 2
    with pytest.raises(TimedOutError):
        ApiRecord(api.url, "the-token", "ihost-1", seconds=0.1).shrink(WISH, ["leg-1b"])


def test_an_api_that_is_not_there_is_unavailable(api: FakeApi) -> None:
    url = api.url
    api.socket.close()
    with pytest.raises(UnavailableError):
        ApiRecord(url, "the-token", "ihost-1").shrink(WISH, ["leg-1b"])


@pytest.mark.parametrize("url", ["", "127.0.0.1:7000", "ftp://127.0.0.1", "http://127.0.0.1/path", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        ApiRecord(url, "the-token", "ihost-1")

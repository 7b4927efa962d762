"""Requests: repeated until they are answered, at any server, by a clock that the test holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from drystone.base.errors import DrystoneError, NotFoundError, RefusedError, TimedOutError, UnavailableError
from drystone.cluster.client.api import Api, Request, place

Answer = tuple[int, bytes] | Exception


class Held:
    """A clock that goes on when it is slept by."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Scripted:
    """A server with answers in order; the last one is given again and again."""

    def __init__(self, *answers: Answer, url: str = "http://a") -> None:
        self.url = url
        self._answers = list(answers)
        self.asked: list[tuple[str, str, bytes | None, Mapping[str, str]]] = []

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self.asked.append((method, path, body, headers))
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def make_api(*servers: Scripted, patience: float = 10.0) -> tuple[Api, list[str]]:
    told: list[str] = []
    return Api(servers, "secret", patience=patience, told=told.append, clock=Held()), told


def test_what_is_sent() -> None:
    server = Scripted((200, b'{"a": 1}'))
    api, told = make_api(server)
    request = Request("POST", place("dlvs", "a/b ü"), {"dvg": "x&y", "force": True, "none": None}, {"size": 1}, "k1")
    assert api.ask(request).read(dict[str, int]) == {"a": 1}
    ((method, path, body, headers),) = server.asked
    assert (method, path) == ("POST", "/v1/dlvs/a%2Fb%20%C3%BC?dvg=x%26y&force=true")
    assert body == b'{"size":1}'
    assert headers == {
        "Accept": "application/json", "Content-Type": "application/json", "Authorization": "Bearer secret",
        "Idempotency-Key": "k1",
    }  # fmt: skip
    assert told == []


@pytest.mark.parametrize("failure", [UnavailableError("gone"), TimedOutError("late"), (503, b"{}"), (502, b"<html>")])
def test_a_server_that_does_not_answer_is_asked_again_until_patience_ends(failure: Answer) -> None:
    if isinstance(failure, tuple) and failure[0] == 503:
        failure = (503, b'{"code": "unavailable", "detail": "the database"}')
    server = Scripted(failure, failure, (204, b""))
    api, told = make_api(server)
    assert api.ask(Request("DELETE", "/dlvs/db", key="k")).document() is None
    assert [headers["Idempotency-Key"] for *_, headers in server.asked] == ["k"] * 3
    assert len(told) == 1
    never = Scripted(failure)
    api, _ = make_api(never)
    with pytest.raises((UnavailableError, TimedOutError)):
        api.get("/dlvs")
    assert 5 < api.clock.monotonic() <= 10
    assert 5 <= len(never.asked) <= 12


def test_the_next_server_is_asked_and_stays_the_first() -> None:
    one, two = Scripted(UnavailableError("gone")), Scripted((200, b"{}"), url="http://b")
    api, told = make_api(one, two)
    for _ in range(3):
        api.get("/dlvs")
    assert (len(one.asked), len(two.asked), api.url, told) == (1, 3, "http://b", [])
    assert api.clock.monotonic() == 0


@pytest.mark.parametrize(
    ("status", "data", "kind", "text"),
    [
        (404, b'{"code": "not-found", "detail": "no dlv", "hint": "h"}', NotFoundError, "no dlv"),
        (401, b'{"code": "refused", "detail": "a token"}', RefusedError, "--token"),
        (404, b"<html>not\x1b[2J here", DrystoneError, r"answered 404: <html>not\[2J here"),
        (200, b"[" * 10_000, DrystoneError, "the API's answer"),
        (200, b"\xff", DrystoneError, "the API's answer"),
        (400, b"", DrystoneError, "answered 400: nothing"),
        (301, b"", DrystoneError, "answered 301"),
    ],
)
def test_other_answers_are_errors_of_one_line(status: int, data: bytes, kind: type[DrystoneError], text: str) -> None:
    server = Scripted((status, data))
    api, _ = make_api(server)
    with pytest.raises(kind, match=text) as found:
        api.get("/dlvs").read(dict[str, int])
    assert found.value.message.isprintable()
    assert len(server.asked) == 1, "it was answered"


def test_pages_are_followed_to_the_last() -> None:
    server = Scripted(
        (200, b'{"items": [1, 2], "next": "b c"}'), (200, b'{"items": [3], "next": ""}'), (500, b"no more")
    )
    api, _ = make_api(server)
    pages = list(api.pages("/dlvs", {"dvg": "fast"}, dict[str, object]))
    assert [page["items"] for page in pages] == [[1, 2], [3]]
    assert [path for _, path, *_ in server.asked] == [
        "/v1/dlvs?dvg=fast&limit=500&after=", "/v1/dlvs?dvg=fast&limit=500&after=b+c"
    ]  # fmt: skip

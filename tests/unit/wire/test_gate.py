"""The gate: request ids, limits on size and time, errors in the language of the caller."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from drystone.wire.gate import Gate, Message, Receive, Scope, Send


class Played:
    """One request played against a gate: what the application saw, what was sent back."""

    def __init__(self, messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]], **limits: Any) -> None:
        self.seen: list[bytes] = []
        self.sent: list[Message] = []
        self.waiting = messages
        self.scope: Scope = {"type": "http", "headers": headers}
        asyncio.run(Gate(self.application, **limits)(self.scope, self.receive, self.send))

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.seen.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive(self) -> Message:
        if not self.waiting:
            await asyncio.sleep(60)
        return self.waiting.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        status = self.sent[0]["status"]
        assert isinstance(status, int)
        return status


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts_arrives_whole() -> None:
    assert Played([part(b"ab", more=True), part(b"cd")], []).seen == [b"abcd"]


def test_an_id_is_kept_when_it_is_one_and_made_otherwise() -> None:
    kept = Played([part(b"")], [(b"x-request-id", b"mine-1")])
    assert (b"x-request-id", b"mine-1") in kept.sent[0]["headers"]
    made = Played([part(b"")], [(b"x-request-id", b"bad id\r\n")])
    assert made.scope["state"]["request_id"] not in {"", "bad id"}


def test_a_body_over_the_limit_is_refused_by_its_announcement() -> None:
    played = Played([part(b"")], [(b"content-length", b"11")], body_limit=10)
    assert played.status == 413
    assert played.seen == []


def test_a_body_over_the_limit_is_refused_as_it_comes() -> None:
    played = Played([part(b"123456", more=True), part(b"789012")], [(b"accept", b"application/json")], body_limit=10)
    assert played.status == 413
    assert json.loads(played.sent[1]["body"])["code"] == "usage"


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    played = Played([part(b"a", more=True)], [], body_seconds=0.02)
    assert played.status == 408
    assert b"0.02 s" in played.sent[1]["body"]


def test_a_client_that_goes_away_is_no_request() -> None:
    played = Played([{"type": "http.disconnect"}], [])
    assert played.seen == []
    assert played.sent == []

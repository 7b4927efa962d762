"""An API server in this process, for its client: it can be told not to answer, before or after it has done as asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from drystone.base.errors import UnavailableError
from drystone.testing.cluster.client import Client


class InProcess:
    """A server over a Client's application.

    :ivar asked: method, target and key of each request that came. :ivar before, after: called before and after it is
        done; what they raise is what the client sees.
    """

    def __init__(self, client: Client, url: str = "http://127.0.0.1:1") -> None:
        self._client = client
        self.url = url
        self.asked: list[tuple[str, str, str]] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """See Sender."""
        self.asked.append((method, path, headers.get("Idempotency-Key", "")))
        self.before()
        token = headers["Authorization"].removeprefix("Bearer ")
        answer: httpx.Response = self._client.send(
            method, path.removeprefix("/v1"), body, key=headers.get("Idempotency-Key", ""), token=token
        )
        self.after()
        return answer.status_code, answer.content


def fail(times: int, error: Callable[[], BaseException] = lambda: UnavailableError("cut off")) -> Callable[[], None]:
    """Raises that often, and then no more."""
    left = times

    def act() -> None:
        nonlocal left
        if left:
            left -= 1
            raise error()

    return act

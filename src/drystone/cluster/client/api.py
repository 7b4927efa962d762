"""The API of a cluster, asked: of several servers the next one when one does not answer, each write done once.

A write bears an idempotency key that stays the same however often it is sent: who was cut off asks again.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec

from drystone.base.clock import Clock, SystemClock
from drystone.base.documents import decode
from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError, UsageError
from drystone.wire.problems import from_problem

Kind = TypeVar("Kind")

PAGE = 500
"""Items of a list that are asked for at once."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts."""


class Sender(Protocol):
    """A server of the API; see cluster.connection."""

    @property
    def url(self) -> str: ...

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. :ivar path: below /v1, with names quoted (see `place`). :ivar query: without None's.

    :ivar body: a JSON value. :ivar key: of idempotency; "" for what changes nothing.
    """

    method: str
    path: str
    query: Mapping[str, object] | None = None
    body: object = None
    key: str = ""

    def target(self) -> str:
        """What stands behind the server's address."""
        given = {name: _spell(value) for name, value in (self.query or {}).items() if value is not None}
        words = urllib.parse.urlencode(given)
        return f"/v1{self.path}?{words}" if words else f"/v1{self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no error. :ivar data: its body: JSON, or nothing."""

    status: int
    data: bytes

    @property
    def is_empty(self) -> bool:
        """204: what was to be gone is."""
        return not self.data

    def read(self, kind: type[Kind]) -> Kind:
        """The body as a value. :raises DrystoneError: it is something else."""
        try:
            return decode(self.data, kind, "the API's answer")
        except UsageError as error:
            raise DrystoneError(error.message, hint="is the API server of the same version?") from error

    def document(self) -> Any:
        """The body as it came, None for none. :raises DrystoneError: it is no JSON."""
        return None if self.is_empty else self.read(object)


def place(*parts: str) -> str:
    """A path of these parts, quoted."""
    return "".join(f"/{urllib.parse.quote(each, safe='')}" for each in parts)


class Api:
    """The servers of one cluster. The constructor has no effects.

    :param token: that is shown. :param patience: seconds for which a request is repeated while no server answers it.
    :param told: is told in a line that one did not answer, and that it is tried again.
    """

    def __init__(
        self,
        servers: Sequence[Sender],
        token: str,
        *,
        patience: float,
        told: Callable[[str], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self._servers = list(servers)
        self._token = token
        self._patience = patience
        self._told = told
        self.clock: Clock = SystemClock() if clock is None else clock
        self._first = 0
        """Of the servers, the one that is asked first: which answered last."""

    @property
    def url(self) -> str:
        """Of the server that is asked first."""
        return self._servers[self._first].url

    def ask(self, request: Request) -> Reply:
        """Send a request until it is answered.

        :raises UnavailableError, TimedOutError: nobody answered, or the API's database does not. A write may have been
            done all the same: send it again with its key.
        :raises DrystoneError: what the API raises, by its class.
        """
        end = self.clock.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            failure = None
            for _ in self._servers:
                try:
                    return self._send(request)
                except (UnavailableError, TimedOutError) as error:
                    failure = error
                    self._first = (self._first + 1) % len(self._servers)
            assert failure is not None, "there is a server"
            if self.clock.monotonic() + pause > end:
                raise failure
            if pause == _FIRST_PAUSE:
                self._told(f"{failure.message}; trying again for {self._patience:g} s")
            self.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _send(self, request: Request) -> Reply:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
        if request.key:
            headers["Idempotency-Key"] = request.key
        body = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            body = msgspec.json.encode(request.body)
        status, data = self._servers[self._first].send(request.method, request.target(), body, headers)
        if 200 <= status < 300:
            return Reply(status, data)
        raise _failure(status, data, self.url)

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Reply:
        """What is there. Raises as `ask`."""
        return self.ask(Request("GET", path, query))

    def pages(self, path: str, query: Mapping[str, object], kind: type[Kind]) -> Iterator[Kind]:
        """The pages of a list, Structs of `kind` with `next`, or dicts. Raises as `ask`."""
        after = ""
        while True:
            page = self.get(path, {**query, "limit": PAGE, "after": after}).read(kind)
            yield page
            after = page["next"] if isinstance(page, dict) else getattr(page, "next", "")
            if not after:
                return


def _spell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _failure(status: int, data: bytes, url: str) -> DrystoneError:
    """The error that an answer other than 2xx stands for."""
    try:
        document = msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = _one_line(data[:200].decode("utf-8", "replace"))
        kind = UnavailableError if status in {502, 503, 504} else DrystoneError
        return kind(f"{url} answered {status}: {text or 'nothing'}", hint="is it an API server of a cluster?")
    error = from_problem(document)
    error.message, error.hint = _one_line(error.message), _one_line(error.hint)
    if status == 401:
        error.hint = error.hint or "--token FILE: an operator's"
    return error


def _one_line(text: str) -> str:
    """What is printable of it."""
    return "".join(each for each in text if each.isprintable()).strip()

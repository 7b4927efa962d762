"""HTTP calls between the servers of a fleet: every one has a deadline and bears the fleet's secret.

Errors travel as problem documents (drystone.wire.problems), so that the caller raises what the far side raised; one
whose class the tree of base.errors does not have (those of S3) is left to whoever asks for the plain answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from drystone.base.errors import DrystoneError, NotFoundError, TimedOutError, UnavailableError, UsageError
from drystone.wire.problems import from_problem

if TYPE_CHECKING:
    import aiohttp

Document = TypeVar("Document")
Body = bytes | AsyncIterator[bytes | memoryview]

CALL_SECONDS = 5.0
"""How long a short call may take."""
_ANSWER_LIMIT = 256 << 20
"""Bytes: an answer that is longer is no document of ours."""
_CONNECT_SECONDS = 3.0
_SLICE = 1 << 20


def authorize(secret: str, header: str) -> bool:
    """Whether an `Authorization` header bears the fleet's secret. Compared in constant time."""
    return hmac.compare_digest(header.encode("utf-8", "replace"), f"Bearer {secret}".encode())


def read_secret(path: Path) -> str:
    """The fleet's secret from its file: 16 or more printable characters without blanks.

    :raises NotFoundError: there is no such file. :raises UsageError: it holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no secret file {path}", hint="all servers of a fleet have the same") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"secret file {path}: {error}") from error
    if len(text) < 16 or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"the secret in {path} is not 16 or more printable characters without blanks")
    return text


@dataclass(frozen=True, slots=True)
class Answer:
    """What the far side said, read whole. Header names are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def document(self, kind: type[Document]) -> Document:
        """The body as a document of `kind`. :raises DrystoneError: it is none."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DrystoneError(f"the answer is no {kind.__name__}: {error}") from error

    def error(self) -> DrystoneError:
        """The error that an answer above 299 stands for."""
        try:
            document = msgspec.json.decode(self.body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError):
            text = self.body[:200].decode("utf-8", "replace").strip()
            return DrystoneError(f"answered {self.status}: {text}", status=self.status)
        return from_problem(document)


class Stream:
    """An answer whose body is read in pieces. `status` and `headers` as in Answer."""

    def __init__(self, response: aiohttp.ClientResponse, url: str, still_seconds: float) -> None:
        self._response = response
        self._url = url
        self._still = still_seconds
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        :raises TimedOutError: nothing came for the call's `still_seconds`. :raises UnavailableError: it broke off.
        """
        with _naming(self._url, self._still):
            content = self._response.content
            while True:
                piece = content.read_nowait()
                if not piece and not content.at_eof():
                    async with asyncio.timeout(self._still):
                        piece = await content.readany()
                if not piece:
                    return
                yield piece

    async def read(self) -> Answer:
        """The body whole. :raises DrystoneError: as `pieces`, or it is longer than any document of ours."""
        parts: list[bytes] = []
        total = 0
        async for piece in self.pieces():
            parts.append(piece)
            total += len(piece)
            if total > _ANSWER_LIMIT:
                raise DrystoneError(f"{self._url} answered with more than {_ANSWER_LIMIT} bytes")
        return Answer(self.status, b"".join(parts), self.headers)


class Calls:
    """Connections to other servers, kept open between calls. An async context manager; opened on entry.

    :param secret: the fleet's. :param authority: a file with the certificates to trust on https; the system's when
        None.
    """

    def __init__(self, secret: str, *, authority: Path | None = None) -> None:
        self._secret = secret
        self._authority = authority
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        trusted = ssl.create_default_context(cafile=str(self._authority)) if self._authority else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=trusted, keepalive_timeout=30.0),
            headers={"Authorization": f"Bearer {self._secret}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=1 << 20,
            max_line_size=64 << 10,
            max_field_size=64 << 10,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @contextlib.asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        body: Body = b"",
        headers: Mapping[str, str] | None = None,
        seconds: float | None = CALL_SECONDS,
        still_seconds: float = 10.0,
    ) -> AsyncIterator[Stream]:
        """Send a request; what is yielded is the answer once its head is there. Redirects are not followed.

        :param url: taken as it is: its path is quoted already. :param body: bytes, or pieces as they become known.
        :param seconds: until the answer's head is there; None when the body's sender watches the time itself.
        :param still_seconds: that the answer's body may stand still.
        :raises UnavailableError: nobody listens, or the connection broke. :raises TimedOutError: no answer in time.
        """
        import yarl

        assert self._session is not None, "entered"
        response: aiohttp.ClientResponse | None = None
        try:
            with _naming(url, seconds):
                async with asyncio.timeout(seconds):
                    response = await self._session.request(
                        method,
                        yarl.URL(url, encoded=True),
                        data=_slice(body) if isinstance(body, bytes) and len(body) > _SLICE else body or None,
                        headers=headers,
                        allow_redirects=False,
                    )
            yield Stream(response, url, still_seconds)
        finally:
            if response is not None:
                # An answer that was read to its end gives its connection back; any other closes it.
                response.release() if response.content.at_eof() else response.close()

    async def call(
        self,
        method: str,
        url: str,
        body: Body = b"",
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Answer:
        """Send a request and read the answer, whatever its status, all within `seconds`.

        :raises UnavailableError: nobody listens, or the connection broke. :raises TimedOutError: no answer in time.
        """
        with _naming(url, seconds):
            async with (
                asyncio.timeout(seconds),
                self.open(method, url, body=body, headers=headers, seconds=None, still_seconds=seconds) as stream,
            ):
                return await stream.read()

    async def ask(self, url: str, document: object, kind: type[Document], *, seconds: float = CALL_SECONDS) -> Document:
        """POST `document` as JSON; the answer, a document of `kind`.

        :raises UnavailableError: nobody listens, or the connection broke. :raises TimedOutError: no answer in time.
        :raises DrystoneError: what the far side raised.
        """
        body = msgspec.json.encode(document)
        answer = await self.call("POST", url, body, headers={"Content-Type": "application/json"}, seconds=seconds)
        if answer.status != 200:
            raise answer.error()
        return answer.document(kind)


class Mappers:
    """The mappers of a fleet, of which one leads: calls go to the one that answered last, then to the others.

    :param urls: where each is called.
    """

    def __init__(self, calls: Calls, urls: tuple[str, ...]) -> None:
        self._calls = calls
        self._urls = urls
        self._last = urls[0]

    async def call(self, method: str, path: str, document: object = None, *, seconds: float = CALL_SECONDS) -> Answer:
        """The leading mapper's answer, whatever its status below 500.

        Each mapper is asked once within `seconds`; one that does not lead says by 307 who does. A call that a mapper
        may have taken before it fell silent may be made again to the next: requests to mappers can be repeated.

        :raises UnavailableError: none answers that leads.
        """
        body = b"" if document is None else msgspec.json.encode(document)
        waiting = [self._last, *(each for each in self._urls if each != self._last)]
        asked: set[str] = set()
        reason = ""
        while waiting:
            url = waiting.pop(0)
            if url in asked:
                continue
            asked.add(url)
            try:
                answer = await self._calls.call(
                    method, url + path, body, headers={"Content-Type": "application/json"}, seconds=seconds
                )
            except (UnavailableError, TimedOutError) as error:
                reason = error.message
                continue
            if answer.status == 307 and (leader := _find_origin(answer.headers.get("location", ""))):
                waiting.insert(0, leader)
            elif answer.status >= 500:
                reason = f"{url}: {answer.error().message}"
            else:
                self._last = url
                return answer
        raise UnavailableError(f"no mapper answers: {reason or 'none of them leads'}")

    async def ask(
        self, path: str, document: object, kind: type[Document], *, seconds: float = CALL_SECONDS
    ) -> Document:
        """POST `document`; the answer, a document of `kind`.

        :raises UnavailableError: no mapper that leads answers. :raises DrystoneError: what it raised.
        """
        answer = await self.call("POST", path, document, seconds=seconds)
        if answer.status != 200:
            raise answer.error()
        return answer.document(kind)


async def _slice(body: bytes) -> AsyncIterator[bytes]:
    """A long body in pieces, between which others get their turn."""
    for begin in range(0, len(body), _SLICE):
        yield body[begin : begin + _SLICE]


def _find_origin(location: str) -> str:
    """`http://host:port` of a URL; "" when it has none."""
    parts = urllib.parse.urlsplit(location)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


@contextlib.contextmanager
def _naming(url: str, seconds: float | None) -> Iterator[None]:
    """Turn the failures of a call into errors of ours that name the server."""
    import aiohttp

    try:
        yield
    except TimeoutError as error:  # aiohttp's own are of this class too
        limit = f" in {seconds:g} s" if seconds is not None else ""
        raise TimedOutError(f"{_find_origin(url)} did not answer{limit}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise UnavailableError(f"cannot talk to {_find_origin(url)}: {error}") from error

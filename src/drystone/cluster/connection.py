"""Calls over HTTP among the parts of a cluster: JSON there and back, a connection a call.

By the standard library's http.client, which is imported in a fraction of the time of any other.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from drystone.base.documents import decode, encode
from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError, UsageError
from drystone.wire.problems import from_problem
from drystone.wire.revocation import heed_list
from drystone.wire.tcp import is_loopback

Document = TypeVar("Document")

_ANSWER_LIMIT = 64 << 20
"""Bytes: a page of a thousand volumes of a hundred legs is a quarter of it."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """By what a client proves itself, and whom it trusts: files of PEM.

    :ivar certificate: made for clients, with those that lead to its root; :ivar key: its key.
    :ivar authority: of the certificates of who answers.
    """

    certificate: Path
    key: Path
    authority: Path

    def context(self) -> ssl.SSLContext:
        """:raises UsageError: a file cannot be read, or certificate and key do not belong together."""
        made = trusting(self.authority)
        try:
            made.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"certificate {self.certificate} with key {self.key}: {error}") from error
        return made


def trusting(authority: Path | None) -> ssl.SSLContext:
    """A client's TLS, without a certificate of its own. :param authority: PEM, what its list of revoked certificates
        names is refused; None: the machine's own authorities.

    :raises UsageError: the file cannot be read.
    """
    try:
        made = ssl.create_default_context(cafile=authority)
        if authority is not None:
            heed_list(made, authority)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"certificates of {authority}: {error}") from error
    return made


class Connection:
    """Somebody who answers at a URL. The constructor has no effects.

    :param who: in words, such as `the API`. :param url: http://HOST:PORT or https://HOST:PORT.
    :param tls: of https; the machine's own authorities when None. :param token: that is sent along, "" for none.
    :param seconds: that each step of a call may stand still.
    :raises UsageError: `url` is none, or is plain HTTP to another machine.
    """

    def __init__(
        self, who: str, url: str, *, tls: ssl.SSLContext | None = None, token: str = "", seconds: float
    ) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is no URL: {error}") from error
        host = parts.hostname
        if parts.scheme not in {"http", "https"} or not host or parts.path not in {"", "/"} or parts.query:
            raise UsageError(f"{url!r} is not http://HOST:PORT or https://HOST:PORT")
        if parts.scheme == "http" and not is_loopback(host):
            raise UsageError(f"{url} is plain HTTP: others could read secrets on the way", hint="https://HOST:PORT")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._who = who
        self._is_plain = parts.scheme == "http"
        self._host, self._port = host, port
        self._tls = tls
        self._token = token
        self._seconds = seconds

    def ask(self, method: str, path: str, kind: type[Document], body: object = None) -> Document:
        """Send one request, with a JSON body where there is one; the answer. Raises as `send`, and more:

        :raises DrystoneError: the class and text of the problem that was answered; or an answer that is none.
        """
        status, data = self.send(method, path, None if body is None else encode(body))
        if status == http.client.OK:
            return decode(data, kind, f"the answer of {self.url}")
        raise self.failure(status, data)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send one request; status and body of the answer, whatever it says.

        :raises UnavailableError: nobody is there, or the connection broke. :raises TimedOutError: no answer in time.
            What was asked for may have been done in either case.
        """
        sent = {"Accept": "application/json", **(headers or {})}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = self._connect()
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            data = response.read(_ANSWER_LIMIT + 1)
        except TimeoutError as error:
            raise TimedOutError(f"{self._who} at {self.url} did not answer in {self._seconds:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UnavailableError(f"cannot talk to {self._who} at {self.url}: {reason}") from error
        finally:
            connection.close()
        if len(data) > _ANSWER_LIMIT:
            raise DrystoneError(f"the answer of {self.url} is longer than {_ANSWER_LIMIT} bytes")
        return response.status, data

    def failure(self, status: int, data: bytes) -> DrystoneError:
        """The error that an answer stands for which is none of a success."""
        try:
            return from_problem(msgspec.json.decode(data, type=dict[str, object]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            text = data[:200].decode("utf-8", "replace").strip()
            return DrystoneError(f"{self._who} answered {status}: {text}", status=status)

    def _connect(self) -> http.client.HTTPConnection:
        if self._is_plain:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
        context = self._tls or trusting(None)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._seconds, context=context)

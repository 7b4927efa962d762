"""A small S3 client on http.client, for tests of the fleet: one request, one answer, nothing tried again.

A request that fails says whether it may have been done: that is what a checker of histories must know.
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from drystone.fleet.s3.signing import sign_request
from drystone.fleet.s3.target import encode

_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class LostError(Exception):
    """No whole answer came: what was asked for may have been done."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Of an S3 error, "" when it is none."""
        if not self.body.startswith(b"<?xml"):
            return ""
        return ET.fromstring(self.body).findtext("Code") or ""  # noqa: S314  # of a server of ours


class FleetClient:
    """Requests with one key to any server. Each opens a connection of its own.

    :param seconds: without a byte until a request counts as lost.
    """

    def __init__(self, access_key: str, secret_key: str, *, seconds: float = 30.0) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._seconds = seconds

    def ask(
        self,
        url: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request. :param path: not encoded. :raises LostError: no whole answer came."""
        host = urllib.parse.urlsplit(url).netloc
        target = encode(path, slashes=True)
        if query:
            target += "?" + urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)
        signed = sign_request(
            method,
            target,
            {"host": host, **(headers or {})},
            self._access_key,
            self._secret_key,
            now=time.time(),
            payload=hashlib.sha256(body).hexdigest(),
        )
        connection = http.client.HTTPConnection(host, timeout=self._seconds)
        try:
            connection.request(method, target, body, signed)
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise LostError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def list_keys(self, url: str, bucket: str, prefix: str = "") -> tuple[int, dict[str, str]]:
        """(status, ETag by key) of at most 1000 keys."""
        reply = self.ask(url, "GET", f"/{bucket}", {"list-type": "2", "prefix": prefix})
        found: dict[str, str] = {}
        if reply.status == 200:
            for each in ET.fromstring(reply.body).iter(f"{_NAMESPACE}Contents"):  # noqa: S314  # likewise
                etag = each.findtext(f"{_NAMESPACE}ETag", "").strip('"')
                found[each.findtext(f"{_NAMESPACE}Key", "")] = etag
        return reply.status, found

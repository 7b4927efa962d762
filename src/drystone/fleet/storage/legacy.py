"""The legacy interface of a storage server: /api?action=... and objects at /api/NAMESPACE/HOST/PATH.

Its texts are those that Disk Mapper's tools expect. What the original did by hand (promoting, copying, torrents) the
fleet does by itself; these names answer, and change nothing that the mapper has not decided.
"""

from __future__ import annotations

import base64
import hmac
import logging
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from drystone.base.errors import DrystoneError
from drystone.fleet.basic import CHALLENGE, parse_basic
from drystone.fleet.documents import Key
from drystone.fleet.gateway.access import may
from drystone.fleet.objects import ObjectInfo, PutOptions
from drystone.fleet.s3.errors import Code, S3Error, from_error
from drystone.fleet.s3.keys import check_key, is_namespace
from drystone.fleet.s3.operations import Right
from drystone.fleet.s3.ranges import resolve_range
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.catalog import MapCatalog
from drystone.fleet.storage.internal import send_stream
from drystone.fleet.storage.legacy_actions import ActionAnswer, LegacyActions
from drystone.fleet.storage.router import Router
from drystone.wire.tcp import SERVER, Limits, end_after, iterate_body

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

_PAGE = 1000
Parameters = Mapping[str, str]


class PlainBody:
    """The body of a POST, as a ByteSource."""

    def __init__(self, request: web.BaseRequest, limits: Limits) -> None:
        self._pieces = iterate_body(request, limits)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    def trailers(self) -> dict[str, str]:
        return {}


class LegacyInterface:
    """Answers /api.

    :param open_to_all: whether no key is needed. :param actions: of `?action=` without a path.
    """

    def __init__(
        self, router: Router, catalog: MapCatalog, atlas: Atlas, actions: LegacyActions, limits: Limits, *,
        open_to_all: bool,
    ) -> None:  # fmt: skip
        self._router = router
        self._catalog = catalog
        self._atlas = atlas
        self._actions = actions
        self._limits = limits
        self._open = open_to_all

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """The answer; errors are a status and a line."""
        try:
            key = await self._find_key(request)
            query = dict(urllib.parse.parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True))
            named = urllib.parse.unquote(path.removeprefix("/api").lstrip("/"), errors="strict")
            if not named:
                self._check(key, "*", "admin" if request.method != "GET" else "read")
                return _say(request, *await self._actions.act(request.method, query))
            namespace, _, rest = named.partition("/")
            if not is_namespace(namespace):
                return _say(request, 400, "Invalid arguments.")
            self._check(key, namespace, "read" if request.method in {"GET", "HEAD"} else "write")
            handler = self._handlers(query).get(request.method)
            if handler is None:
                return _say(request, 405, "Invalid arguments.")
            return await handler(request, namespace, rest)
        except UnicodeDecodeError:
            return _say(request, 400, "Invalid arguments.")
        except S3Error as error:
            return self._refuse(request, error)
        except DrystoneError as error:
            return self._refuse(request, from_error(error))

    def _handlers(
        self, query: Parameters
    ) -> dict[str, Callable[[web.BaseRequest, str, str], Awaitable[web.StreamResponse]]]:
        async def list_them(request: web.BaseRequest, namespace: str, rest: str) -> web.StreamResponse:
            return await self._list(request, namespace, rest, recursive=query.get("recursive") == "true")

        get = list_them if query.get("action") == "list" else self._get
        return {"GET": get, "HEAD": self._get, "POST": self._post, "PUT": self._post, "DELETE": self._delete}

    # ------------------------------------------------------------------ who may

    async def _find_key(self, request: web.BaseRequest) -> Key | None:
        """The key of HTTP Basic; None when none is needed. :raises S3Error: AccessDenied."""
        if self._open:
            return None
        access, secret = parse_basic(request.headers.get("Authorization", ""))
        key = await self._catalog.find_key(access) if access else None
        if key is None or not hmac.compare_digest(key.secret.encode(), secret.encode()):
            raise S3Error(Code.AccessDenied, headers={"www-authenticate": CHALLENGE})
        return key

    def _check(self, key: Key | None, namespace: str, right: Right) -> None:
        """:raises S3Error: AccessDenied: the key does not have the right."""
        if key is not None and not may(key, right, namespace):
            raise S3Error(Code.AccessDenied)

    # ------------------------------------------------------------------ objects

    async def _find(self, namespace: str, rest: str) -> ObjectInfo | None:
        check_key(rest)
        try:
            info = await self._router.head(namespace, rest)
        except S3Error as error:
            if error.status == 404:
                return None
            raise
        return None if info.delete_marker else info

    async def _get(self, request: web.BaseRequest, namespace: str, rest: str) -> web.StreamResponse:
        info = await self._find(namespace, rest)
        if info is None:
            return _say(request, 404, "File not found.")
        part = resolve_range(request.headers.get("Range", ""), info.size)
        begin, end = part or (0, info.size)
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(end - begin),
            "etag": f'"{info.etag}"',
            "accept-ranges": "bytes",
        }
        if part:
            headers["content-range"] = f"bytes {begin}-{end - 1}/{info.size}"
        data = _nothing()
        if request.method == "GET" and begin < end:
            data = await self._router.read(namespace, rest, info, begin, end)
        return await send_stream(request, data, headers, self._limits, 206 if part else 200)

    async def _post(self, request: web.BaseRequest, namespace: str, rest: str) -> web.StreamResponse:
        check_key(rest)
        if rest.endswith("/") or "/" not in rest:
            return _say(request, 400, "Invalid arguments.")
        if await self._catalog.bucket(namespace) is None:
            await self._actions.make_namespace(namespace)
        await self._router.put(namespace, rest, PlainBody(request, self._limits), read_options(request.headers))
        return _say(request, 200, "Saved file to disk")

    async def _delete(self, request: web.BaseRequest, namespace: str, rest: str) -> web.StreamResponse:
        if await self._find(namespace, rest) is None:
            return _say(request, 404, "File not found.")
        await self._router.delete(namespace, rest)
        return _say(request, 200, f"Deleted {request.host}/{namespace}/{rest}")

    async def _list(
        self, request: web.BaseRequest, namespace: str, rest: str, *, recursive: bool
    ) -> web.StreamResponse:
        server = f"s3://{request.host}/{namespace}/"
        if rest and not rest.endswith("/") and (info := await self._find(namespace, rest)) is not None:
            return _say(request, 202, f"{server}{rest}\n", {"etag": f'"{info.etag}"'})
        prefix = rest if not rest or rest.endswith("/") else f"{rest}/"
        lines = self._lines(namespace, prefix, "" if recursive else "/", server)
        first = await anext(lines, None)
        if first is None:
            return _say(request, 400, "File not found.")

        async def text() -> AsyncIterator[bytes]:
            yield first
            async for each in lines:
                yield each

        return await send_stream(request, text(), {"content-type": "text/plain"}, self._limits, 202)

    async def _lines(self, namespace: str, prefix: str, delimiter: str, server: str) -> AsyncIterator[bytes]:
        """The lines of a listing, a page at a time."""
        after = ""
        while True:
            page = await self._router.list(namespace, prefix, delimiter, after, _PAGE)
            names = sorted([*page.prefixes, *(each.key for each in page.objects)])
            if names:
                yield "".join(f"{server}{name}\n" for name in names).encode()
            after = page.after
            if not after:
                return

    def _refuse(self, request: web.BaseRequest, error: S3Error) -> web.Response:
        log.info("/api: %s %s: %s", request.method, request.raw_path, error)
        return _say(request, max(error.status, 400), error.message, error.headers)


def read_options(headers: Mapping[str, str]) -> PutOptions:
    """What a POST says of its body. :raises S3Error: InvalidDigest."""
    md5 = ""
    if given := headers.get("Content-MD5", ""):
        try:
            md5 = base64.b64decode(given, validate=True).hex()
        except ValueError as error:  # binascii.Error is one; so is what a character above ASCII raises
            raise S3Error(Code.InvalidDigest) from error
        if len(md5) != 32:
            raise S3Error(Code.InvalidDigest)
    length = headers.get("Content-Length", "")
    return PutOptions(size=int(length) if length.isdecimal() else None, md5=md5)


async def _nothing() -> AsyncIterator[bytes | memoryview]:
    nothing: tuple[bytes, ...] = ()
    for each in nothing:
        yield each


def _say(
    request: web.BaseRequest, status: int, text: ActionAnswer | str, headers: Mapping[str, str] | None = None
) -> web.Response:
    from aiohttp import web

    kind, body = ("text/plain", text.encode()) if isinstance(text, str) else ("application/json", text)
    answer = web.Response(status=status, body=body, headers={"Server": SERVER, **(headers or {})}, content_type=kind)
    end_after(request, answer)
    return answer

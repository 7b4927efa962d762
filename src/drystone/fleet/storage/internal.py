"""What other servers of the fleet call here: all below /internal/, with the fleet's secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from drystone.base.errors import NotFoundError, RefusedError, UsageError
from drystone.fleet.calls import authorize
from drystone.fleet.storage import requests
from drystone.fleet.storage.copying import CopySource
from drystone.fleet.storage.failures import FAILURES, ElsewhereError, Failure, encode_failure
from drystone.fleet.storage.frames import FrameReader, frame_data, frame_document
from drystone.fleet.storage.gathering import GATHER_PATH
from drystone.fleet.storage.local import LocalObjects
from drystone.fleet.storage.member import Followed
from drystone.fleet.storage.members import (
    AskPromises,
    ComparePages,
    CopyEnded,
    Fetch,
    FindPlacements,
    FindUploads,
    FindVersions,
    Gather,
    Learn,
    SendUpload,
    Settle,
)
from drystone.fleet.storage.promises import Promiser
from drystone.fleet.storage.reading import Mender, read_checked
from drystone.fleet.storage.remote import MAP_HEADER
from drystone.fleet.storage.torrents.exchange import Exchange
from drystone.fleet.storage.torrents.messages import TORRENT_PATH, FindTorrent
from drystone.wire.tcp import SERVER, Limits, iterate_body, write_answer

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

Document = TypeVar("Document")
_DOCUMENT_LIMIT = 64 << 20
"""Bytes of a request's document; a list of promises of 100,000 placements has 10 MB."""
_CALL: msgspec.json.Decoder[requests.Call] = msgspec.json.Decoder(requests.Call)


class FramedBody:
    """A body that another server passes on, as a ByteSource."""

    def __init__(self, frames: FrameReader) -> None:
        self._frames = frames
        self._trailers: dict[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._frames.data():
            yield bytes(piece)
        self._trailers = msgspec.json.decode(await self._frames.document(), type=requests.BodyEnd).trailers

    def trailers(self) -> dict[str, str]:
        return self._trailers


class Internal:
    """Answers the calls of the fleet's own servers.

    :param secret: the fleet's. :param local: for calls that are passed on. :param followed: for the leaders of others.
    :param source: for those that copy from us. :param mender: of what is damaged here. :param torrents: None when none
        are exchanged.
    """

    def __init__(
        self,
        secret: str,
        local: LocalObjects,
        followed: Followed,
        promiser: Promiser,
        source: CopySource,
        mender: Mender,
        limits: Limits,
        torrents: Exchange | None = None,
    ) -> None:
        self._secret = secret
        self._local = local
        self._followed = followed
        self._promiser = promiser
        self._source = source
        self._mender = mender
        self._limits = limits
        self._torrents = torrents
        self._table: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            "/internal/objects": self._objects,
            "/internal/members/change": self._change,
            "/internal/members/fetch": self._fetch,
            "/internal/members/versions": self._versions,
            "/internal/members/promise": self._promise,
            "/internal/members/learn": self._learn,
            "/internal/members/placements": self._placements,
            "/internal/members/compare": self._compare,
            "/internal/members/ended": self._copy_ended,
            "/internal/members/settle": self._settle,
            "/internal/members/uploads": self._uploads,
            "/internal/members/send-upload": self._send_upload,
            GATHER_PATH: self._gather,
            TORRENT_PATH: self._torrent,
        }

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """The answer; 403 without the secret, whatever is asked."""
        try:
            if not authorize(self._secret, request.headers.get("Authorization", "")):
                return answer_document(403, encode_failure(RefusedError("the fleet's secret is needed"))[1])
            entry = self._table.get(path)
            if entry is None or request.method != "POST":
                raise NotFoundError(f"there is no call {request.method} {path}")
            return await entry(request)
        except FAILURES as error:
            return refuse(error)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return refuse(UsageError(f"{path}: {error}"))

    async def _read(self, request: web.BaseRequest, kind: type[Document]) -> Document:
        return msgspec.json.decode(await _read_whole(iterate_body(request, self._limits)), type=kind)

    # ------------------------------------------------------------------ calls of Objects

    async def _objects(self, request: web.BaseRequest) -> web.StreamResponse:
        term, _, version = request.headers.get(MAP_HEADER, "").partition(".")
        if term.isdecimal() and version.isdecimal():
            await self._followed.standings.catch_up(int(term), int(version))
        pieces = iterate_body(request, self._limits)
        first = await anext(pieces, b"")
        if first[:1] != b"{":
            return await self._bodied(FrameReader(_chain(first, pieces)))
        call = _CALL.decode(await _read_whole(_chain(first, pieces)))
        if isinstance(call, requests.Read):
            return await self._send_object(request, call)
        if isinstance(call, requests.Put | requests.PutPart):
            raise UsageError("a put comes with its body")
        return answer_document(200, msgspec.json.encode(await call_objects(self._local, call)))

    async def _bodied(self, frames: FrameReader) -> web.StreamResponse:
        call = _CALL.decode(await frames.document())
        body = FramedBody(frames)
        if isinstance(call, requests.Put):
            return _answer_value(await self._local.put(call.bucket, call.key, body, call.options))
        if isinstance(call, requests.PutPart):
            part = await self._local.put_part(call.bucket, call.key, call.upload_id, call.number, body, call.options)
            return _answer_value(part)
        raise UsageError(f"{type(call).__name__} has no body")

    async def _send_object(self, request: web.BaseRequest, call: requests.Read) -> web.StreamResponse:
        data = self._local.read(call.bucket, call.key, call.info, call.begin, call.end)
        return await send_stream(request, data, {"Content-Length": str(call.end - call.begin)}, self._limits)

    # ------------------------------------------------------------------ calls of members

    async def _change(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer_value(await self._followed.change(FrameReader(iterate_body(request, self._limits))))

    async def _fetch(self, request: web.BaseRequest) -> web.StreamResponse:
        wanted = await self._read(request, Fetch)
        standing, entry = await self._followed.find(wanted)
        end = entry.info.size if wanted.end < 0 else wanted.end

        async def frames() -> AsyncIterator[bytes | memoryview]:
            data = read_checked(self._mender, standing, wanted.key, entry.info, wanted.begin, end, mend=wanted.mend)
            piece = await anext(data, None)  # what is wrong with that one can still be said
            yield frame_document(msgspec.json.encode(entry))
            while piece is not None:
                yield frame_data(piece)
                yield piece
                piece = await anext(data, None)
            yield frame_document(b"{}")

        return await send_stream(request, frames(), {}, self._limits)

    async def _versions(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer_value(await self._followed.versions(await self._read(request, FindVersions)))

    async def _promise(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer_value(self._promiser.give(await self._read(request, AskPromises)))

    async def _learn(self, request: web.BaseRequest) -> web.StreamResponse:
        for placement in (await self._read(request, Learn)).placements:
            await self._followed.learn_only(placement)
        return answer_document(200, b"{}")

    async def _placements(self, request: web.BaseRequest) -> web.StreamResponse:
        wanted = await self._read(request, FindPlacements)
        return _answer_value(self._followed.standings.atlas.of_namespace(wanted.namespace))

    async def _compare(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer_value(await self._source.compare(await self._read(request, ComparePages)))

    async def _copy_ended(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer_value(await self._source.end(await self._read(request, CopyEnded)))

    async def _settle(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._source.settle(await self._read(request, Settle))
        return answer_document(200, b"{}")

    async def _uploads(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer_value(await self._source.uploads(await self._read(request, FindUploads)))

    async def _send_upload(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer_value(await self._source.send_upload(await self._read(request, SendUpload)))

    async def _gather(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer_value(await self._followed.gather(await self._read(request, Gather)))

    async def _torrent(self, request: web.BaseRequest) -> web.StreamResponse:
        wanted = await self._read(request, FindTorrent)
        offer = await self._torrents.seeds.offer(wanted) if self._torrents is not None else None
        return _answer_value([offer] if offer is not None else [])


async def call_objects(local: LocalObjects, call: requests.Plain) -> object:
    """Make a call that has no body."""
    match call:
        case requests.Head():
            return await local.head(call.bucket, call.key, call.version_id)
        case requests.Delete():
            return await local.delete(call.bucket, call.key, call.version_id, call.conditions, bypass=call.bypass)
        case requests.ListKeys():
            return await local.list_keys(
                call.bucket, call.key, call.prefix, call.delimiter, call.after, call.limit, versions=call.versions
            )
        case requests.Update():
            return await local.update(call.bucket, call.key, call.version_id, call.changes, seq=call.seq)
        case requests.BeginUpload():
            return await local.begin_upload(call.bucket, call.key, call.options)
        case requests.ListParts():
            return await local.list_parts(call.bucket, call.key, call.upload_id)
        case requests.ListUploads():
            return await local.list_uploads(call.bucket, call.key, call.prefix)
        case requests.CompleteUpload():
            return await local.complete_upload(call.bucket, call.key, call.upload_id, call.parts, call.options)
        case requests.AbortUpload():
            await local.abort_upload(call.bucket, call.key, call.upload_id)
            return None


async def _read_whole(pieces: AsyncIterator[bytes]) -> bytearray:
    """A request's document. :raises UsageError: it is too long."""
    data = bytearray()
    async for piece in pieces:
        data += piece
        if len(data) > _DOCUMENT_LIMIT:
            raise UsageError(f"a document of more than {_DOCUMENT_LIMIT} bytes")
    return data


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def answer_document(status: int, body: bytes) -> web.Response:
    """A JSON answer."""
    from aiohttp import web

    return web.Response(status=status, body=body, headers={"Content-Type": "application/json", "Server": SERVER})


def _answer_value(value: object) -> web.Response:
    return answer_document(200, msgspec.json.encode(value))


def refuse(error: Failure) -> web.Response:
    """The answer that carries an error."""
    if not isinstance(error, ElsewhereError):
        log.info("refused: %s", error)
    return answer_document(*encode_failure(error))


async def send_stream(
    request: web.BaseRequest,
    data: AsyncIterator[bytes | memoryview],
    headers: dict[str, str],
    limits: Limits,
    status: int = 200,
) -> web.StreamResponse:
    """Send bytes as they become known. Errors before the first are raised; after it, the connection is cut.

    Pieces may be views of one buffer: each is sent before the next is asked for.
    """
    from aiohttp import web

    first = await anext(data, None)
    response = web.StreamResponse(status=status, headers=headers)
    response._send_headers_immediately = False  # noqa: SLF001  # but with the first piece: one call of the kernel less
    response.headers.setdefault("Content-Type", "application/octet-stream")
    response.headers.setdefault("Server", SERVER)
    if request.transport is not None:
        # Each piece is wholly gone before the next. A TLS transport pauses at the limit, not above it: at 0 for ever.
        request.transport.set_write_buffer_limits(1 if request.secure else 0, 0)
    await response.prepare(request)
    try:
        if first is not None:
            await write_answer(request, response, first, limits)
            async for piece in data:
                await write_answer(request, response, piece, limits)
        await response.write_eof()
    except (*FAILURES, ConnectionError) as error:
        log.warning("an answer to %s %s was cut off: %s", request.method, request.raw_path, error)
        _cut_off(request)
    except asyncio.CancelledError:  # by the server's end: what is not sent yet lies in memory that others get now
        _cut_off(request)
        raise
    return response


def _cut_off(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()

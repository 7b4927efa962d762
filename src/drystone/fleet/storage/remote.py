"""The objects that another server leads: each call of `Objects` is passed on to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from drystone.base.errors import UnavailableError
from drystone.fleet.calls import Calls
from drystone.fleet.objects import (
    ByteSource,
    Conditions,
    ObjectInfo,
    Page,
    PartInfo,
    PutOptions,
    UploadInfo,
)
from drystone.fleet.storage import requests
from drystone.fleet.storage.failures import decode_failure
from drystone.fleet.storage.frames import frame_data, frame_document

PATH = "/internal/objects"
MAP_HEADER = "x-drystone-map"
_SECONDS = 60.0
"""How long a leader may take for a change: it may wait for a member, and for a mapper that drops it."""


class RemoteObjects:
    """`Objects` of the placements that one server leads, over HTTP. Errors are those that the leader raised.

    :param url: of the server. :param map_: term and version of the map that we know: it goes by none that is older.
    :param read_seconds: how long it may take for what changes nothing.
    """

    def __init__(self, calls: Calls, url: str, map_: tuple[int, int], *, read_seconds: float) -> None:
        self._calls = calls
        self._read_seconds = read_seconds
        self._url = url + PATH
        self._headers = {MAP_HEADER: f"{map_[0]}.{map_[1]}"}

    async def _ask(self, call: requests.Plain) -> object:
        body = msgspec.json.encode(call)
        seconds = self._read_seconds if isinstance(call, requests.READS) else _SECONDS
        answer = await self._calls.call("POST", self._url, body, headers=self._headers, seconds=seconds)
        if answer.status != 200:
            raise decode_failure(answer)
        return answer.document(requests.ANSWERS[type(call)])

    async def _send(self, call: requests.Bodied, body: ByteSource) -> object:
        async def frames() -> AsyncIterator[bytes]:
            yield frame_document(msgspec.json.encode(call))
            async for piece in body:
                yield frame_data(piece)
                yield piece
            yield frame_document(msgspec.json.encode(requests.BodyEnd(body.trailers())))

        async with self._calls.open(
            "POST", self._url, body=frames(), headers=self._headers, seconds=None, still_seconds=_SECONDS
        ) as stream:
            answer = await stream.read()
        if answer.status != 200:
            raise decode_failure(answer)
        return answer.document(requests.ANSWERS[type(call)])

    async def put(self, bucket: str, key: str, body: ByteSource, options: PutOptions) -> ObjectInfo:
        answer = await self._send(requests.Put(bucket, key, options), body)
        assert isinstance(answer, ObjectInfo)
        return answer

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        answer = await self._ask(requests.Head(bucket, key, version_id))
        assert isinstance(answer, ObjectInfo)
        return answer

    async def open(
        self, bucket: str, key: str, version_id: str | None = None
    ) -> tuple[ObjectInfo, AsyncIterator[bytes] | None]:
        return await self.head(bucket, key, version_id), None

    async def read(self, bucket: str, key: str, info: ObjectInfo, begin: int, end: int) -> AsyncIterator[bytes]:
        call = requests.Read(bucket, key, info, begin, end)
        left = end - begin
        body = msgspec.json.encode(call)
        async with self._calls.open(
            "POST", self._url, body=body, headers=self._headers, seconds=self._read_seconds
        ) as stream:
            if stream.status != 200:
                raise decode_failure(await stream.read())
            async for piece in stream.pieces():
                left -= len(piece)
                yield piece
        if left:
            raise UnavailableError(f"{self._url}: {left} bytes of {key!r} are missing")

    async def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        conditions: Conditions = Conditions(),  # noqa: B008  # frozen
        *,
        bypass: bool = False,
    ) -> ObjectInfo | None:
        answer = await self._ask(requests.Delete(bucket, key, version_id, conditions, bypass))
        assert answer is None or isinstance(answer, ObjectInfo)
        return answer

    async def list_keys(
        self, bucket: str, key: str, prefix: str, delimiter: str, after: str, limit: int, *, versions: bool
    ) -> Page:
        """A listing of the placement that `key` belongs to."""
        answer = await self._ask(requests.ListKeys(bucket, key, prefix, delimiter, after, limit, versions))
        assert isinstance(answer, Page)
        return answer

    async def update(
        self,
        bucket: str,
        key: str,
        version_id: str | None,
        changes: dict[str, dict[str, str]],
        *,
        seq: int | None = None,
    ) -> ObjectInfo:
        answer = await self._ask(requests.Update(bucket, key, version_id, changes, seq))
        assert isinstance(answer, ObjectInfo)
        return answer

    async def begin_upload(self, bucket: str, key: str, options: PutOptions) -> UploadInfo:
        answer = await self._ask(requests.BeginUpload(bucket, key, options))
        assert isinstance(answer, UploadInfo)
        return answer

    async def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: ByteSource, options: PutOptions
    ) -> PartInfo:
        answer = await self._send(requests.PutPart(bucket, key, upload_id, number, options), body)
        assert isinstance(answer, PartInfo)
        return answer

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> tuple[UploadInfo, tuple[PartInfo, ...]]:
        answer = await self._ask(requests.ListParts(bucket, key, upload_id))
        assert isinstance(answer, tuple)
        return answer

    async def list_uploads(self, bucket: str, key: str, prefix: str) -> tuple[UploadInfo, ...]:
        """The uploads of the placement that `key` belongs to."""
        answer = await self._ask(requests.ListUploads(bucket, key, prefix))
        assert isinstance(answer, tuple)
        return answer

    async def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: tuple[tuple[int, str], ...], options: PutOptions
    ) -> ObjectInfo:
        answer = await self._ask(requests.CompleteUpload(bucket, key, upload_id, parts, options))
        assert isinstance(answer, ObjectInfo)
        return answer

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        await self._ask(requests.AbortUpload(bucket, key, upload_id))

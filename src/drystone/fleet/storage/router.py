"""`Objects` of the whole fleet: each call goes to the leader of its key's placement, here or on another server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.fleet.calls import Calls, Mappers
from drystone.fleet.documents import Allocation, Placement
from drystone.fleet.objects import ByteSource, Conditions, ObjectInfo, Page, PartInfo, PutOptions, UploadInfo
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.atlas import host_of
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.listing import merge, relevant
from drystone.fleet.storage.local import LocalObjects
from drystone.fleet.storage.members import FindPlacements
from drystone.fleet.storage.remote import RemoteObjects
from drystone.fleet.storage.repeatable_body import RepeatableBody
from drystone.fleet.storage.standing import Standings

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Somewhere = LocalObjects | RemoteObjects

PLACEMENTS_PATH = "/internal/members/placements"
_PAUSE = 0.25
_LAST_SECONDS = 1.0
"""How long a leader may still take for a call when another one is known: it may hang, and then never answers."""


class Router:
    """`Objects`. Finds the placement, has one allocated when a put needs it, and follows the leader.

    :param local: what this server leads. :param patience: seconds for which a call is tried again while leaders change.
    """

    def __init__(
        self,
        local: LocalObjects,
        standings: Standings,
        calls: Calls,
        mappers: Mappers,
        *,
        patience: float,
    ) -> None:
        self._local = local
        self._patience = patience
        self._standings = standings
        self._calls = calls
        self._mappers = mappers

    # ------------------------------------------------------------------ finding the leader

    async def find(self, bucket: str, host: str) -> Placement | None:
        """The placement of a host; a mapper is asked when none is known here.

        :raises S3Error: SlowDown: none is known, and no mapper answers.
        """
        atlas = self._standings.atlas
        if (known := atlas.find(bucket, host)) is None:
            await self.refresh()
            known = atlas.find(bucket, host)
        if known is None and atlas.recovering:
            raise S3Error(Code.SlowDown, "The map is being rebuilt; try again.")
        return known

    async def refresh(self) -> None:
        """Get the newest map. :raises S3Error: SlowDown: no mapper answers."""
        try:
            await self._standings.refresh()
        except (UnavailableError, TimedOutError) as error:
            raise S3Error(Code.SlowDown, "No mapper answers; try again.") from error

    async def allocate(self, bucket: str, host: str) -> Placement:
        """The placement of a host, a new one when it has none.

        :raises S3Error: SlowDown: no mapper answers; NoSuchBucket. :raises ExhaustedError: no room for two copies.
        """
        if (known := self._standings.atlas.find(bucket, host)) is not None:
            return known
        try:
            answer = await self._mappers.call("POST", "/internal/allocate", Allocation(bucket, host))
        except (UnavailableError, TimedOutError) as error:
            raise S3Error(Code.SlowDown, "No mapper answers; try again.") from error
        if answer.status == 404:
            raise S3Error(Code.NoSuchBucket, BucketName=bucket)
        if answer.status != 200:
            raise answer.error()
        placement = answer.document(Placement)
        await self._standings.learn_placement(placement)
        return placement

    def _check_room(self, bucket: str) -> None:
        """:raises S3Error: QuotaExceeded: the mapper found the bucket's quota used up."""
        known = self._standings.atlas.buckets.get(bucket)
        if known is not None and known.full:
            raise S3Error(Code.QuotaExceeded, BucketName=bucket)

    def _objects_of(self, placement: Placement) -> Somewhere:
        if placement.leader == self._standings.server:
            return self._local
        url = self._standings.atlas.url_of(placement.leader)
        if not url:
            raise UnavailableError(f"server {placement.leader} is not known")
        atlas = self._standings.atlas
        return RemoteObjects(self._calls, url, (atlas.term, atlas.version), read_seconds=2 * self._patience)

    async def route(
        self,
        placement: Placement,
        call: Callable[[Somewhere], Awaitable[Result]],
        *,
        body: RepeatableBody | None = None,
        plain: bool = True,
    ) -> Result:
        """The result of `call` at the leader.

        :param body: what it sends, if anything. :param plain: whether it may be made again though it may have been
            made.
        :raises S3Error: SlowDown when no leader is found in time.
        """
        deadline = time.monotonic() + self._patience
        while True:
            known = self._standings.atlas.placement(placement.id) or placement
            try:
                return await self._while_leading(known, call(self._objects_of(known)))
            except ElsewhereError as error:  # nothing was done
                failure: Exception = error
                again = True
                if error.placement is not None:
                    await self._standings.learn_placement(error.placement)
            except (UnavailableError, TimedOutError) as error:
                if body is not None and body.failure is not None:
                    raise body.failure from error
                failure, again = error, plain
            if not again or (body is not None and not body.repeatable):
                await self._hold(known)
                deadline = 0.0
            if time.monotonic() > deadline:
                raise S3Error(Code.SlowDown, f"{failure}; try again.") from failure
            await self._pause(known)

    async def _while_leading(self, known: Placement, doing: Awaitable[Result]) -> Result:
        """The result of `doing` at the leader that is known.

        :raises TimedOutError: another one leads by now, and this one does not answer: it may hang.
        """
        standings = self._standings
        if known.leader == standings.server:
            return await doing
        try:
            async with asyncio.timeout(None) as limit:

                def look() -> None:
                    newer = standings.atlas.placement(known.id)
                    if newer is not None and newer.leader != known.leader and limit.when() is None:
                        limit.reschedule(asyncio.get_running_loop().time() + _LAST_SECONDS)

                standings.watchers.add(look)
                try:
                    return await doing
                finally:
                    standings.watchers.discard(look)
        except TimeoutError as error:
            raise TimedOutError(f"server {known.leader} leads no more, and does not answer") from error

    async def _pause(self, known: Placement) -> None:
        """Wait a moment, unless something newer is known."""
        newer = self._standings.atlas.placement(known.id)
        if newer is None or newer.epoch <= known.epoch:
            await self._refresh_quietly()
            await asyncio.sleep(_PAUSE)

    async def _hold(self, placement: Placement) -> None:
        """Wait until a leader answers, as long as a failover takes: whoever is told to try again then succeeds.

        Programs that speak S3 try anew two to five times within a few seconds, and a failover takes longer.
        """
        key = f"{placement.host}/" if placement.host else ""
        with contextlib.suppress(S3Error):
            await self.route(
                placement,
                lambda objects: objects.list_keys(placement.namespace, key, "", "", "", 1, versions=False),
            )

    async def _send(
        self,
        placement: Placement,
        body: ByteSource,
        call: Callable[[Somewhere, ByteSource], Awaitable[Result]],
        *,
        plain: bool = True,
    ) -> Result:
        """As `route`, for a call with a body."""
        again = RepeatableBody(body)
        try:
            return await self.route(placement, lambda objects: call(objects, again), body=again, plain=plain)
        finally:
            await again.close()

    async def _refresh_quietly(self) -> None:
        try:
            await self._standings.refresh()
        except DrystoneError as error:
            log.info("no newer map: %s", error)

    async def _refresh_for_listing(self, bucket: str) -> None:
        """Know all hosts of a bucket, also one that is new a moment ago: from a mapper, or from all other servers while
        none answers here: one of them asked for its placement.

        :raises S3Error: SlowDown: the map is being rebuilt, or nobody can say so, and a listing might lack what is
            there.
        """
        try:
            await self._standings.refresh()
        except DrystoneError as error:
            log.info("no newer map: %s", error)
            await self._ask_others(bucket)
        if self._standings.atlas.recovering:
            raise S3Error(Code.SlowDown, "The map is being rebuilt; try again.")

    async def _ask_others(self, bucket: str) -> None:
        """Learn what placements of a bucket all other servers know. :raises S3Error: SlowDown: one does not answer."""
        others = [each.url for each in self._standings.atlas.servers.values() if each.id != self._standings.server]
        asks = (self._calls.ask(f"{url}{PLACEMENTS_PATH}", FindPlacements(bucket), list[Placement]) for url in others)
        try:
            answers = await asyncio.gather(*asks)
        except DrystoneError as error:
            raise S3Error(Code.SlowDown, f"No mapper answers, and {error.message}; try again.") from error
        for placement in itertools.chain.from_iterable(answers):
            await self._standings.learn_placement(placement)

    async def _at(self, bucket: str, key: str, call: Callable[[Somewhere], Awaitable[Result]]) -> Result:
        """A call about a key that should be there. :raises S3Error: NoSuchKey: its host has no placement."""
        placement = await self.find(bucket, host_of(key))
        if placement is None:
            raise S3Error(Code.NoSuchKey, Key=key)
        return await self.route(placement, call)

    # ------------------------------------------------------------------ Objects

    async def put(self, bucket: str, key: str, body: ByteSource, options: PutOptions) -> ObjectInfo:
        self._check_room(bucket)
        placement = await self.allocate(bucket, host_of(key))
        # A conditional put that was made without our knowledge would fail by its own condition.
        return await self._send(
            placement,
            body,
            lambda objects, again: objects.put(bucket, key, again, options),
            plain=options.conditions == Conditions(),
        )

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        return await self._at(bucket, key, lambda objects: objects.head(bucket, key, version_id))

    async def open(
        self, bucket: str, key: str, version_id: str | None = None
    ) -> tuple[ObjectInfo, AsyncIterator[bytes | memoryview] | None]:
        placement = await self.find(bucket, host_of(key))
        if placement is None:
            raise S3Error(Code.NoSuchKey, Key=key)
        info, pieces = await self.route(placement, lambda objects: objects.open(bucket, key, version_id))
        return info, self._read(placement, key, info, 0, info.size, pieces) if pieces is not None else None

    async def read(
        self, bucket: str, key: str, info: ObjectInfo, begin: int, end: int
    ) -> AsyncIterator[bytes | memoryview]:
        placement = await self.find(bucket, host_of(key))
        if placement is None:
            raise S3Error(Code.NoSuchKey, Key=key)
        return self._read(placement, key, info, begin, end)

    async def _read(
        self,
        placement: Placement,
        key: str,
        info: ObjectInfo,
        begin: int,
        end: int,
        opened: AsyncIterator[bytes | memoryview] | None = None,
    ) -> AsyncIterator[bytes | memoryview]:
        """The bytes, from the leader (as it opened them); from the next one where it went away in between."""
        passed = begin
        deadline = time.monotonic() + self._patience
        while True:
            known = self._standings.atlas.placement(placement.id) or placement
            try:
                if opened is None:
                    pieces = aiter(self._objects_of(known).read(placement.namespace, key, info, passed, end))
                else:
                    pieces, opened = opened, None
                while (piece := await self._while_leading(known, anext(pieces, None))) is not None:
                    yield piece
                    passed += len(piece)
                    deadline = time.monotonic() + self._patience
                return
            except (ElsewhereError, UnavailableError, TimedOutError) as error:
                if time.monotonic() > deadline:
                    raise S3Error(Code.SlowDown, f"{error}; try again.") from error
                if isinstance(error, ElsewhereError) and error.placement is not None:
                    await self._standings.learn_placement(error.placement)
                await self._pause(known)

    async def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        conditions: Conditions = Conditions(),  # noqa: B008  # frozen
        *,
        bypass: bool = False,
    ) -> ObjectInfo | None:
        placement = await self.find(bucket, host_of(key))
        if placement is None:
            return None
        return await self.route(
            placement, lambda objects: objects.delete(bucket, key, version_id, conditions, bypass=bypass)
        )

    async def list(
        self, bucket: str, prefix: str, delimiter: str, after: str, limit: int, *, versions: bool = False
    ) -> Page:
        await self._refresh_for_listing(bucket)

        async def ask(placement: Placement) -> Page:
            key = f"{placement.host}/" if placement.host else ""
            return await self.route(
                placement,
                lambda objects: objects.list_keys(bucket, key, prefix, delimiter, after, limit, versions=versions),
            )

        placements = relevant(self._standings.atlas.of_namespace(bucket), prefix, after)
        return await merge(placements, ask, limit, versions=versions)

    async def update(
        self,
        bucket: str,
        key: str,
        version_id: str | None,
        changes: dict[str, dict[str, str]],
        *,
        seq: int | None = None,
    ) -> ObjectInfo:
        return await self._at(bucket, key, lambda objects: objects.update(bucket, key, version_id, changes, seq=seq))

    async def begin_upload(self, bucket: str, key: str, options: PutOptions) -> UploadInfo:
        self._check_room(bucket)
        placement = await self.allocate(bucket, host_of(key))
        return await self.route(placement, lambda objects: objects.begin_upload(bucket, key, options))

    async def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: ByteSource, options: PutOptions
    ) -> PartInfo:
        self._check_room(bucket)
        placement = await self._place_of_upload(bucket, key)
        return await self._send(
            placement,
            body,
            lambda objects, again: objects.put_part(bucket, key, upload_id, number, again, options),
        )

    async def _place_of_upload(self, bucket: str, key: str) -> Placement:
        placement = await self.find(bucket, host_of(key))
        if placement is None:
            raise S3Error(Code.NoSuchUpload)
        return placement

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> tuple[UploadInfo, tuple[PartInfo, ...]]:
        placement = await self._place_of_upload(bucket, key)
        return await self.route(placement, lambda objects: objects.list_parts(bucket, key, upload_id))

    async def list_uploads(self, bucket: str, prefix: str) -> tuple[UploadInfo, ...]:
        await self._refresh_for_listing(bucket)

        async def ask(placement: Placement) -> tuple[UploadInfo, ...]:
            key = f"{placement.host}/" if placement.host else ""
            return await self.route(placement, lambda objects: objects.list_uploads(bucket, key, prefix))

        placements = relevant(self._standings.atlas.of_namespace(bucket), prefix, "")
        found = await asyncio.gather(*(ask(each) for each in placements))
        return tuple(sorted((each for some in found for each in some), key=lambda each: (each.key, each.begun)))

    async def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: tuple[tuple[int, str], ...], options: PutOptions
    ) -> ObjectInfo:
        placement = await self._place_of_upload(bucket, key)
        return await self.route(
            placement, lambda objects: objects.complete_upload(bucket, key, upload_id, parts, options)
        )

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        placement = await self._place_of_upload(bucket, key)
        await self.route(placement, lambda objects: objects.abort_upload(bucket, key, upload_id))

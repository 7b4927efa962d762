"""Access keys and buckets, from the map; changes of them are the mapper's to make."""

from __future__ import annotations

import time
from typing import TypeVar

from drystone.base.errors import DrystoneError, ExistsError, NotFoundError, TimedOutError, UnavailableError
from drystone.fleet.calls import Answer, Mappers
from drystone.fleet.documents import Bucket, Key
from drystone.fleet.orders import BucketChange, NewBucket
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.standing import Standings

Found = TypeVar("Found")

_ASK_AGAIN = 1.0
"""Seconds for which a bucket that no mapper knew, or any key, is not asked for again; news come by themselves."""
_REMEMBERED = 4096


class MapCatalog:
    """The gateway's `Catalog`, over the map that this server knows."""

    def __init__(self, standings: Standings, mappers: Mappers) -> None:
        self._standings = standings
        self._mappers = mappers
        self._unknown: dict[str, float] = {}

    async def find_key(self, access_key: str) -> Key | None:
        keys = self._standings.atlas.keys
        if access_key not in keys:
            await self._look_again("any key")  # not each: a stranger has many names
        return self._known(self._standings.atlas.keys.get(access_key))

    async def bucket(self, name: str) -> Bucket | None:
        if name not in self._standings.atlas.buckets:
            await self._look_again(f"bucket {name}")
        return self._known(self._standings.atlas.buckets.get(name))

    def _known(self, found: Found | None) -> Found | None:
        """:raises S3Error: SlowDown: it is not known, but the map is being rebuilt and may lack it."""
        if found is None and self._standings.atlas.recovering:
            raise S3Error(Code.SlowDown, "The map is being rebuilt; try again.")
        return found

    async def buckets(self) -> tuple[Bucket, ...]:
        await self._refresh()
        return tuple(sorted(self._standings.atlas.buckets.values(), key=lambda each: each.name))

    async def _look_again(self, what: str) -> None:
        """Ask a mapper whether there is something newer; not again for the same thing at once."""
        now = time.monotonic()
        if self._unknown.get(what, 0.0) > now:
            return
        await self._refresh()
        if len(self._unknown) >= _REMEMBERED:
            self._unknown.clear()
        self._unknown[what] = now + _ASK_AGAIN

    async def _refresh(self) -> None:
        try:
            await self._standings.refresh()
        except (UnavailableError, TimedOutError) as error:
            raise S3Error(Code.SlowDown, "No mapper answers; try again.") from error

    async def _change(self, method: str, path: str, document: object = None) -> Answer:
        """A change at the mapper, and the map that has it. :raises S3Error: SlowDown: none answers."""
        try:
            answer = await self._mappers.call(method, path, document)
        except (UnavailableError, TimedOutError) as error:
            raise S3Error(Code.SlowDown, "No mapper answers; try again.") from error
        self._unknown.clear()
        if answer.status < 300:
            await self._refresh()
        return answer

    async def create_bucket(self, name: str, owner: str, settings: dict[str, str]) -> Bucket:
        answer = await self._change("POST", "/internal/buckets", NewBucket(name, owner=owner, settings=settings))
        if answer.status < 300:
            return answer.document(Bucket)
        if isinstance(answer.error(), ExistsError):
            known = await self.bucket(name)
            own = known is not None and known.owner == owner
            raise S3Error(Code.BucketAlreadyOwnedByYou if own else Code.BucketAlreadyExists, BucketName=name)
        raise answer.error()

    async def delete_bucket(self, name: str) -> None:
        answer = await self._change("DELETE", f"/internal/buckets/{name}")
        if answer.status >= 300:
            raise self._name_missing(answer.error(), name)

    async def set_bucket(self, name: str, settings: dict[str, str]) -> Bucket:
        answer = await self._change("POST", f"/internal/buckets/{name}", BucketChange(settings))
        if answer.status >= 300:
            raise self._name_missing(answer.error(), name)
        return answer.document(Bucket)

    def _name_missing(self, error: DrystoneError, name: str) -> Exception:
        if not isinstance(error, NotFoundError):
            return error
        if self._standings.atlas.recovering:
            return S3Error(Code.SlowDown, "The map is being rebuilt; try again.")
        return S3Error(Code.NoSuchBucket, BucketName=name)

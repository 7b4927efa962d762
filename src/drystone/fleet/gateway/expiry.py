"""Removing what a bucket's lifecycle rules say has expired. Run by a server now and then; twice does no harm."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from drystone.base.errors import DrystoneError
from drystone.fleet.documents import Bucket
from drystone.fleet.gateway.catalog import Catalog
from drystone.fleet.objects import Conditions, ObjectInfo, Objects
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.lifecycle import Expiry, Rule, find_expired, unpack_rules, upload_expires
from drystone.fleet.s3.settings import LIFECYCLE

_PAGE = 1000
_EVERY = 3600.0
_log = logging.getLogger(__name__)
_KEPT = (Code.AccessDenied, Code.NoSuchKey, Code.PreconditionFailed, Code.NoSuchUpload)
"""What is locked stays; what changed meanwhile is looked at the next time."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What was removed. :ivar objects: current versions, :ivar versions: earlier ones and delete markers."""

    objects: int = 0
    versions: int = 0
    uploads: int = 0


async def expire(objects: Objects, bucket: Bucket, now: float) -> Expired:
    """Apply the bucket's rules to all that is in it. :param now: seconds since 1970.

    Each removal is durable as any other is; what is not reached is found the next time.

    :raises S3Error: SlowDown and the like: it goes on where it was when it is called again.
    """
    rules = [rule for rule in unpack_rules(bucket.settings.get(LIFECYCLE, "")) if rule.enabled]
    current = versions = uploads = 0
    if any(rule.days or rule.date or rule.noncurrent_days or rule.markers for rule in rules):
        async for found in _find(objects, bucket.name, rules, now):
            if await _remove(objects, bucket.name, found):
                current += found.kind == "current"
                versions += found.kind == "version"
    if any(rule.abort_days for rule in rules):
        for upload in await objects.list_uploads(bucket.name, ""):
            if upload_expires(rules, upload, now):
                try:
                    await objects.abort_upload(bucket.name, upload.key, upload.upload_id)
                    uploads += 1
                except S3Error as error:
                    if error.code not in _KEPT:
                        raise
    return Expired(current, versions, uploads)


async def _find(objects: Objects, bucket: str, rules: Sequence[Rule], now: float) -> AsyncIterator[Expiry]:
    """What has expired, key by key; of a key all versions are looked at together, also across pages."""
    after, held = "", list[ObjectInfo]()
    while True:
        page = await objects.list(bucket, "", "", after, _PAGE, versions=True)
        groups = [list(group) for _, group in itertools.groupby([*held, *page.objects], key=lambda info: info.key)]
        held = groups.pop() if page.after and groups else []
        for versions in groups:
            for found in find_expired(rules, versions, now):
                yield found
        after = page.after
        if not after:
            return


async def _remove(objects: Objects, bucket: str, found: Expiry) -> bool:
    info = found.info
    try:
        if found.kind == "version":
            return await objects.delete(bucket, info.key, info.version_id) is not None
        latest = await objects.head(bucket, info.key)
        if latest.seq != info.seq:
            return False
        return await objects.delete(bucket, info.key, None, Conditions(if_match=(info.etag,))) is not None
    except S3Error as error:
        if error.code not in _KEPT:
            raise
        return False


class Expirer:
    """Applies the rules of all buckets once an hour.

    :param responsible: whether this server is to do it for a bucket of that name; asked each time. When two servers
        think so, they do the same work.
    """

    def __init__(
        self,
        objects: Objects,
        catalog: Catalog,
        responsible: Callable[[str], bool],
        *,
        every: float = _EVERY,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._objects = objects
        self._catalog = catalog
        self._responsible = responsible
        self._every = every
        self._now = now

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._every)
            await self.run_once()

    async def run_once(self) -> None:
        """All buckets once. What fails is logged, and tried again the next time."""
        try:
            buckets = await self._catalog.buckets()
        except (S3Error, DrystoneError) as error:
            _log.warning("expiry: the buckets are not known: %s", error)
            return
        for bucket in buckets:
            if not bucket.settings.get(LIFECYCLE) or not self._responsible(bucket.name):
                continue
            try:
                done = await expire(self._objects, bucket, self._now())
            except (S3Error, DrystoneError) as error:
                _log.warning("expiry: bucket %s: %s", bucket.name, error)
                continue
            if done != Expired():
                _log.info(
                    "expiry: bucket %s: %d objects, %d versions and %d uploads removed",
                    bucket.name,
                    done.objects,
                    done.versions,
                    done.uploads,
                )

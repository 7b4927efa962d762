"""The objects of the placements that this server leads."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from drystone.base.errors import DamagedError, MismatchError, NotFoundError, TimedOutError, UnavailableError
from drystone.fleet.disk.changes import Change, Entry
from drystone.fleet.disk.disk import Disk
from drystone.fleet.objects import ByteSource, Conditions, ObjectInfo, Page, PartInfo, PutOptions, UploadInfo
from drystone.fleet.s3.checksums import FULL_OBJECT
from drystone.fleet.s3.conditions import check_write
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.locks import check_removal
from drystone.fleet.s3.settings import Versioning, versioning
from drystone.fleet.storage.atlas import host_of
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.leader import Leader
from drystone.fleet.storage.promises import Promiser
from drystone.fleet.storage.reading import Loan, Mender, Opened, open_first, read_checked
from drystone.fleet.storage.settling import Settler
from drystone.fleet.storage.staging import Received, Staging
from drystone.fleet.storage.standing import Standing
from drystone.fleet.storage.upload_parts import UploadParts

Found = TypeVar("Found")

NULL = "null"
"""The version id of what was put while its bucket was not versioned."""


class LocalObjects:
    """`Objects`, where this server leads; all else raises ElsewhereError.

    :param leader: makes the changes. :param promiser: sees to it that we may read. :param settler: that what is shown
        stays, whoever leads next. :param mender: of what is damaged here.
    """

    def __init__(self, leader: Leader, promiser: Promiser, settler: Settler, mender: Mender) -> None:
        self.leader = leader
        self.promiser = promiser
        self._settler = settler
        self._mender = mender
        self._standings = leader.standings
        self._parts = UploadParts(leader)

    async def _lead(self, bucket: str, key: str) -> Standing:
        """Our copy of the placement of a key. Who sent the call here may know more than we: then a mapper is asked.

        :raises ElsewhereError: we do not lead it.
        """
        try:
            return self._find_led(bucket, key)
        except ElsewhereError:
            with contextlib.suppress(UnavailableError, TimedOutError):
                await self._standings.refresh()
            # What the map says may be on its way to our disk.
            if (known := self._standings.atlas.find(bucket, host_of(key))) is not None:
                await self._standings.learn_placement(known)
            return self._find_led(bucket, key)

    def _find_led(self, bucket: str, key: str) -> Standing:
        placement = self._standings.atlas.find(bucket, host_of(key))
        if placement is None:
            raise ElsewhereError(None)
        return self._standings.lead(placement.id)

    async def lead_for_writing(self, bucket: str, key: str) -> Standing:
        """As `_lead`, once we may write."""
        return await self._standings.lead_for_writing((await self._lead(bucket, key)).placement.id)

    async def _versioning(self, bucket: str) -> Versioning:
        """Whether the bucket keeps versions; a mapper is asked about one that is not known here yet.

        :raises S3Error: NoSuchBucket; SlowDown: nobody can say so for certain now.
        """
        atlas = self._standings.atlas
        if bucket not in atlas.buckets:
            try:
                await self._standings.refresh()
            except (UnavailableError, TimedOutError) as error:
                raise S3Error(Code.SlowDown, "No mapper answers; try again.") from error
        if bucket not in atlas.buckets:
            if atlas.recovering:
                raise S3Error(Code.SlowDown, "The map is being rebuilt; try again.")
            raise S3Error(Code.NoSuchBucket, BucketName=bucket)
        return versioning(atlas.buckets[bucket].settings)

    async def _look(self, standing: Standing, look: Callable[[Disk], Found]) -> Found:
        """What `look` finds on our disk, when we may read for clients at a moment after it."""
        return await self._read(standing, lambda: standing.bay.run(look, standing.disk))

    async def _read(self, standing: Standing, look: Callable[[], Awaitable[Found]]) -> Found:
        return await self.promiser.reading(standing, look, self.leader.drop)

    async def _find(
        self, standing: Standing, key: str, version_id: str | None = None, *, locked: bool = True
    ) -> Entry | None:
        """A version (None: the latest) that nobody who may lead next lacks. :param locked: the key's lock is held."""
        id_ = standing.placement.id
        return await self._read_key(
            standing, key, lambda: standing.bay.run(standing.disk.find, id_, key, version_id), locked=locked
        )

    async def _read_key(
        self, standing: Standing, key: str, look: Callable[[], Awaitable[Found]], *, locked: bool
    ) -> Found:
        id_ = standing.placement.id
        agree = functools.partial(self._settler.agree, id_, key, locked=locked)
        return await self.promiser.reading(standing, look, self.leader.drop, agree)

    async def _check_write(self, standing: Standing, key: str, conditions: Conditions) -> None:
        """With the key's lock held. :raises S3Error: the conditions of a change do not hold."""
        if conditions != Conditions():
            known = await self._find(standing, key)
            check_write(conditions, known.info if known else None)

    # ------------------------------------------------------------------ reading

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        standing = await self._lead(bucket, key)
        entry = await self._find(standing, key, version_id, locked=False)
        if entry is None:
            raise S3Error(Code.NoSuchKey if version_id is None else Code.NoSuchVersion, Key=key)
        return entry.info

    async def read(
        self, bucket: str, key: str, info: ObjectInfo, begin: int, end: int
    ) -> AsyncIterator[bytes | memoryview]:
        async for piece in self._send(await self._lead(bucket, key), info, begin, end):
            yield piece

    async def open(
        self, bucket: str, key: str, version_id: str | None = None
    ) -> tuple[ObjectInfo, AsyncIterator[bytes | memoryview] | None]:
        standing, loan = await self._lead(bucket, key), Loan(self._mender.buffers)
        try:
            first = functools.partial(open_first, standing, key, version_id, loan)
            opened = await self._read_key(standing, key, first, locked=False)
        except (NotFoundError, DamagedError):  # or a delete marker, or a file that is to be restored
            return await self.head(bucket, key, version_id), None
        info = opened.reader.info
        return info, self._send(standing, info, 0, info.size, opened) if info.size else None

    async def _send(
        self, standing: Standing, info: ObjectInfo, begin: int, end: int, opened: Opened | None = None
    ) -> AsyncIterator[bytes | memoryview]:
        try:
            async for piece in read_checked(self._mender, standing, info.key, info, begin, end, opened=opened):
                yield piece
        except (NotFoundError, MismatchError) as error:
            raise S3Error(Code.NoSuchKey, Key=info.key) from error

    async def list_keys(
        self, bucket: str, key: str, prefix: str, delimiter: str, after: str, limit: int, *, versions: bool
    ) -> Page:
        """A page of the placement that `key` belongs to."""
        standing = await self._lead(bucket, key)
        id_ = standing.placement.id
        return await self._look(
            standing, lambda disk: disk.list(id_, prefix, delimiter, after, limit, versions=versions)
        )

    async def list_uploads(self, bucket: str, key: str, prefix: str) -> tuple[UploadInfo, ...]:
        """The uploads of the placement that `key` belongs to."""
        standing = await self._lead(bucket, key)
        return await self._look(standing, lambda disk: disk.uploads(standing.placement.id, prefix))

    # ------------------------------------------------------------------ changing

    async def put(self, bucket: str, key: str, body: ByteSource, options: PutOptions) -> ObjectInfo:
        mode = await self._versioning(bucket)
        standing = await self.lead_for_writing(bucket, key)
        staging = Staging(standing, self.leader.links(standing, size=options.size), options)
        handed_on = False
        try:
            received = await staging.take(body)
            handed_on = True
            return await self.leader.see_through(self._put(standing, key, staging, received, options, mode))
        finally:
            if not handed_on:
                await staging.close()

    async def _put(
        self,
        standing: Standing,
        key: str,
        staging: Staging,
        received: Received,
        options: PutOptions,
        mode: Versioning,
    ) -> ObjectInfo:
        try:
            info = ObjectInfo(
                key=key,
                size=received.size,
                modified=time.time(),
                etag=received.md5,
                digest=received.digest,
                seq=0,
                version_id=make_version_id(mode),
                headers=options.headers,
                user=options.user,
                checksums=received.checksums,
                checksum_type=options.checksum_type or (FULL_OBJECT if received.checksums else ""),
                tags=options.tags,
                lock=options.lock,
            )
            async with self.leader.locks.hold((standing.placement.id, key)):
                return await self.make_version(standing, info, options.conditions, staging)
        finally:
            await staging.close()

    async def make_version(
        self, standing: Standing, info: ObjectInfo, conditions: Conditions, staging: Staging | None
    ) -> ObjectInfo:
        """Put a version, with the key's lock held. What is returned has its version number."""
        placement_id = standing.placement.id
        standing = await self._standings.lead_for_writing(placement_id)
        await self._check_write(standing, info.key, conditions)

        def describe(seq: int) -> Change:
            return Change("put", placement_id, dataclasses.replace(info, seq=seq), seq)

        if staging is None:
            return await self.leader.make(standing, describe)
        made = await self.leader.make(standing, describe, staging.incoming, staging.links)
        staging.taken = True
        return made

    async def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        conditions: Conditions = Conditions(),  # noqa: B008  # frozen
        *,
        bypass: bool = False,
    ) -> ObjectInfo | None:
        mode = await self._versioning(bucket)
        standing = await self.lead_for_writing(bucket, key)
        return await self.leader.see_through(self._delete(standing, key, version_id, conditions, mode, bypass=bypass))

    async def _delete(
        self,
        standing: Standing,
        key: str,
        version_id: str | None,
        conditions: Conditions,
        mode: Versioning,
        *,
        bypass: bool,
    ) -> ObjectInfo | None:
        placement_id = standing.placement.id
        async with self.leader.locks.hold((placement_id, key)):
            await self._check_write(standing, key, conditions)
            if version_id is None and mode:
                marker = ObjectInfo(
                    key, 0, time.time(), "", "", 0, version_id=make_version_id(mode), delete_marker=True
                )
                return await self.make_version(standing, marker, Conditions(), None)
            entry = await self._find(standing, key, version_id or NULL)
            if entry is None:
                return None
            check_removal(entry.info.lock, time.time(), bypass=bypass)
            await self.remove_version(standing, entry.info)
            return entry.info

    async def remove_version(self, standing: Standing, info: ObjectInfo) -> None:
        """Remove one version, with the key's lock held."""
        placement_id = standing.placement.id
        standing = await self._standings.lead_for_writing(placement_id)

        def describe(seq: int) -> Change:
            gone = ObjectInfo(info.key, 0, time.time(), "", "", seq, version_id=info.version_id)
            return Change("remove", placement_id, gone, 0)

        await self.leader.make(standing, describe)

    async def update(
        self,
        bucket: str,
        key: str,
        version_id: str | None,
        changes: dict[str, dict[str, str]],
        *,
        seq: int | None = None,
    ) -> ObjectInfo:
        standing = await self.lead_for_writing(bucket, key)
        return await self.leader.see_through(self._update(standing, key, version_id, changes, seq))

    async def _update(
        self,
        standing: Standing,
        key: str,
        version_id: str | None,
        changes: dict[str, dict[str, str]],
        seq: int | None,
    ) -> ObjectInfo:
        placement_id = standing.placement.id
        async with self.leader.locks.hold((placement_id, key)):
            entry = await self._find(standing, key, version_id)
            if entry is None:
                raise S3Error(Code.NoSuchKey if version_id is None else Code.NoSuchVersion, Key=key)
            if seq is not None and entry.info.seq != seq:
                raise S3Error(Code.OperationAborted)
            return await self._replace_facts(standing, entry, changes)

    async def _replace_facts(self, standing: Standing, entry: Entry, changes: dict[str, dict[str, str]]) -> ObjectInfo:
        placement_id = standing.placement.id
        standing = await self._standings.lead_for_writing(placement_id)

        def describe(seq: int) -> Change:
            info = dataclasses.replace(entry.info, seq=seq, **changes)  # type: ignore[arg-type]  # names of dicts
            return Change("update", placement_id, info, entry.made)

        return await self.leader.make(standing, describe)

    # ------------------------------------------------------------------ in parts

    async def begin_upload(self, bucket: str, key: str, options: PutOptions) -> UploadInfo:
        standing = await self.lead_for_writing(bucket, key)
        return await self._parts.begin(standing, key, options)

    async def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: ByteSource, options: PutOptions
    ) -> PartInfo:
        standing = await self.lead_for_writing(bucket, key)
        return await self._parts.put(standing, key, upload_id, number, body, options)

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> tuple[UploadInfo, tuple[PartInfo, ...]]:
        standing = await self._lead(bucket, key)
        upload, parts = await self._read(standing, lambda: self._parts.find(standing, key, upload_id))
        return upload, tuple(
            PartInfo(each.number, each.size, each.md5, each.modified, each.checksums) for each in parts
        )

    async def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: tuple[tuple[int, str], ...], options: PutOptions
    ) -> ObjectInfo:
        version_id = make_version_id(await self._versioning(bucket))
        standing = await self.lead_for_writing(bucket, key)
        check = functools.partial(self._check_write, standing, key, options.conditions)
        return await self.leader.see_through(
            self._parts.complete(standing, key, upload_id, parts, options, version_id, check)
        )

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        standing = await self.lead_for_writing(bucket, key)
        await self.leader.see_through(self._parts.abort(standing, key, upload_id))


def make_version_id(mode: Versioning) -> str:
    """The id of a new version."""
    return uuid.uuid4().hex if mode == "Enabled" else NULL

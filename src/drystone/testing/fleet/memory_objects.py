"""`Objects` and `Catalog` in memory: for tests of the S3 gateway, held to the same conformance check as the fleet."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping

from blake3 import blake3

from drystone.fleet.documents import Bucket, Key
from drystone.fleet.objects import (
    ByteSource,
    Conditions,
    ObjectInfo,
    Page,
    PartInfo,
    PutOptions,
    UploadInfo,
)
from drystone.fleet.s3.checksums import Sums, combine_etags, with_sums_of
from drystone.fleet.s3.conditions import check_write
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.locks import check_removal
from drystone.fleet.s3.settings import versioning

_PIECE = 1 << 20
_NO_CONDITIONS = Conditions()


class MemoryCatalog:
    """Keys and buckets in memory."""

    def __init__(self, *keys: Key) -> None:
        self.keys = {key.access_key: key for key in keys}
        self.made: dict[str, Bucket] = {}

    async def find_key(self, access_key: str) -> Key | None:
        return self.keys.get(access_key)

    async def bucket(self, name: str) -> Bucket | None:
        return self.made.get(name)

    async def buckets(self) -> tuple[Bucket, ...]:
        return tuple(self.made[name] for name in sorted(self.made))

    async def create_bucket(self, name: str, owner: str, settings: dict[str, str]) -> Bucket:
        there = self.made.get(name)
        if there is not None:
            raise S3Error(Code.BucketAlreadyOwnedByYou if there.owner == owner else Code.BucketAlreadyExists)
        self.made[name] = Bucket(name, "shared", owner, 1_700_000_000.0, settings=settings)
        return self.made[name]

    async def delete_bucket(self, name: str) -> None:
        if self.made.pop(name, None) is None:
            raise S3Error(Code.NoSuchBucket)

    async def set_bucket(self, name: str, settings: dict[str, str]) -> Bucket:
        if name not in self.made:
            raise S3Error(Code.NoSuchBucket)
        before = self.made[name]
        merged = {key: text for key, text in {**before.settings, **settings}.items() if text}
        self.made[name] = Bucket(name, before.policy, before.owner, before.made, quota=before.quota, settings=merged)
        return self.made[name]


@dataclasses.dataclass(slots=True)
class _Upload:
    info: UploadInfo
    parts: dict[int, tuple[PartInfo, bytes]] = dataclasses.field(default_factory=dict)


class MemoryObjects:
    """Objects in memory.

    :param catalog: whose buckets they are in. :param now: seconds since 1970.
    """

    def __init__(self, catalog: MemoryCatalog, now: Callable[[], float]) -> None:
        self._catalog = catalog
        self._now = now
        self._versions: dict[tuple[str, str], list[ObjectInfo]] = {}
        self._data: dict[tuple[str, int], bytes] = {}
        self._uploads: dict[tuple[str, str, str], _Upload] = {}
        self._count = itertools.count(1)

    def _settings(self, bucket: str) -> Mapping[str, str]:
        found = self._catalog.made.get(bucket)
        if found is None:
            raise S3Error(Code.NoSuchBucket)
        return found.settings

    def _latest(self, bucket: str, key: str) -> ObjectInfo | None:
        versions = self._versions.get((bucket, key))
        return versions[0] if versions else None

    def _store(self, bucket: str, info: ObjectInfo, data: bytes) -> ObjectInfo:
        """Put a version in front. One with the id "null" takes the place of the one before."""
        status = versioning(self._settings(bucket))
        seq = next(self._count)
        stored = dataclasses.replace(info, seq=seq, version_id=f"v{seq:08d}" if status == "Enabled" else "null")
        there = self._versions.get((bucket, info.key), [])
        kept = [each for each in there if each.version_id != stored.version_id]
        self._set(bucket, info.key, [stored, *kept])
        self._data[bucket, seq] = data
        return self._versions[bucket, info.key][0]

    def _set(self, bucket: str, key: str, versions: list[ObjectInfo]) -> None:
        ordered = [
            each if each.latest is (not index) else dataclasses.replace(each, latest=not index)
            for index, each in enumerate(versions)
        ]
        if ordered:
            self._versions[bucket, key] = ordered
        else:
            self._versions.pop((bucket, key), None)

    async def put(self, bucket: str, key: str, body: ByteSource, options: PutOptions) -> ObjectInfo:
        self._settings(bucket)
        data, md5, checksums = await _take(body, options)
        check_write(options.conditions, self._latest(bucket, key))
        return self._store(
            bucket, self._info(key, data, md5, options, checksums, "FULL_OBJECT" if checksums else ""), data
        )

    def _info(
        self,
        key: str,
        data: bytes,
        etag: str,
        options: PutOptions,
        checksums: dict[str, str],
        kind: str,
    ) -> ObjectInfo:
        sums = b"".join(blake3(data[at : at + _PIECE]).digest() for at in range(0, len(data), _PIECE))
        return ObjectInfo(
            key,
            len(data),
            self._now(),
            etag,
            blake3(sums).hexdigest(),
            0,
            headers=options.headers,
            user=options.user,
            checksums=checksums,
            checksum_type=kind,
            tags=options.tags,
            lock=options.lock,
        )

    async def open(
        self, bucket: str, key: str, version_id: str | None = None
    ) -> tuple[ObjectInfo, AsyncIterator[bytes | memoryview] | None]:
        return await self.head(bucket, key, version_id), None

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        self._settings(bucket)
        versions = self._versions.get((bucket, key), [])
        if version_id is None:
            if not versions:
                raise S3Error(Code.NoSuchKey, Key=key)
            return versions[0]
        found = next((each for each in versions if each.version_id == version_id), None)
        if found is None:
            raise S3Error(Code.NoSuchVersion, Key=key)
        return found

    async def read(
        self, bucket: str, key: str, info: ObjectInfo, begin: int, end: int
    ) -> AsyncIterator[bytes | memoryview]:
        versions = self._versions.get((bucket, key), [])
        if all(each.seq != info.seq for each in versions):
            raise S3Error(Code.NoSuchKey, Key=key)
        return _pieces(memoryview(self._data[bucket, info.seq])[begin:end])

    async def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        conditions: Conditions = _NO_CONDITIONS,
        *,
        bypass: bool = False,
    ) -> ObjectInfo | None:
        status = versioning(self._settings(bucket))
        versions = self._versions.get((bucket, key), [])
        if version_id is None and status:
            check_write(conditions, versions[0] if versions else None)
            return self._store(bucket, ObjectInfo(key, 0, self._now(), "", "", 0, delete_marker=True), b"")
        wanted = version_id or "null"
        found = next((each for each in versions if each.version_id == wanted), None)
        check_write(conditions, found)
        if found is None:
            return None
        check_removal(found.lock, self._now(), bypass=bypass)
        self._set(bucket, key, [each for each in versions if each.version_id != wanted])
        self._data.pop((bucket, found.seq), None)
        return found

    async def list(
        self, bucket: str, prefix: str, delimiter: str, after: str, limit: int, *, versions: bool = False
    ) -> Page:
        self._settings(bucket)
        marker, _, version = after.partition("\0")
        objects: list[ObjectInfo] = []
        prefixes: list[str] = []
        last = ""
        for info in self._after(bucket, prefix, marker, version, versions=versions):
            cut = info.key.find(delimiter, len(prefix)) if delimiter else -1
            group = info.key[: cut + len(delimiter)] if cut >= 0 else ""
            if group and (group == marker or (prefixes and prefixes[-1] == group)):
                continue
            if len(objects) + len(prefixes) == limit:
                return Page(tuple(objects), tuple(prefixes), last)
            if group:
                prefixes.append(group)
                last = group
            else:
                objects.append(info)
                last = f"{info.key}\0{info.version_id}" if versions else info.key
        return Page(tuple(objects), tuple(prefixes), "")

    def _after(self, bucket: str, prefix: str, marker: str, version: str, *, versions: bool) -> tuple[ObjectInfo, ...]:
        """All that a listing may show, in order."""
        found: list[ObjectInfo] = []
        keys = sorted((key for where, key in self._versions if where == bucket), key=str.encode)
        for key in keys:
            if not key.startswith(prefix) or key.encode() < marker.encode():
                continue
            every = self._versions[bucket, key]
            if key == marker:
                ids = [each.version_id for each in every]
                every = every[ids.index(version) + 1 :] if version in ids else []
            shown = every if versions else [each for each in every[:1] if each.latest and not each.delete_marker]
            found += shown
        return tuple(found)

    async def update(
        self,
        bucket: str,
        key: str,
        version_id: str | None,
        changes: dict[str, dict[str, str]],
        *,
        seq: int | None = None,
    ) -> ObjectInfo:
        found = await self.head(bucket, key, version_id)
        if seq is not None and found.seq != seq:
            raise S3Error(Code.OperationAborted)
        changed = dataclasses.replace(
            found,
            seq=next(self._count),
            headers=changes.get("headers", found.headers),
            user=changes.get("user", found.user),
            tags=changes.get("tags", found.tags),
            lock=changes.get("lock", found.lock),
        )
        self._set(bucket, key, [changed if each.seq == found.seq else each for each in self._versions[bucket, key]])
        self._data[bucket, changed.seq] = self._data.pop((bucket, found.seq))
        return changed

    async def begin_upload(self, bucket: str, key: str, options: PutOptions) -> UploadInfo:
        self._settings(bucket)
        info = UploadInfo(key, f"u{next(self._count):08d}", self._now(), options)
        self._uploads[bucket, key, info.upload_id] = _Upload(info)
        return info

    def _upload(self, bucket: str, key: str, upload_id: str) -> _Upload:
        found = self._uploads.get((bucket, key, upload_id))
        if found is None:
            raise S3Error(Code.NoSuchUpload, UploadId=upload_id)
        return found

    async def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: ByteSource, options: PutOptions
    ) -> PartInfo:
        upload = self._upload(bucket, key, upload_id)
        data, md5, checksums = await _take(body, with_sums_of(upload.info, options))
        part = PartInfo(number, len(data), md5, self._now(), checksums)
        upload.parts[number] = (part, data)
        return part

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> tuple[UploadInfo, tuple[PartInfo, ...]]:
        upload = self._upload(bucket, key, upload_id)
        return upload.info, tuple(upload.parts[number][0] for number in sorted(upload.parts))

    async def list_uploads(self, bucket: str, prefix: str) -> tuple[UploadInfo, ...]:
        found = (upload for (where, _, _), upload in self._uploads.items() if where == bucket)
        return tuple(upload.info for upload in found if upload.info.key.startswith(prefix))

    async def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: tuple[tuple[int, str], ...], options: PutOptions
    ) -> ObjectInfo:
        upload = self._upload(bucket, key, upload_id)
        chosen = []
        for number, etag in parts:
            part = upload.parts.get(number)
            if part is None or part[0].etag != etag:
                raise S3Error(Code.InvalidPart, PartNumber=number)
            chosen.append(part)
        check_write(options.conditions, self._latest(bucket, key))
        data = b"".join(content for _, content in chosen)
        etag = combine_etags([part.etag for part, _ in chosen])
        info = self._info(key, data, etag, upload.info.options, options.checksums, options.checksum_type)
        stored = self._store(bucket, dataclasses.replace(info, parts=tuple(part.size for part, _ in chosen)), data)
        del self._uploads[bucket, key, upload_id]
        return stored

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self._upload(bucket, key, upload_id)
        del self._uploads[bucket, key, upload_id]


async def _take(body: ByteSource, options: PutOptions) -> tuple[bytes, str, dict[str, str]]:
    """A body as a whole, its MD5 and its checksums, checked."""
    sums, data = Sums(options), bytearray()
    async for piece in body:
        data += piece
        sums.update(piece)
    checksums = sums.finish(body.trailers())
    return bytes(data), hashlib.md5(data, usedforsecurity=False).hexdigest(), checksums


async def _pieces(data: memoryview) -> AsyncIterator[bytes | memoryview]:
    for at in range(0, len(data), _PIECE):
        yield data[at : at + _PIECE]

"""Uploads in parts, where this server leads: parts lie on every member, and each puts the object together by itself."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator

from drystone.base.errors import DamagedError, DrystoneError, NotFoundError
from drystone.fleet.disk.changes import Change, PartRecord
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.disk.sums import is_piece
from drystone.fleet.documents import Member, Placement
from drystone.fleet.objects import ByteSource, ObjectInfo, PartInfo, PutOptions, UploadInfo
from drystone.fleet.s3.checksums import combine_etags, with_sums_of
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.gathering import GATHER_PATH, gather
from drystone.fleet.storage.leader import Leader, OwnBytesError, read_back
from drystone.fleet.storage.members import (
    Apply,
    Assemble,
    Done,
    DropUpload,
    Gather,
    Gathered,
    HeldUpload,
    KeepPart,
    OpenUpload,
    Order,
)
from drystone.fleet.storage.staging import Received, Staging
from drystone.fleet.storage.standing import Standing

log = logging.getLogger(__name__)

_QUICK = 64 << 20
"""Bytes: so many every member puts together within the time of a change."""
Parts = tuple[UploadInfo, tuple[PartRecord, ...]]


class UploadParts:
    """What an upload in parts needs of the leader. `standing` is our copy of the key's placement."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader

    async def begin(self, standing: Standing, key: str, options: PutOptions) -> UploadInfo:
        """A new upload, on all members."""
        upload = UploadInfo(key, uuid.uuid4().hex, time.time(), options)

        async def begin() -> None:
            id_ = standing.placement.id
            await standing.bay.run(standing.disk.begin_upload, id_, upload)
            await self._tell(standing, lambda placement: OpenUpload(placement, upload))

        await self._leader.see_through(begin())
        return upload

    async def _tell(self, standing: Standing, order: Callable[[Placement], Order]) -> None:
        await self._leader.spread(standing, order, order, None)

    async def find(self, standing: Standing, key: str, upload_id: str) -> Parts:
        """The upload and its parts. :raises S3Error: NoSuchUpload."""
        try:
            found = await standing.bay.run(standing.disk.parts, standing.placement.id, upload_id)
        except NotFoundError as error:
            raise S3Error(Code.NoSuchUpload) from error
        if found[0].key != key:
            raise S3Error(Code.NoSuchUpload)
        return found

    async def put(
        self, standing: Standing, key: str, upload_id: str, number: int, body: ByteSource, options: PutOptions
    ) -> PartInfo:
        """A part, on all members when this returns."""
        upload, _ = await self.find(standing, key, upload_id)
        options = with_sums_of(upload, options)
        staging = Staging(standing, self._leader.links(standing, size=options.size), options)
        handed_on = False
        try:
            received = await staging.take(body)
            handed_on = True
            return await self._leader.see_through(self._keep(standing, upload, number, staging, received))
        finally:
            if not handed_on:
                await staging.close()

    async def _keep(
        self, standing: Standing, upload: UploadInfo, number: int, staging: Staging, received: Received
    ) -> PartInfo:
        part = PartRecord(number, received.size, received.md5, time.time(), received.checksums, received.digest)
        id_, incoming = standing.placement.id, staging.incoming
        assert incoming is not None, "taken"

        def order(placement: Placement) -> Order:
            return KeepPart(placement, upload, part)

        try:
            async with self._leader.locks.hold((id_, upload.upload_id)):
                await self.find(standing, upload.key, upload.upload_id)
                read = functools.partial(read_back, standing.disk, incoming)
                await self._leader.spread(standing, order, order, read, staging.links)
                await standing.bay.run(standing.disk.put_part, id_, upload.upload_id, part, incoming)
        finally:
            await staging.close()
        return PartInfo(number, part.size, part.md5, part.modified, part.checksums)

    async def complete(
        self,
        standing: Standing,
        key: str,
        upload_id: str,
        wanted: tuple[tuple[int, str], ...],
        options: PutOptions,
        version_id: str,
        check: Callable[[], Awaitable[None]],
    ) -> ObjectInfo:
        """One object out of parts, in `see_through`. :param check: of the conditions, once the key's lock is held."""
        id_ = standing.placement.id
        async with self._leader.locks.hold((id_, upload_id)):
            upload, known = await self.find(standing, key, upload_id)
            parts = choose_parts(wanted, known)
            body = await self._gather(standing, upload_id, parts)
            try:
                info = await standing.bay.run(describe_whole, upload, parts, body, options, version_id)
                async with self._leader.locks.hold((id_, key)):
                    await check()
                    made = await self._make(standing, info, upload_id, parts, body)
            finally:
                await standing.bay.run(body.abandon)
            await self._drop(standing, upload_id)
        return made

    async def _gather(self, standing: Standing, upload_id: str, parts: tuple[PartRecord, ...]) -> Incoming:
        """The parts as one body. Where that may take long, all other members put them together at the same time."""
        placement, numbers = standing.placement, tuple(each.number for each in parts)
        wanted = Gather(placement, upload_id, numbers)
        others: list[asyncio.Task[None]] = []
        if sum(each.size for each in parts) > _QUICK:
            here = self._leader.standings.server
            others = [
                asyncio.create_task(self._have_gathered(wanted, each.server))
                for each in placement.members
                if each.server != here
            ]
        try:
            body = await gather(standing.bay, standing.disk, placement.id, upload_id, numbers)
            try:
                await asyncio.gather(*others)
            except BaseException:
                await standing.bay.run(body.abandon)
                raise
            return body
        finally:
            for each in others:
                each.cancel()

    async def _have_gathered(self, wanted: Gather, server: str) -> None:
        """Have a member put parts together. Why it cannot, the change finds out that names them."""
        calls, standings = self._leader.calls, self._leader.standings
        try:
            whole = False
            while not whole and standings.lead(wanted.placement.id).placement.epoch == wanted.placement.epoch:
                url = standings.atlas.url_of(server) + GATHER_PATH
                whole = (await calls.ask(url, wanted, Gathered)).whole
        except (DrystoneError, ElsewhereError) as error:
            log.info("placement %s: %s does not put parts together: %s", wanted.placement.id, server, error)

    async def _make(
        self,
        standing: Standing,
        info: ObjectInfo,
        upload_id: str,
        parts: tuple[PartRecord, ...],
        body: Incoming,
    ) -> ObjectInfo:
        id_ = standing.placement.id
        numbers = tuple(each.number for each in parts)

        def describe(seq: int) -> Change:
            return Change("put", id_, dataclasses.replace(info, seq=seq), seq)

        def assemble(placement: Placement, change: Change, floor: int) -> Order:
            return Assemble(placement, change, upload_id, numbers, floor)

        return await self._leader.make(standing, describe, body, order=assemble, full=Apply)

    # ------------------------------------------------------------------ for a member that is copying

    async def held(self, standing: Standing) -> list[HeldUpload]:
        """All uploads with their parts; what is under way to members is awaited, so it is here or comes to all."""
        disk, id_ = standing.disk, standing.placement.id
        found: list[HeldUpload] = []
        for each in await standing.bay.run(disk.uploads, id_):
            async with self._leader.locks.hold((id_, each.upload_id)):
                with contextlib.suppress(NotFoundError):  # ended meanwhile
                    found.append(HeldUpload(*await standing.bay.run(disk.parts, id_, each.upload_id)))
        return found

    async def send(self, standing: Standing, server: str, upload_id: str, number: int) -> Done:
        """Tell one member of an upload, and send it a part (none when `number` is 0), if they are still there.

        Nothing else happens to the upload meanwhile: what has ended does not come back.

        :raises ElsewhereError: it is no member. :raises DrystoneError: it failed.
        """
        disk, id_ = standing.disk, standing.placement.id
        async with self._leader.locks.hold((id_, upload_id)):
            placement = standing.placement
            member = placement.member(server)
            if member is None:
                raise ElsewhereError(placement)
            try:
                upload, parts = await standing.bay.run(disk.parts, id_, upload_id)
            except NotFoundError:
                return Done()
            part = next((each for each in parts if each.number == number), None)
            if part is None:
                return await self._leader.link(placement, member, body=False).finish(OpenUpload(placement, upload))
            return await self._send_part(standing, member, upload, part)

    async def _send_part(self, standing: Standing, member: Member, upload: UploadInfo, part: PartRecord) -> Done:
        disk, placement = standing.disk, standing.placement
        try:
            body = await gather(standing.bay, disk, placement.id, upload.upload_id, (part.number,))
            try:
                read = functools.partial(read_checked_back, disk, body)
                await self._leader.send_anew(placement, member, lambda known: KeepPart(known, upload, part), read)
            finally:
                await standing.bay.run(body.abandon)
        except (DamagedError, OwnBytesError) as error:
            # It is lost to its upload here too; all else is copied all the same.
            log.warning("placement %s: part %d of %r: %s", placement.id, part.number, upload.key, error)
            return Done(lacking=True)
        return Done()

    async def abort(self, standing: Standing, key: str, upload_id: str) -> None:
        """Give an upload up, in `see_through`. :raises S3Error: NoSuchUpload."""
        async with self._leader.locks.hold((standing.placement.id, upload_id)):
            await self.find(standing, key, upload_id)
            await self._drop(standing, upload_id)

    async def _drop(self, standing: Standing, upload_id: str) -> None:
        id_ = standing.placement.id
        await self._tell(standing, lambda placement: DropUpload(placement, upload_id))
        await standing.bay.run(standing.disk.drop_upload, id_, upload_id)


def read_checked_back(disk: Disk, body: Incoming) -> Iterator[bytes]:
    """The bytes of a part, each MiB compared with its sum. :raises DamagedError: one differs."""
    pieces = body.finish().pieces
    for number, block in enumerate(read_back(disk, body)):
        if not is_piece(block, pieces, number):
            raise DamagedError(f"MiB {number} is damaged")
        yield block


def choose_parts(wanted: tuple[tuple[int, str], ...], known: tuple[PartRecord, ...]) -> tuple[PartRecord, ...]:
    """The parts that a completion names. :raises S3Error: InvalidPart."""
    by_number = {each.number: each for each in known}
    for number, etag in wanted:
        if number not in by_number or by_number[number].md5 != etag:
            raise S3Error(Code.InvalidPart, PartNumber=number)
    return tuple(by_number[number] for number, _ in wanted)


def describe_whole(
    upload: UploadInfo, parts: tuple[PartRecord, ...], body: Incoming, options: PutOptions, version_id: str
) -> ObjectInfo:
    """What is known of the object that parts make; its version number is not given yet."""
    sums, begun = body.finish(), upload.options
    return ObjectInfo(
        key=upload.key,
        size=sums.size,
        modified=time.time(),
        etag=combine_etags([each.md5 for each in parts]),
        digest=sums.digest,
        seq=0,
        version_id=version_id,
        headers=begun.headers,
        user=begun.user,
        checksums=options.checksums,
        checksum_type=options.checksum_type,
        parts=tuple(each.size for each in parts),
        tags=begun.tags,
        lock=begun.lock,
    )

"""Bringing a copy up to its leader's: pages of what the leader has, compared, and what differs fetched.

docs/explanation/fleet.md, "Copying", says why this ends with a copy that holds every acknowledged write.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import msgspec

from drystone.base.errors import DrystoneError, NotFoundError
from drystone.fleet.calls import Answer, Calls
from drystone.fleet.disk.changes import Change, Compared, ComparedPage, Entry, PartRecord
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.documents import Placement
from drystone.fleet.storage.failures import ElsewhereError, decode_failure
from drystone.fleet.storage.leader import Leader
from drystone.fleet.storage.members import (
    ComparePages,
    CopyEnded,
    Copying,
    Done,
    Fetch,
    FindUploads,
    FindVersions,
    HeldUpload,
    SendUpload,
    Settle,
    Versions,
)
from drystone.fleet.storage.reading import fetching
from drystone.fleet.storage.settling import VERSIONS_PATH, Settler
from drystone.fleet.storage.standing import Standing, Standings
from drystone.fleet.storage.torrents.downloads import Downloads
from drystone.fleet.storage.torrents.seeding import LEAST
from drystone.fleet.storage.upload_parts import UploadParts

log = logging.getLogger(__name__)

COMPARE_PATH = "/internal/members/compare"
ENDED_PATH = "/internal/members/ended"
SETTLE_PATH = "/internal/members/settle"
UPLOADS_PATH = "/internal/members/uploads"
SEND_UPLOAD_PATH = "/internal/members/send-upload"
_PAGE = 1000
"""Versions in a page."""
_AT_A_TIME = 8
"""Objects of a placement that are fetched at the same time."""
_PLACEMENTS = 2
"""Placements that are copied at the same time, to each disk."""
_OLDER_SECONDS = 30.0
_ASK_SECONDS = 60.0
_SLOWEST = 1 << 20
"""Bytes a second at which a part is sent at least."""
_EVERY = 0.5
_PAUSE = 3.0
"""Between two tries of a copy that failed."""


class CopySource:
    """The leader's part: gives pages, and has the copy entered as in sync at the end."""

    def __init__(self, leader: Leader, settler: Settler) -> None:
        self._leader = leader
        self._settler = settler
        self._parts = UploadParts(leader)
        self._standings = leader.standings

    async def _lead(self, wanted: Copying) -> Standing:
        """Our copy. :raises ElsewhereError: the epoch is another one, or who asks is no member with that disk."""
        standing = await self._standings.lead_for_writing(wanted.placement)
        member = standing.placement.member(wanted.server)
        if standing.placement.epoch != wanted.epoch or member is None or member.disk_id != wanted.disk_id:
            raise ElsewhereError(standing.placement)
        return standing

    async def compare(self, wanted: ComparePages) -> ComparedPage:
        """A page. The first one waits for changes that were begun before the epoch.

        :raises ElsewhereError: the epoch is another one. :raises TimedOutError: a change takes long.
        """
        standing = await self._lead(wanted)
        if not wanted.after:
            await self._leader.wait_for_older(wanted.placement, wanted.epoch, _OLDER_SECONDS)
        limit = max(1, min(wanted.limit, _PAGE))
        return await standing.bay.run(standing.disk.compare, wanted.placement, wanted.after, limit)

    async def settle(self, wanted: Settle) -> None:
        """Send our state of some keys to all members, with numbers above all there are."""
        await self._lead(wanted)
        for key in wanted.keys:
            await self._leader.see_through(self._settler.settle(wanted.placement, key))

    async def uploads(self, wanted: FindUploads) -> list[HeldUpload]:
        """All uploads in parts that are under way."""
        return await self._parts.held(await self._lead(wanted))

    async def send_upload(self, wanted: SendUpload) -> Done:
        """Tell whoever asks of an upload, or send it a part."""
        standing = await self._lead(wanted)
        return await self._parts.send(standing, wanted.server, wanted.upload_id, wanted.number)

    async def end(self, wanted: CopyEnded) -> Placement:
        """All was compared in this epoch: the placement, with the copy in sync.

        :raises ElsewhereError: the epoch moved on, so a change may have been missed.
        """
        standing = await self._lead(wanted)
        counted = standing.replica.count_in((wanted.server,))
        own = counted.member(self._standings.server)
        assert own is not None, "the leader is a member"
        await standing.bay.run(standing.disk.hold, counted, own.slot)
        return await self._leader.report(counted, in_sync=(wanted.server,), reason="the copy is complete")


class Copier:
    """The other part: compares and fetches, for each of our copies that is not in sync.

    :param rate: bytes a second to each disk; 0 is no limit. :param downloads: of what others seed; None for HTTP alone.
    """

    def __init__(self, standings: Standings, calls: Calls, rate: int, downloads: Downloads | None = None) -> None:
        self._standings = standings
        self._calls = calls
        self._rate = rate
        self.downloads = downloads
        self.copied = 0
        """Bytes that were fetched since the start."""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._free_at: dict[str, float] = {}
        self._tried: dict[str, tuple[int, float]] = {}
        self._news = asyncio.Event()

    def hasten(self, standing: Standing) -> None:
        """Copy this one at once, where it broke off a moment ago."""
        self._tried.pop(standing.placement.id, None)
        self._news.set()

    async def run(self) -> None:
        """Copy whatever is to be copied, for as long as the server runs."""
        news = self._news
        self._standings.watchers.add(news.set)
        try:
            while True:
                news.clear()
                self._begin()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_EVERY):
                        await news.wait()
        finally:
            self._standings.watchers.discard(news.set)
            for task in self._running.values():
                task.cancel()
            if self._running:
                await asyncio.wait(self._running.values())

    def _begin(self) -> None:
        busy: dict[str, int] = {}
        for id_, task in tuple(self._running.items()):
            if task.done():
                del self._running[id_]
            elif (standing := self._standings.find(id_)) is not None:
                busy[standing.bay.name] = busy.get(standing.bay.name, 0) + 1
        for standing in self._standings.own():
            id_, epoch = standing.placement.id, standing.placement.epoch
            own = standing.placement.member(self._standings.server)
            if own is None or own.state == "in_sync" or standing.replica.leads() or id_ in self._running:
                continue
            tried, until = self._tried.get(id_, (0, 0.0))
            if busy.get(standing.bay.name, 0) >= _PLACEMENTS or (tried == epoch and time.monotonic() < until):
                continue
            busy[standing.bay.name] = busy.get(standing.bay.name, 0) + 1
            self._tried[id_] = (epoch, time.monotonic() + _PAUSE)
            self._running[id_] = asyncio.create_task(self._copy(standing))

    async def _copy(self, standing: Standing) -> None:
        """One placement, in one epoch; what breaks off is tried again."""
        placement = standing.placement
        try:
            await CopyRun(self, standing, placement).run()
            log.info("placement %s: our copy is complete in epoch %d", placement.id, placement.epoch)
        except ElsewhereError as error:
            if error.placement is not None:
                await self._standings.learn_placement(error.placement)
        except (DrystoneError, OSError) as error:
            log.warning("placement %s: copying broke off: %s", placement.id, error)
        finally:
            self._tried[placement.id] = (placement.epoch, time.monotonic() + _PAUSE)

    async def throttle(self, bay: str, size: int) -> None:
        """Wait until `size` more bytes to a disk are within the rate."""
        if self._rate:
            now = time.monotonic()
            free_at = max(self._free_at.get(bay, now), now)
            self._free_at[bay] = free_at + size / self._rate
            if free_at > now + 0.05:
                await asyncio.sleep(free_at - now)

    async def ask(self, placement: Placement, path: str, document: object, *, seconds: float = _ASK_SECONDS) -> Answer:
        """The leader's answer. :raises ElsewhereError: the epoch moved on. :raises DrystoneError: the call failed."""
        url = self.leader_url(placement)
        answer = await self._calls.call("POST", url + path, msgspec.json.encode(document), seconds=seconds)
        if answer.status != 200:
            failure = decode_failure(answer)
            raise failure if isinstance(failure, ElsewhereError | DrystoneError) else DrystoneError(str(failure))
        return answer

    def leader_url(self, placement: Placement) -> str:
        """Where the leader is called."""
        return self._standings.atlas.url_of(placement.leader)

    def peer_urls(self, placement: Placement) -> list[str]:
        """Where the other members are called, the leader first."""
        others = sorted(
            (each.server for each in placement.members if each.server != self.server),
            key=lambda each: each != placement.leader,
        )
        return [url for url in map(self._standings.atlas.url_of, others) if url]

    async def versions(self, placement: Placement, key: str) -> list[Entry]:
        """All versions of a key that the leader has. :raises DrystoneError: the call failed."""
        return (await self.ask(placement, VERSIONS_PATH, FindVersions(placement.id, key))).document(Versions)

    @property
    def server(self) -> str:
        """Our id."""
        return self._standings.server

    @property
    def calls(self) -> Calls:
        """To the leader."""
        return self._calls

    async def learn(self, placement: Placement) -> None:
        """Take over what the leader said."""
        await self._standings.learn_placement(placement)


class CopyRun:
    """One comparing of one placement in one epoch."""

    def __init__(self, copier: Copier, standing: Standing, placement: Placement) -> None:
        self._copier = copier
        self._standing = standing
        self._placement = placement
        self._asking = placement.id, placement.epoch, copier.server, standing.disk.identity.disk_id
        self._at_a_time = asyncio.Semaphore(_AT_A_TIME)
        self._failed = 0

    async def run(self) -> None:
        """Compare everything, fetch what differs, and have it entered.

        :raises ElsewhereError: the epoch moved on. :raises DrystoneError: it broke off.
        """
        placement, after = self._placement, ""
        while True:
            wanted = ComparePages(*self._asking, after, _PAGE)
            page = (await self._copier.ask(placement, COMPARE_PATH, wanted)).document(ComparedPage)
            await self._take(after, page)
            await self._remove_absent(after, page)
            after = page.after
            if not after:
                break
        await self._take_uploads()
        if self._failed:
            raise DrystoneError(f"{self._failed} objects could not be fetched")
        answer = await self._copier.ask(placement, ENDED_PATH, CopyEnded(*self._asking))
        await self._copier.learn(answer.document(Placement))

    async def _take(self, after: str, page: ComparedPage) -> None:
        """Fetch what we lack of a page, and have settled what only we have: an earlier leader made it, unacknowledged.

        :param after: what the page was asked for with.
        """
        disk = self._standing.disk
        lacking, odd = await self._standing.bay.run(disk.differing, self._placement.id, after, page)
        results = await asyncio.gather(*(self._fetch(each) for each in lacking), return_exceptions=True)
        for each, result in zip(lacking, results, strict=True):
            if isinstance(result, DrystoneError):
                # The rest is copied all the same: what is lost is not made more.
                log.warning("placement %s: %r cannot be fetched: %s", self._placement.id, each.key, result)
                self._failed += 1
            elif isinstance(result, BaseException):
                raise result
            elif not result:
                odd.add(each.key)
        if odd:
            settle = Settle(*self._asking, tuple(sorted(odd)))
            await self._copier.ask(self._placement, SETTLE_PATH, settle)

    async def _remove_absent(self, after: str, page: ComparedPage) -> None:
        """Remove what the leader's page lacks, one by one: there may be so much that it takes hours."""
        bay, disk, id_ = self._standing.bay, self._standing.disk, self._placement.id
        while True:
            absent, after = await bay.run(disk.absent, id_, after, page, _PAGE)
            removals = [asyncio.create_task(self._remove(each)) for each in absent]
            try:
                await asyncio.gather(*removals)
            finally:
                for removal in removals:
                    removal.cancel()
            if not after:
                return

    async def _remove(self, each: Compared) -> None:
        async with self._at_a_time:
            disk, placement = self._standing.disk, self._placement
            await self._standing.bay.run(disk.remove_compared, placement.id, each, epoch=placement.epoch)

    async def _take_uploads(self) -> None:
        """Have what we lack of uploads in parts sent here, and drop those that the leader does not have.

        What was known here before the leader was asked, and it has not, has ended: a leader is the first to know of a
        new one.
        """
        placement, bay, disk = self._placement, self._standing.bay, self._standing.disk
        own = await bay.run(_find_uploads, disk, placement.id)
        answer = await self._copier.ask(placement, UPLOADS_PATH, FindUploads(*self._asking))
        held = answer.document(list[HeldUpload])
        for upload_id in own.keys() - {each.upload.upload_id for each in held}:
            await bay.run(disk.drop_upload, placement.id, upload_id, epoch=placement.epoch)
        for each in held:
            parts = own.get(each.upload.upload_id)
            if parts is None:
                await self._have_sent(each, 0, 0)
            for part in each.parts:
                if parts is None or part not in parts:
                    await self._copier.throttle(bay.name, part.size)
                    await self._have_sent(each, part.number, part.size)

    async def _have_sent(self, held: HeldUpload, number: int, size: int) -> None:
        placement, upload = self._placement, held.upload
        wanted = SendUpload(*self._asking, upload.upload_id, number)
        answer = await self._copier.ask(placement, SEND_UPLOAD_PATH, wanted, seconds=_ASK_SECONDS + size / _SLOWEST)
        if answer.document(Done).lacking:
            log.warning("placement %s: part %d of %r is damaged at the leader", placement.id, number, upload.key)
        else:
            self._copier.copied += size

    async def _fetch(self, wanted: Compared) -> bool:
        """Fetch one version. False: something newer is known of it here."""
        async with self._at_a_time:
            await self._copier.throttle(self._standing.bay.name, wanted.size)
            try:
                if not wanted.digest:
                    return await self._fetch_marker(wanted)
                return await self._fetch_bytes(wanted)
            except NotFoundError:
                return True  # changed meanwhile; the change came, or comes, directly

    async def _fetch_marker(self, wanted: Compared) -> bool:
        entry = await self._find(wanted)
        return entry is None or await self._apply(entry, None)

    async def _fetch_bytes(self, wanted: Compared) -> bool:
        entry, body = await self._bring(wanted) or await self._receive(wanted)
        try:
            self._copier.copied += entry.info.size
            return await self._apply(entry, body)
        finally:
            await self._standing.bay.run(body.abandon)

    async def _apply(self, entry: Entry, body: Incoming | None) -> bool:
        change = Change("put", self._placement.id, entry.info, entry.made)
        disk, epoch = self._standing.disk, self._placement.epoch
        return await self._standing.bay.run(disk.apply, change, body, epoch=epoch)

    async def _find(self, wanted: Compared) -> Entry | None:
        """The version as the leader has it now; None when it is no more."""
        found = await self._copier.versions(self._placement, wanted.key)
        return next((each for each in found if each.info.version_id == wanted.version_id), None)

    async def _bring(self, wanted: Compared) -> tuple[Entry, Incoming] | None:
        """The version by a torrent; None when torrents are off, no member seeds it, or it cannot be had so.

        :raises NotFoundError: it was changed meanwhile.
        """
        copier, placement = self._copier, self._placement
        if copier.downloads is None or wanted.size < LEAST:
            return None
        offers = await copier.downloads.find(copier.peer_urls(placement), wanted.digest, wanted.size)
        entry = await self._find(wanted) if offers else None
        if entry is None or entry.info.digest != wanted.digest:
            return None
        url = copier.leader_url(placement)
        try:
            return entry, await copier.downloads.bring(self._standing, url, entry.info, offers)
        except NotFoundError:
            raise
        except DrystoneError as error:  # it takes twice the room, too
            log.warning("placement %s: %r is fetched by HTTP: %s", placement.id, wanted.key, error)
            return None

    async def _receive(self, wanted: Compared) -> tuple[Entry, Incoming]:
        """The version by HTTP."""
        bay, disk = self._standing.bay, self._standing.disk
        url = self._copier.leader_url(self._placement)
        query = Fetch(self._placement.id, wanted.key, wanted.version_id, mend=True)
        async with fetching(self._copier.calls, url, query) as (entry, pieces):
            body = await bay.run(disk.receive, md5=False, size=entry.info.size)
            try:
                async for piece in pieces:
                    await bay.run(body.write, piece)
                await bay.run(body.finish)
            except BaseException:
                await bay.run(body.abandon)
                raise
        return entry, body


def _find_uploads(disk: Disk, placement_id: str) -> dict[str, tuple[PartRecord, ...]]:
    """The parts of each upload that we have, by its id."""
    found: dict[str, tuple[PartRecord, ...]] = {}
    for each in disk.uploads(placement_id):
        with contextlib.suppress(NotFoundError):  # ended meanwhile
            found[each.upload_id] = disk.parts(placement_id, each.upload_id)[1]
    return found

"""The leader's side of a change: intent, members, place. docs/explanation/fleet.md, "A write", says why in this order.

A change that was begun is seen through also when whoever asked for it has gone: it ends in its place on
every member, or taken back with its key marked dirty.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import TypeVar

import msgspec

from drystone.base.errors import DrystoneError, ExhaustedError, TimedOutError, UnavailableError
from drystone.fleet.calls import Calls, Mappers
from drystone.fleet.disk.changes import Change
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.documents import Member, Placement, Report
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.key_locks import KeyLocks
from drystone.fleet.storage.links import MemberLink
from drystone.fleet.storage.members import Apply, Order
from drystone.fleet.storage.shelf import Bay
from drystone.fleet.storage.standing import Standing, Standings, boot_time
from drystone.fleet.storage.under_way import UnderWay

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Read = Callable[[], Iterator[bytes | memoryview]]
"""Gives the bytes of a change anew."""
ChangeOrder = Callable[[Placement, Change, int], Order]
"""What a member is told about a change, in the placement as it is then, with the floor."""

_ROUNDS = 8
"""How often the members of a change may change while it is under way."""
_REPORT_SECONDS = 5.0
_BLOCK = 1 << 20
_LOOK_SECONDS = 0.25
"""How often it is looked whether a member that does not answer is worth waiting for."""


class OwnBytesError(Exception):
    """The bytes of a change cannot be read here: no fault of the member that they were to be sent to.

    :ivar error: what failed.
    """

    def __init__(self, error: DrystoneError) -> None:
        super().__init__(str(error))
        self.error = error


class Leader:
    """Changes of the placements that this server leads.

    :param calls: to the other members. :param mappers: who drop a member that does not answer.
    """

    def __init__(self, standings: Standings, calls: Calls, mappers: Mappers) -> None:
        self.standings = standings
        self.calls = calls
        self.locks = KeyLocks()
        self._mappers = mappers
        self._reports = KeyLocks()
        self._tasks: set[asyncio.Task[object]] = set()
        self._under_way = UnderWay()
        self.on_dirty: Callable[[str], None] = lambda _: None

    # ------------------------------------------------------------------ tasks that outlive their callers

    async def see_through(self, work: Coroutine[object, object, Result]) -> Result:
        """Do `work` to its end, also when the caller is cancelled meanwhile."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("a change ended with %s", error)

    async def end(self, seconds: float) -> None:
        """Wait for the changes under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    # ------------------------------------------------------------------ links

    def link(self, placement: Placement, member: Member, *, size: int | None = None, body: bool = True) -> MemberLink:
        """A link for one change to one member."""
        return MemberLink(
            self.calls, self.standings.atlas.url_of(member.server), placement, member, size=size, body=body
        )

    def links(self, standing: Standing, *, size: int | None) -> list[MemberLink]:
        """One to each other member, for a body that begins to come."""
        placement = standing.placement
        return [self.link(placement, each, size=size) for each in self._others(placement)]

    def _others(self, placement: Placement) -> list[Member]:
        return [each for each in placement.members if each.server != self.standings.server]

    # ------------------------------------------------------------------ changes

    async def make(
        self,
        standing: Standing,
        describe: Callable[[int], Change],
        body: Incoming | None = None,
        links: Iterable[MemberLink] = (),
        *,
        order: ChangeOrder = Apply,
        full: ChangeOrder | None = None,
        read: Read | None = None,
    ) -> ObjectInfo:
        """Make a change on all members, durably. Whoever calls holds the key's lock, in `see_through`.

        :param describe: the change that has a version number. :param body: of a put with bytes, finished; else None.
        :param links: those that got the body already. :param order: what members are told. :param full: what those are
            told that must get the bytes with it; `order` when None. :param read: gives these bytes; those of `body`
            when None.
        :returns: the version as it is then.
        :raises DrystoneError: it could not be made; the key is dirty as a member may have it. It may have happened or
            not.
        """
        bay, disk, id_ = standing.bay, standing.disk, standing.placement.id

        def prepare() -> tuple[int, Change]:
            seq = disk.take_seq(id_, standing.placement.epoch)
            try:
                change = describe(seq)
                return disk.prepare(change, body), change
            except BaseException:
                disk.release(id_, seq)
                raise

        with self._under_way.noting(id_, standing.placement.epoch) as noted:
            intent, change = await bay.run(prepare)
            if read is None and body is not None:
                read = functools.partial(read_back, disk, body)
            try:
                try:
                    floor = await self._under_way.number(noted, change)
                    told = functools.partial(_tell_change, order, change, floor)
                    anew = functools.partial(_tell_change, full, change, floor) if full else told
                    repeated = await self.spread(standing, told, anew, read, links)
                except BaseException:
                    await bay.run(take_back, disk, intent)
                    raise
                await bay.run(commit_or_take_back, disk, intent)
            except BaseException as error:
                self._under_way.give_up(change)
                self.on_dirty(id_)
                if isinstance(error, ElsewhereError):
                    # To others that would say that nothing was done; some members may have done it.
                    raise UnavailableError("the leader changed meanwhile") from error
                raise
            self._under_way.settle(change)
            if repeated:
                # It may be made once more, after the next change of the key: so that one goes out above a floor.
                self._under_way.give_up(change)
        return change.info

    async def spread(
        self,
        standing: Standing,
        order: Callable[[Placement], Order],
        full: Callable[[Placement], Order],
        read: Read | None,
        links: Iterable[MemberLink] = (),
    ) -> bool:
        """Have every other member do something, or be dropped from the placement.

        :param order: for those with a link, or without bytes; :param full: for those that must get the bytes anew.
        :returns: whether it was sent twice to one of them: then it may still be on its way there.
        """
        placement = standing.placement
        ready = {(each.member.server, each.member.disk_id): each for each in links}
        done: set[tuple[str, str]] = set()
        repeats: set[str] = set()
        for _ in range(_ROUNDS):
            placement = self._lead_on(standing.bay, placement.id)
            waiting = [each for each in self._others(placement) if (each.server, each.disk_id) not in done]
            if not waiting:
                return bool(repeats)
            tries = [
                self._tell(placement, each, order, full, read, ready.pop((each.server, each.disk_id), None), repeats)
                for each in waiting
            ]
            failed: dict[str, str] = {}
            for member, outcome in zip(waiting, await self._wait_for(placement.id, waiting, tries), strict=True):
                if outcome is None:
                    done.add((member.server, member.disk_id))
                elif isinstance(outcome, OwnBytesError):
                    raise outcome.error
                elif isinstance(outcome, ExhaustedError):
                    # Full is no failure: with fewer copies it would hold no more, and nobody would hear of it.
                    raise outcome
                elif isinstance(outcome, ElsewhereError) and outcome.placement is not None:
                    await self.standings.learn_placement(outcome.placement)
                    if self.standings.lead(placement.id).placement.epoch == placement.epoch:
                        failed[member.server] = f"it goes by epoch {outcome.placement.epoch}"
                else:
                    failed[member.server] = str(outcome)
            if failed:
                await self.drop(placement.id, failed)
        raise UnavailableError(f"the members of placement {placement.id} change too often")

    def _lead_on(self, bay: Bay, placement_id: str) -> Placement:
        """A placement that we lead, with the copy where a change of it was begun.

        :raises ElsewhereError: another server leads. :raises UnavailableError: the disk cannot be used, or our copy is
            on another one: it came from a server that led meanwhile, and has changes with higher numbers.
        """
        standing = self.standings.lead(placement_id)
        if standing.bay is not bay:
            raise UnavailableError(f"we lead placement {placement_id} with another disk by now")
        return standing.placement

    async def _wait_for(
        self, placement_id: str, members: list[Member], tries: list[Coroutine[object, object, Exception | None]]
    ) -> list[Exception | None]:
        """How telling each of `members` ended. One that is silent, or no member any more, is waited for no longer."""
        tasks = [asyncio.create_task(each) for each in tries]
        try:
            waiting = dict(zip(tasks, members, strict=True))
            while waiting:
                done, _ = await asyncio.wait(waiting, timeout=_LOOK_SECONDS)
                for task, member in tuple(waiting.items()):
                    if task in done or self._is_gone(placement_id, member):
                        task.cancel()
                        del waiting[task]
            await asyncio.wait(tasks)
            return [TimedOutError("it is silent") if each.cancelled() else each.result() for each in tasks]
        finally:
            for task in tasks:
                task.cancel()

    def _is_gone(self, placement_id: str, member: Member) -> bool:
        known = self.standings.newest(placement_id)
        left = known is not None and member.disk_id not in {each.disk_id for each in known.members}
        return left or self.standings.pulse.is_silent(member.server, boot_time())

    async def _tell(
        self,
        placement: Placement,
        member: Member,
        order: Callable[[Placement], Order],
        full: Callable[[Placement], Order],
        read: Read | None,
        link: MemberLink | None,
        repeats: set[str],
    ) -> Exception | None:
        """Tell one member; how it failed, None when it is done. :param repeats: gets those that were told twice."""
        try:
            if link is None and (read is None or order is not full):
                link = self.link(placement, member, body=False)
            if link is not None:
                try:
                    if not (await link.finish(order(placement))).lacking:
                        return None
                except UnavailableError:
                    if read is None:
                        raise
                    repeats.add(member.server)
                finally:
                    if link.repeated:
                        repeats.add(member.server)
            assert read is not None, "only a member that lacks bytes answers so"
            if await self.send_anew(placement, member, full, read):
                repeats.add(member.server)
        except (ElsewhereError, OwnBytesError, DrystoneError) as error:
            return error
        return None

    async def send_anew(
        self, placement: Placement, member: Member, order: Callable[[Placement], Order], read: Read
    ) -> bool:
        """Tell one member something that has bytes; whether it was sent twice.

        :raises OwnBytesError: they cannot be read here. :raises ElsewhereError, DrystoneError: the member failed.
        """
        standing = self.standings.lead(placement.id)
        blocks = read()
        link = self.link(placement, member)
        try:
            while block := await _read_next(standing.bay, blocks):
                await link.send(block)
            await link.finish(order(placement))
        finally:
            await link.close()
        return link.repeated

    async def drop(self, placement_id: str, failed: dict[str, str]) -> None:
        """Have members dropped that did not answer; several changes and reads at once ask once.

        :param failed: ids of servers, with why.
        :raises UnavailableError: no mapper does it. :raises ElsewhereError: another server leads.
        """
        async with self._reports.hold(placement_id):
            standing = self.standings.lead(placement_id)
            placement = standing.placement
            drop = tuple(server for server in failed if placement.member(server) is not None)
            if not drop:
                return
            # With a disk that fails we would leave the placement to a copy that is lost.
            await standing.bay.run(standing.disk.probe)
            reason = "; ".join(f"{server}: {failed[server]}" for server in drop)
            log.warning("placement %s: dropping %s", placement_id, reason)
            await self.report(placement, drop=drop, reason=reason)

    async def report(
        self, placement: Placement, *, drop: tuple[str, ...] = (), in_sync: tuple[str, ...] = (), reason: str = ""
    ) -> Placement:
        """Have the database hold that members were dropped or caught up; the placement as it is then, learned.

        :raises UnavailableError: no mapper answers, or the one that leads will not have it now.
        """
        document = Report(placement.id, placement.epoch, self.standings.server, drop, in_sync, reason)
        answer = await self._mappers.call("POST", "/internal/report", document, seconds=_REPORT_SECONDS)
        if answer.status not in (200, 409):
            # Whatever it says of the placement, it says nothing of what a client asked for: 404 would be taken for it.
            raise UnavailableError(f"the mapper does not change the placement: {answer.error().message}")
        try:
            known = answer.document(Placement)
        except DrystoneError:  # a refusal, which is 409 too
            raise UnavailableError(f"the mapper does not change the placement: {answer.error().message}") from None
        await self.standings.learn_placement(known)
        return known

    async def wait_for_older(self, placement_id: str, epoch: int, seconds: float) -> None:
        """Wait until no change is under way that began before `epoch`.

        :raises TimedOutError: one still is.
        """
        await self._under_way.wait_for_older(placement_id, epoch, seconds)


def take_back(disk: Disk, intent: int) -> None:
    """Take an intent back, in a thread of the disk. Where that fails too, the next opening of the disk does it: the key
    is dirty either way."""
    try:
        disk.abort(intent, dirty=True)
    except DrystoneError as error:
        log.warning("disk %s: an intent is left to be taken back: %s", disk.name, error)


def commit_or_take_back(disk: Disk, intent: int) -> None:
    """Put a change at its place, durably; or take it back. In one step of a thread, as it may go on when nobody waits
    for it any more: then nothing is taken back that is just being made.

    :raises DrystoneError: it was taken back.
    """
    try:
        disk.commit(intent)
    except BaseException:
        take_back(disk, intent)
        raise


async def _read_next(bay: Bay, blocks: Iterator[bytes | memoryview]) -> bytes:
    """The next of our own bytes, b"" at their end. :raises OwnBytesError: they cannot be read."""
    try:
        return await bay.run(lambda: bytes(next(blocks, b"")))
    except DrystoneError as error:
        raise OwnBytesError(error) from error


def _tell_change(order: ChangeOrder, change: Change, floor: int, placement: Placement) -> Order:
    """The order for `placement`. While one of its members copies, removals are remembered: what it fetches may be older
    than the removal that it was told of."""
    if change.kind == "remove" and any(each.state != "in_sync" for each in placement.members):
        change = msgspec.structs.replace(change, remember=True)
    return order(placement, change, floor)


def read_back(disk: Disk, body: Incoming) -> Iterator[bytes]:
    """The bytes of a finished body that no change was committed with yet.

    :raises UnavailableError: the disk went away or is bad.
    """
    try:
        with (disk.root / body.place).open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                yield block
    except OSError as error:
        raise UnavailableError(f"disk {disk.name}: {error}") from error

"""Keys that members may have another state of than the leader: made equal, with version numbers above all there are.

Such keys are left by a change that broke off (dirty), and by a leader of an earlier epoch that made what it never
acknowledged. The leader's own state wins.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Iterable, Iterator

import msgspec

from drystone.base.errors import DrystoneError, TimedOutError
from drystone.fleet.disk.changes import Change, Dirty, Entry
from drystone.fleet.disk.disk import Disk
from drystone.fleet.documents import Member, Placement
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.failures import FAILURES, decode_failure
from drystone.fleet.storage.leader import Leader
from drystone.fleet.storage.member import find_versions
from drystone.fleet.storage.members import Apply, FindVersions, Order, Versions
from drystone.fleet.storage.reading import Mender, read_checked
from drystone.fleet.storage.standing import Standing

log = logging.getLogger(__name__)

VERSIONS_PATH = "/internal/members/versions"
_EVERY = 1.0
_AT_A_TIME = 8
"""Placements whose keys are settled at the same time."""


class Settler:
    """Settles keys: the dirty ones in the background, others when a member asks, or before they are shown.

    :param mender: of what is damaged here: it must be sent whole.
    """

    def __init__(self, leader: Leader, mender: Mender) -> None:
        self._leader = leader
        self._mender = mender
        self._standings = leader.standings
        self._suspects: set[str] = set()
        self._at_a_time = asyncio.Semaphore(_AT_A_TIME)
        leader.on_dirty = self._suspects.add

    async def run(self) -> None:
        """Settle dirty keys for as long as the server runs."""
        looked: dict[str, tuple[int, Disk]] = {}
        while True:
            for standing in self._standings.own():
                id_ = standing.placement.id
                state = standing.placement.epoch, standing.disk  # opening a disk makes what it left undecided dirty
                if looked.get(id_) != state:
                    looked[id_] = state
                    self._suspects.add(id_)
            # Taken out before it is looked at: what becomes dirty meanwhile is looked at the next time.
            suspects = tuple(self._suspects)
            self._suspects.clear()
            await asyncio.gather(*(self._settle_placement(each) for each in suspects))
            await asyncio.sleep(_EVERY)

    async def _settle_placement(self, placement_id: str) -> None:
        """Settle its dirty keys; those that cannot be are tried again."""
        standing = self._standings.find(placement_id)
        if standing is None or not standing.replica.leads():
            return
        async with self._at_a_time:
            try:
                for dirty in await standing.bay.run(standing.disk.dirty, placement_id):
                    await self._settle_dirty(standing, dirty)
            except DrystoneError as error:
                log.info("placement %s: its dirty keys cannot be had: %s", placement_id, error)
                self._suspects.add(placement_id)

    async def _settle_dirty(self, standing: Standing, dirty: Dirty) -> None:
        placement_id = standing.placement.id
        try:
            await self._leader.see_through(self.settle(placement_id, dirty.key))
        except FAILURES as error:
            log.info("placement %s: %r stays dirty: %s", placement_id, dirty.key, error)
            self._suspects.add(placement_id)
            return
        await standing.bay.run(standing.disk.clear_dirty, placement_id, dirty.key, dirty.seq)
        log.info("placement %s: %r is settled", placement_id, dirty.key)

    async def settle(self, placement_id: str, key: str) -> None:
        """Make every member's state of a key equal to ours.

        :raises ElsewhereError: another server leads. :raises DrystoneError: a member could not be reached or dropped.
        """
        async with self._leader.locks.hold((placement_id, key)):
            await self._settle(placement_id, key)

    async def agree(self, placement_id: str, key: str, *, locked: bool) -> bool:
        """See to it that members that compare themselves have our state of a key, which is about to be shown.

        What an earlier leader never acknowledged may be here alone. One of those members may lead next: what a client
        was shown must not be gone then. Members in sync have it anyway.

        :param locked: whoever calls holds the key's lock, in Leader.see_through. :returns: False: one of them does not
            answer. :raises ElsewhereError: another server leads.
        """
        standing = self._standings.lead(placement_id)
        comparing = standing.replica.comparing()
        if not comparing:
            return True
        own = _spell_out(await standing.bay.run(find_versions, standing.disk, placement_id, key))
        try:
            theirs = [_spell_out(await self._ask_or_drop(standing, each, key)) for each in comparing]
            if any(each != own for each in theirs):
                if locked:
                    await self._level(placement_id, key)
                else:
                    await self._leader.see_through(self._lock_and_level(placement_id, key))
        except DrystoneError as error:
            log.info("placement %s: %r cannot be agreed on: %s", placement_id, key, error)
            return False
        return True

    async def _lock_and_level(self, placement_id: str, key: str) -> None:
        async with self._leader.locks.hold((placement_id, key)):
            await self._level(placement_id, key)

    async def _level(self, placement_id: str, key: str) -> None:
        """Have members that compare themselves have our versions of a key, with its lock held: other readers may have
        had it done meanwhile. What an earlier leader has under way is refused in this epoch: only what differs is sent.
        """
        standing = await self._standings.lead_for_writing(placement_id)
        own, found = await self._look(standing, key)
        ours = _spell_out(own)
        comparing = {each.server for each in standing.replica.comparing()}
        theirs = [_spell_out(versions) for server, versions in found.items() if server in comparing]
        if any(each != ours for each in theirs):
            await self._send_all(standing, key, own, found, but=ours.intersection(*theirs))

    async def _settle(self, placement_id: str, key: str) -> None:
        """As `settle`, with the key's lock held."""
        standing = await self._standings.lead_for_writing(placement_id)
        own, found = await self._look(standing, key)
        await self._send_all(standing, key, own, found, but=set())

    async def _look(self, standing: Standing, key: str) -> tuple[list[Entry], dict[str, Versions]]:
        """Our versions of a key, and those of each other member, by its server."""
        own = await standing.bay.run(find_versions, standing.disk, standing.placement.id, key)
        others = (each for each in standing.placement.members if each.server != self._standings.server)
        return own, {each.server: await self._ask_member(standing, each, key) for each in others}

    async def _send_all(
        self, standing: Standing, key: str, own: list[Entry], found: dict[str, Versions], *, but: set[tuple[str, int]]
    ) -> None:
        """Make the others' versions of a key ours. :param but: ids and numbers of those that are to stay."""
        theirs = {each.info.version_id for versions in found.values() for each in versions}
        for version_id in sorted(theirs - {each.info.version_id for each in own}):
            await self._remove(standing, key, version_id)
        for entry in sorted(own, key=lambda each: each.made):
            if (entry.info.version_id, entry.info.seq) not in but:
                await self._send(standing, entry)
        if not own and not theirs:
            # A member may remember a removal; so will the rest, with a number above it.
            await self._remove(standing, key, "null")

    async def _ask_or_drop(self, standing: Standing, member: Member, key: str) -> Versions:
        """As `_ask_member`; whose disk hangs is dropped, as by a write: its server may answer all else."""
        try:
            return await self._ask_member(standing, member, key)
        except TimedOutError as error:
            await self._leader.drop(standing.placement.id, {member.server: error.message})
            raise

    async def _ask_member(self, standing: Standing, member: Member, key: str) -> Versions:
        """The versions of a key that another member has. :raises DrystoneError: it does not say so."""
        url = self._standings.atlas.url_of(member.server)
        body = msgspec.json.encode(FindVersions(standing.placement.id, key, standing.placement))
        answer = await self._leader.calls.call("POST", url + VERSIONS_PATH, body)
        if answer.status != 200:
            failure = decode_failure(answer)
            raise failure if isinstance(failure, DrystoneError) else DrystoneError(str(failure))
        return answer.document(Versions)

    async def _remove(self, standing: Standing, key: str, version_id: str) -> None:
        placement_id = standing.placement.id

        def describe(seq: int) -> Change:
            gone = ObjectInfo(key, 0, time.time(), "", "", seq, version_id=version_id)
            return Change("remove", placement_id, gone, 0, remember=True)

        await self._leader.make(standing, describe)

    async def _send(self, standing: Standing, entry: Entry) -> None:
        """Give a version of ours a new number, and send it to all members with its bytes."""
        placement_id, disk, info = standing.placement.id, standing.disk, entry.info

        def describe(seq: int) -> Change:
            return Change("update", placement_id, dataclasses.replace(info, seq=seq), entry.made)

        def order(placement: Placement, change: Change, floor: int) -> Order:
            return Apply(placement, msgspec.structs.replace(change, kind="put"), floor)

        def read() -> Iterator[memoryview]:
            with disk.open_version(placement_id, info.key, info.version_id) as reader:
                yield from reader.read(0, info.size)

        # Members that have this very version can mend it; once it has a new number nobody could.
        async for _ in read_checked(self._mender, standing, info.key, info, 0, info.size):
            pass
        await self._leader.make(standing, describe, order=order, read=None if info.delete_marker else read)


def _spell_out(versions: Iterable[Entry]) -> set[tuple[str, int]]:
    """Their ids and numbers: the same number is the same change."""
    return {(each.info.version_id, each.info.seq) for each in versions}

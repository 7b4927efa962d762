"""The other members' side of a change, and what they read from one another."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from drystone.base.errors import MismatchError, NotFoundError
from drystone.fleet.disk.changes import Change, Entry
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.documents import Placement
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.frames import FrameReader
from drystone.fleet.storage.gathering import Gatherings
from drystone.fleet.storage.members import (
    Apply,
    Assemble,
    Begin,
    Done,
    DropUpload,
    Fetch,
    FindVersions,
    Gather,
    Gathered,
    KeepPart,
    OpenUpload,
    Order,
)
from drystone.fleet.storage.standing import Standing, Standings

log = logging.getLogger(__name__)

Pieces = Sequence[bytes | memoryview]

_VERSIONS = 1000
_BEGIN = msgspec.json.Decoder(Begin)
_ORDER: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)


class Followed:
    """What this server does for the leaders of placements.

    :param standings: what we hold. :ivar gatherings: parts of uploads that leaders had us put together.
    """

    def __init__(self, standings: Standings) -> None:
        self.standings = standings
        self.gatherings = Gatherings()

    async def learn(self, placement: Placement) -> Standing:
        """Our copy, by the placement as a leader knows it: the newer of the two epochs holds.

        :raises ElsewhereError: a newer epoch is known here. :raises NotFoundError: we hold none of it.
        """
        await self.standings.learn_placement(placement)
        standing = self.standings.find(placement.id)
        if standing is None:
            raise NotFoundError(f"placement {placement.id} is not held here, or its disk cannot be used")
        if standing.placement.epoch != placement.epoch:
            raise ElsewhereError(standing.placement)
        return standing

    async def learn_only(self, placement: Placement) -> None:
        """Take over what a leader relays, if it is newer."""
        await self.standings.learn_placement(placement)

    def check(self, standing: Standing, placement: Placement) -> None:
        """:raises ElsewhereError: a change of the leader that `placement` names is not to be applied here."""
        if not standing.replica.accepts(placement.epoch, placement.leader):
            raise ElsewhereError(standing.placement)

    async def change(self, frames: FrameReader) -> Done:
        """Take a body, then do what the leader orders. What is answered is durable.

        :raises ElsewhereError: a newer epoch is known. :raises DrystoneError: the disk refused; nothing changed.
        """
        begin = _BEGIN.decode(await frames.document())
        standing = await self._hold(begin.placement)
        bay, disk = standing.bay, standing.disk
        incoming: Incoming | None = None
        try:
            held: list[bytes | memoryview] = []
            size = 0
            async for piece in frames.data():
                held.append(piece)
                size += len(piece)
                if size >= 1 << 20:
                    if incoming is None:
                        incoming = await bay.run(disk.receive, md5=False, size=begin.size)
                    await bay.run(write_all, incoming, held)
                    held, size = [], 0
            order = _ORDER.decode(await frames.document())
            body, incoming = incoming, None  # theirs now
            return await self._obey(order, body, held if begin.body else None, begin.size)
        finally:
            if incoming is not None:
                await bay.run(incoming.abandon)

    async def _obey(self, order: Order, body: Incoming | None, last: Pieces | None, size: int | None) -> Done:
        """Do it, unless it comes too late. :raises ElsewhereError: it does."""
        try:
            standing = await self.learn(order.placement)
            self.check(standing, order.placement)
            disk = standing.disk
        except BaseException:
            if body is not None:
                body.abandon()
            raise
        gathered = None
        if isinstance(order, Assemble):
            gathered = self.gatherings.take(disk, order.placement.id, order.upload_id, order.numbers)
        try:
            done = await standing.bay.run(carry_out, disk, order, body, last, size, gathered)
        except MismatchError as error:
            if error.facts.keys() & {"epoch", "floor"}:  # it came too late, as the disk found in the step that makes it
                raise ElsewhereError(standing.placement) from error
            raise
        # We may have learned a newer epoch while the disk worked, and even lead it: then the old leader must not take
        # it for done.
        self.check(standing, order.placement)
        return done

    async def gather(self, wanted: Gather) -> Gathered:
        """Put parts of an upload together. :raises ElsewhereError: a newer epoch is known."""
        return await self.gatherings.ask(await self.learn(wanted.placement), wanted)

    async def _hold(self, placement: Placement) -> Standing:
        """Our copy, whatever the epoch is: the body may begin to come. :raises NotFoundError: we hold none of it."""
        standing = self.standings.find(placement.id)
        if standing is None or standing.placement.epoch < placement.epoch:
            standing = await self.learn(placement)
        return standing

    # ------------------------------------------------------------------ reading

    async def find(self, wanted: Fetch) -> tuple[Standing, Entry]:
        """A version that we have, for another member. :raises NotFoundError: we have it not, or not this one."""
        standing = self.standings.find(wanted.placement)
        if standing is None:
            raise NotFoundError(f"placement {wanted.placement} is not held here")
        entry = await standing.bay.run(standing.disk.find, wanted.placement, wanted.key, wanted.version_id)
        if entry is None or wanted.seq not in (None, entry.info.seq) or entry.info.delete_marker:
            raise NotFoundError(f"{wanted.key!r} is not here, or another version of it")
        return standing, entry

    async def versions(self, wanted: FindVersions) -> list[Entry]:
        """All versions of a key that we have. :raises ElsewhereError: a newer epoch is known."""
        standing = await self.learn(wanted.known) if wanted.known else self.standings.find(wanted.placement)
        if standing is None:
            raise NotFoundError(f"placement {wanted.placement} is not held here")
        return await standing.bay.run(find_versions, standing.disk, wanted.placement, wanted.key)


def find_versions(disk: Disk, placement_id: str, key: str) -> list[Entry]:
    """All versions of a key that a disk has, delete markers too, newest first."""
    found: list[Entry] = []
    after = ""
    while True:
        page = disk.list(placement_id, key, "", after, _VERSIONS, versions=True)
        for info in page.objects:
            if info.key != key:
                return found
            if (entry := disk.find(placement_id, key, info.version_id)) is not None:
                found.append(entry)
        after = page.after
        if not after:
            return found


def write_all(body: Incoming, pieces: Pieces) -> None:
    """Write what came, in a thread of the disk."""
    for each in pieces:
        body.write(each)


def carry_out(
    disk: Disk,
    order: Order,
    body: Incoming | None,
    last: Pieces | None,
    size: int | None,
    gathered: Incoming | None = None,
) -> Done:
    """Do what a leader orders, in a thread of the disk; durable when it returns.

    :param body: what came but for the last bytes; None when there are only those. :param last: None when the order has
        no bytes. :param size: of all, where known. :param gathered: the parts that an Assemble names, as one body;
        None: they are to be put together.
    :raises MismatchError: it comes too late (fact "epoch" or "floor"), or the bytes are others.
    """
    if last is not None and body is None:
        body = disk.receive(md5=False, size=size)
    try:
        if body is not None and last is not None:
            write_all(body, last)
            body.finish()
        return _obey(disk, order, body if gathered is None else gathered)
    finally:
        if gathered is not None:
            gathered.abandon()
        if body is not None:
            body.abandon()  # unless the disk has taken it


def _obey(disk: Disk, order: Order, body: Incoming | None) -> Done:
    placement_id, epoch = order.placement.id, order.placement.epoch
    match order:
        case Apply():
            disk.apply(order.change, _bytes_of(order.change, body), epoch=epoch, floor=order.floor)
        case Assemble():
            return Done(lacking=not _assemble(disk, order, body))
        case KeepPart():
            if body is None:
                raise MismatchError(f"part {order.part.number} came without its bytes")
            disk.begin_upload(placement_id, order.upload, epoch=epoch)
            disk.put_part(placement_id, order.upload.upload_id, order.part, body, epoch=epoch)
        case OpenUpload():
            disk.begin_upload(placement_id, order.upload, epoch=epoch)
        case DropUpload():
            disk.drop_upload(placement_id, order.upload_id, epoch=epoch)
    return Done()


def _bytes_of(change: Change, body: Incoming | None) -> Incoming | None:
    """The body that a change is applied with. :raises MismatchError: it needs one, and none came."""
    if change.kind != "put" or change.info.delete_marker:
        return None
    if body is None:
        raise MismatchError(f"{change.info.key!r} came without its bytes")
    return body


def _assemble(disk: Disk, order: Assemble, body: Incoming | None) -> bool:
    """As Apply, out of our own parts. False when they are not all here, or not those that the leader has.

    :param body: these parts, where they were put together before.
    """
    try:
        body = body or disk.assemble(order.placement.id, order.upload_id, order.numbers).finish()
    except NotFoundError:
        return False
    try:
        disk.apply(order.change, body, epoch=order.placement.epoch, floor=order.floor)
    except MismatchError as error:
        if error.facts.keys() & {"epoch", "floor"}:
            raise
        return False
    finally:
        body.abandon()
    return True

"""The placements that a disk has data of: durable in its index, and at hand in memory."""

from __future__ import annotations

import sqlite3

import msgspec

from drystone.base import documents
from drystone.base.errors import MismatchError, NotFoundError
from drystone.fleet.disk.index import Index
from drystone.fleet.disk.ledger import Home
from drystone.fleet.disk.locks import KeyLocks
from drystone.fleet.documents import Held, Placement, Slot


class Homes:
    """All placements of a disk. The constructor has no effects."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._homes: dict[str, Home] = {}
        self._locks = KeyLocks()

    def load(self) -> None:
        """Take over what the index has."""
        with self._index.looking() as connection:
            found = connection.execute("SELECT number, slot, document FROM placements").fetchall()
        homes = [Home(number, documents.decode(data, Placement, "placement"), slot) for number, slot, data in found]
        self._homes = {home.placement.id: home for home in homes}

    def find(self, placement_id: str) -> Home:
        """:raises NotFoundError: this disk has nothing of it."""
        home = self._homes.get(placement_id)
        if home is None:
            raise NotFoundError(f"this disk has no placement {placement_id}", placement=placement_id)
        return home

    def check_epoch(self, home: Home, epoch: int | None) -> None:
        """In a step of the index: what was held before is seen, and what is held later sees what the step did.

        :raises MismatchError: the placement is kept in another epoch; `epoch` None: in none at all.
        """
        kept = self.find(home.placement.id).placement.epoch
        if epoch is not None and kept != epoch:
            raise MismatchError(
                f"placement {home.placement.id} is in epoch {kept}, not {epoch}",
                placement=home.placement.id,
                epoch=kept,
            )

    def all(self) -> dict[str, Home]:
        """All of them, by id."""
        return dict(self._homes)

    def hold(self, placement: Placement, slot: Slot) -> None:
        """Keep a placement, durably; its slot stays what it was at first.

        Of two accounts of one epoch what both say is kept, and that a member is in sync when one says so: its leader
        counts it in before a mapper does.

        :raises MismatchError: a newer epoch of it is kept.
        """
        with self._locks.hold(placement.id):
            self._hold(placement, slot)

    def _hold(self, placement: Placement, slot: Slot) -> None:
        known = self._homes.get(placement.id)
        if known is not None and placement.epoch < known.placement.epoch:
            raise MismatchError(
                f"placement {placement.id} is known in epoch {known.placement.epoch}, not {placement.epoch}",
                placement=placement.id,
                epoch=known.placement.epoch,
            )
        if known is not None and placement.epoch == known.placement.epoch:
            placement = _count_in(placement, known.placement)
            if placement == known.placement:
                return
        if known is not None and (placement.folder, placement.host) != (known.placement.folder, known.placement.host):
            raise MismatchError(f"placement {placement.id} has another folder or host than before")
        data = documents.encode(placement)

        def step(connection: sqlite3.Connection) -> Home:
            connection.execute(
                "INSERT INTO placements (id, slot, document) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (placement.id, slot, data),
            )
            number, kept, newest = connection.execute(
                "SELECT number, slot, document FROM placements WHERE id = ?", (placement.id,)
            ).fetchone()
            return Home(number, documents.decode(newest, Placement, "placement"), kept)

        self._homes[placement.id] = self._index.write(step)

    def forget(self, home: Home) -> None:
        """Nothing of it is on the disk any more."""

        def step(connection: sqlite3.Connection) -> None:
            for table in ("tombstones", "dirty", "counters", "intents", "uploads", "parts"):
                connection.execute(f"DELETE FROM {table} WHERE placement = ?", (home.number,))  # noqa: S608  # ours
            connection.execute("DELETE FROM placements WHERE number = ?", (home.number,))

        self._index.write(step)
        self._homes.pop(home.placement.id, None)

    def held(self, disk_id: str) -> tuple[Held, ...]:
        """What a heartbeat says of them."""
        with self._index.looking() as connection:
            counts = {
                number: values
                for number, *values in connection.execute("SELECT number, objects, size, newest FROM placements")
            }
        return tuple(
            Held(home.placement, disk_id, home.slot, objects=objects, size=size, newest=newest)
            for home in self.all().values()
            if home.number in counts
            for objects, size, newest in (counts[home.number],)
        )


def _count_in(placement: Placement, known: Placement) -> Placement:
    """The placement, with those in sync that `known` has so."""
    synced = {each.disk_id for each in known.in_sync()}
    members = tuple(
        msgspec.structs.replace(each, state="in_sync") if each.disk_id in synced else each for each in placement.members
    )
    return msgspec.structs.replace(placement, members=members)

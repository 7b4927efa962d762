"""A fleet drawn for a test of one decision: servers with disks, placements, who is silent, what disks hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from drystone.fleet.documents import (
    Bucket,
    DiskHealth,
    DiskReport,
    Heartbeat,
    Held,
    Member,
    MemberState,
    Placement,
    Policy,
    Slot,
)
from drystone.fleet.mapping.model import DiskRecord, Model, ServerRecord
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.mapping.sightings import Sightings
from drystone.fleet.mapping.view import View

CAPACITY = 1 << 40


def copy_on(place: str, state: MemberState = "in_sync", slot: Slot = "primary") -> Member:
    """The member on `s1/1`: disk data_1 of s1, with the id `s1-1`."""
    server, _, number = place.partition("/")
    return Member(server, f"data_{number}", f"{server}-{number}", slot, state)


def name_disk(disk_id: str) -> str:
    """The name of a disk in its server: data_1 of s1-1."""
    return f"data_{disk_id.partition('-')[2]}"


class Sketch:
    """Servers s1, s2, ... with disks data_1, data_2, ..., all good and just heard of.

    :ivar now: the time (monotonic seconds) of `view`.
    """

    def __init__(self, servers: int = 3, disks: int = 2, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.now = 1000.0
        self.model = Model("fleet", 1)
        self.model.buckets["ns"] = Bucket("ns", "shared", "", 0.0)
        self.sightings = Sightings(0.0)
        self.servers = [f"s{number}" for number in range(1, servers + 1)]
        self.disks = {each: [f"{each}-{number}" for number in range(1, disks + 1)] for each in self.servers}
        self.health: dict[str, DiskHealth] = {}
        self.free: dict[str, int] = {}
        for server in self.servers:
            self.model.servers[server] = ServerRecord(server, f"http://{server}:8080")
            for disk_id in self.disks[server]:
                self.model.disks[disk_id] = DiskRecord(disk_id, server, name_disk(disk_id))
            self.hear(server)

    def beat(
        self, server: str, *, held: Iterable[Held] | None = None, term: int = 1, boot: str = "b", version: int = 0
    ) -> Heartbeat:
        """A heartbeat of a server as it is drawn."""
        reports = tuple(
            DiskReport(name_disk(each), each, self.health.get(each, "good"), CAPACITY, self.free.get(each, CAPACITY))
            for each in self.disks[server]
        )
        return Heartbeat(
            server,
            f"http://{server}:8080",
            boot,
            version,
            reports,
            held=None if held is None else tuple(held),
            fleet="fleet",
            term=term,
            told=tuple(self.disks[server]) if held is not None else (),
        )

    def hear(self, server: str, *, held: Iterable[Held] | None = None, term: int = 1) -> None:
        """A heartbeat comes now."""
        self.sightings.note(self.beat(server, held=held, term=term), self.now)

    def silence(self, *servers: str, seconds: float) -> None:
        """So much time passes, in which all are heard of but these."""
        self.now += seconds
        for each in self.servers:
            if each not in servers:
                self.hear(each)

    def place(self, host: str, *members: Member, policy: Policy = "shared", epoch: int = 5) -> Placement:
        """A placement, led by its first member."""
        placement = Placement(f"p-{host}", "ns", host, host, policy, epoch, members[0].server, members)
        self.model.put_placement(placement)
        return placement

    def mark(self, disk_id: str, mark: str) -> None:
        """An operator says something of a disk."""
        record = self.model.disks[disk_id]
        self.model.disks[disk_id] = replace(record, mark="bad" if mark == "bad" else "draining")

    def hold(self, placement: Placement, disk_id: str, *, objects: int = 3, slot: Slot = "primary") -> Held:
        """What a disk holds of a placement."""
        return Held(placement, disk_id, slot, objects, objects * 100, 50.0)

    def view(self) -> View:
        """The fleet at this moment."""
        return View(self.model, self.sightings, self.rules, self.now)

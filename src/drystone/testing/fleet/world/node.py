"""A storage server as docs/explanation/fleet.md has it: what is durable, what it learns, who it is to whom.

The part that leads is in `leader`, the part that follows and copies in `follower`; both look at one Replica each.
"""

from __future__ import annotations

from drystone.fleet.documents import DiskReport, FleetMap, Heartbeat, HeartbeatAnswer, Held, Member, Placement
from drystone.fleet.replica import Replica
from drystone.testing.fleet.world.follower import Follower
from drystone.testing.fleet.world.leader import Leader
from drystone.testing.fleet.world.shelf import Disk, Shelf
from drystone.testing.fleet.world.surroundings import Surroundings
from drystone.testing.fleet.world.time import Host

_HEARTBEAT = 1.0
_HELD_EVERY = 4


class Node(Host):
    """A storage server.

    :ivar term: the highest it knows, durable. :ivar atlas: the newest of each placement that it knows; in memory, as
        it may go by that only once its disk has it too.
    """

    def __init__(self, name: str, world: Surroundings, disks: int) -> None:
        super().__init__(name, world.timeline)
        self.world = world
        self.disks = [Disk(f"{name}-d{number}", f"data_{number}") for number in range(1, disks + 1)]
        self.term = 0
        self.fleet = ""
        self._start()

    @property
    def host(self) -> Host:
        """The process that it is."""
        return self

    def _start(self) -> None:
        self.replicas: dict[str, Replica] = {}
        self.atlas: dict[str, Placement] = {}
        self.started = self.timeline.time
        self.map_version = 0
        self._whole_term = 0
        self.want_held = True
        self.beats = 0
        self.leader = Leader(self)
        self.follower = Follower(self)
        newest: dict[str, Placement] = {}
        for disk in self.disks:
            disk.open()
            for id_, shelf in disk.shelves.items():
                if id_ not in newest or shelf.placement.epoch > newest[id_].epoch:
                    newest[id_] = shelf.placement
        for id_, placement in newest.items():
            self.replicas[id_] = Replica(placement, self.name, started=self.timeline.time)
        self.later(self.world.random.uniform(0, _HEARTBEAT), self._beat)
        self.later(0.1, self.leader.work)
        self.later(0.1, self.follower.work)

    def stop(self) -> None:
        """The process ends at once; disks stay as they are."""
        self.up = False

    def start(self) -> None:
        """It is started again."""
        self.generation += 1
        self.up = True
        self._start()

    def plug(self, disk: Disk) -> None:
        """A disk is put in: what it knows is known before it is used."""
        for id_, shelf in disk.shelves.items():
            replica = self.replicas.get(id_)
            if replica is not None and replica.placement.epoch < shelf.placement.epoch:
                self.leader.leave(id_)
                del self.replicas[id_]
        self.disks.append(disk)
        for shelf in tuple(disk.shelves.values()):
            self.learn(shelf.placement)

    def wipe(self, disk: Disk) -> None:
        """A new, empty disk comes in the place of one."""
        fresh = Disk(f"{disk.id}'", disk.name)
        self.disks[self.disks.index(disk)] = fresh

    # What it knows

    def disk(self, disk_id: str) -> Disk | None:
        """A disk of ours that works."""
        for each in self.disks:
            if each.id == disk_id:
                return each if each.healthy else None
        return None

    def shelf(self, placement: Placement) -> Shelf | None:
        """Our own copy's place, None when its disk is not here, or does not know yet what it missed."""
        for member in placement.members:  # asked at every event: so no generators here
            if member.server == self.name:
                disk = self.disk(member.disk_id)
                found = None if disk is None else disk.shelves.get(placement.id)
                if found is not None and found.placement.epoch < placement.epoch and not self._told_late:
                    return None
                return found
        return None

    def learn(self, placement: Placement) -> None:
        """Take a newer placement: durable on the disk that we hold it on, then acted upon; until then only known."""
        known = self.atlas.get(placement.id)
        if known is None or known.epoch < placement.epoch:
            self.atlas[placement.id] = placement
        replica = self.replicas.get(placement.id)
        before = None if replica is None else replica.placement
        if before is not None and placement.epoch <= before.epoch:
            return
        if before is None and not any(
            each.server == self.name or self.disk(each.disk_id) for each in placement.members
        ):
            return
        if not self._keep(before, placement):
            return
        if replica is None:
            self.replicas[placement.id] = Replica(placement, self.name, started=self.timeline.time)
        else:
            replica.learn(placement)
        self.leader.learned(placement)
        self.follower.learned(placement)

    def _keep(self, before: Placement | None, placement: Placement) -> bool:
        """Whether it is durable on the disk that we hold it on, or are to hold it on."""
        own = placement.member(self.name)
        old = None if before is None else before.member(self.name)
        known = (old, own, *(each for each in placement.members if self.disk(each.disk_id) is not None))
        for member in {each.disk_id: each for each in known if each is not None}.values():
            disk = self.disk(member.disk_id)
            if disk is not None:
                shelf = disk.shelves.setdefault(placement.id, Shelf(placement))
                if shelf.placement.epoch > placement.epoch:
                    return False
                if shelf.placement.epoch < placement.epoch:  # else a member may be counted in already
                    shelf.placement = placement
        return own is None or self.disk(own.disk_id) is not None or self._told_late

    def _catch_up(self) -> set[str]:
        """Have disks keep what they missed while they were away; the ids of those that know all that we know."""
        told = {each.id for each in self.disks if each.healthy}
        if self._told_late:
            return told
        for disk in self.disks:
            for id_, shelf in list(disk.shelves.items()) if disk.healthy else ():
                newest = self.atlas.get(id_, shelf.placement)
                copies = {each.disk_id for each in newest.members}
                if disk.id in copies and newest.epoch > shelf.placement.epoch:
                    self.learn(newest)
                    # A start takes it from any of our disks; the real one keeps it on this one then, too.
                    if newest.epoch > shelf.placement.epoch:
                        self._keep(None, newest)
                    if newest.epoch > shelf.placement.epoch:
                        told.discard(disk.id)
        return told

    @property
    def _told_late(self) -> bool:
        """A rule that is left out: we go by what our disk does not know, and tell what it held before."""
        return "told before learned" in self.world.mutants

    def count_in(self, placement: str, servers: tuple[str, ...]) -> None:
        """Take members as in sync, durably, before it is reported."""
        replica = self.replicas[placement]
        if "no count_in" in self.world.mutants:
            return
        after = replica.count_in(servers)
        for disk in self.disks:
            if (shelf := disk.shelves.get(placement)) is not None:
                shelf.placement = after

    # Heartbeats

    def _beat(self) -> None:
        self.later(_HEARTBEAT, self._beat)
        self.beats += 1
        told = self._catch_up()
        tells = self.want_held or self.beats % _HELD_EVERY == 0
        beat = Heartbeat(
            server=self.name,
            url=self.name,
            boot=f"{self.name}-{self.generation}",
            map_version=self.map_version,
            disks=tuple(
                DiskReport(each.name, each.id, "good" if each.healthy else "bad", 1 << 40, 1 << 39)
                for each in self.disks
            ),
            held=tuple(self._held(told)) if tells else None,
            fleet=self.fleet,
            term=self.term,
            told=tuple(sorted(told)) if tells else (),
            uptime=self.timeline.time - self.started,
        )
        self.world.ask_mapper(self, "heartbeat", beat, self._answered, lambda: None)

    def _held(self, told: set[str]) -> list[Held]:
        found = []
        for disk in self.disks:
            for shelf in disk.shelves.values() if disk.id in told else ():
                live = sum(bool(each.value) for each in shelf.entries.values())
                member = shelf.placement.member(self.name)
                slot = member.slot if isinstance(member, Member) else "primary"
                found.append(Held(shelf.placement, disk.id, slot, live, live * 100, 1.0))
        return found

    def _answered(self, answer: object) -> None:
        assert isinstance(answer, HeartbeatAnswer)
        if answer.term < self.term:
            return
        new_term = answer.term > self.term
        self.term = answer.term
        self.want_held = answer.want_held or new_term
        if answer.map is None:
            return
        self.fleet = self.fleet or answer.map.fleet
        self.map_version = answer.map.version
        if not answer.map.recovering and answer.map.term > self._whole_term:
            # What was learned in lower terms and is above it was decided in a database that was lost.
            self._whole_term = answer.map.term
            self.atlas.clear()
            self._leave_overruled(answer.map)
        for placement in answer.map.placements:
            self.learn(placement)
        for id_, disk_id in answer.map.leftovers:
            self._drop_leftover(id_, disk_id)

    def _leave_overruled(self, map_: FleetMap) -> None:
        """Of what is no copy of ours, go by a new term's map, though we knew something newer."""
        for placement in map_.placements:
            replica = self.replicas.get(placement.id)
            if replica is None or replica.placement.epoch <= placement.epoch:
                continue
            if not any(self.disk(each.disk_id) for each in replica.placement.members):
                self.leader.leave(placement.id)
                del self.replicas[placement.id]

    def _drop_leftover(self, id_: str, disk_id: str) -> None:
        replica = self.replicas.get(id_)
        if replica is not None and any(each.disk_id == disk_id for each in replica.placement.members):
            return
        disk = self.disk(disk_id)
        if disk is not None:
            disk.shelves.pop(id_, None)

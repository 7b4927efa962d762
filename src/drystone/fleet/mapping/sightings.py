"""What a mapper has seen of the storage servers since it leads: heartbeats, disks, what they hold. In memory only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from drystone.fleet.documents import DiskReport, FleetMap, Heartbeat, Held

_OFFSETS = 64
"""Heartbeats by which is judged how long the newest was under way: few enough that clocks do not drift apart."""

_RESTART_SECONDS = 2.5
"""For so long after a heartbeat, one of another process of that server is taken for late, from the process before."""

_FIRST_SECONDS = (1.0, 5.0)
"""After which a server is asked what it holds of a host that was placed there: its first objects are there then."""


@dataclass(slots=True)
class Sighting:
    """What is known of one server.

    :ivar seen: when it sent what was last heard of it (monotonic seconds of ours). :ivar boot: of that process.
    :ivar came: when its last heartbeat came. :ivar uptime: when it sent that, by its own clock.
    :ivar offsets: of that clock from ours, as the last heartbeats showed it: the least is the truest.
    :ivar held: what its disks hold, None when it has not told since it started. :ivar held_term: the highest term it
        knew when it told. :ivar told: ids of the disks that it told all of then. :ivar asks: when it is to be asked
        again (monotonic seconds, the next first), though it tells by itself from time to time.
    """

    seen: float
    boot: str = ""
    came: float = -_RESTART_SECONDS
    uptime: float = 0.0
    offsets: deque[float] = field(default_factory=lambda: deque(maxlen=_OFFSETS))
    map_version: int = 0
    disks: dict[str, DiskReport] | None = None
    held: tuple[Held, ...] | None = None
    held_term: int = 0
    told: frozenset[str] = frozenset()
    asks: tuple[float, ...] = ()


class Sightings:
    """What was seen of all servers.

    :param since: when this mapper began to lead (monotonic seconds): a server counts as seen then, so that a mapper
        that has just begun takes nobody for dead.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self.servers: dict[str, Sighting] = {}
        self.known: FleetMap | None = None
        """The newest account of the map, without placements, that a server had before."""
        self.pauses: dict[tuple[str, str], float] = {}
        """(placement, server) that did not answer its leader: until when it is not taken again (monotonic seconds)."""

    def note(self, heartbeat: Heartbeat, now: float) -> bool:
        """A heartbeat came; False when a newer one was there already: then nothing is taken from it."""
        sighting = self.servers.get(heartbeat.server)
        if sighting is None:
            sighting = self.servers[heartbeat.server] = Sighting(now, heartbeat.boot)
        if sighting.boot != heartbeat.boot:
            if now - sighting.came < _RESTART_SECONDS:
                return False  # the known process lives: this one was before it, or has just taken its place
            sighting.boot = heartbeat.boot
            sighting.held = None
            sighting.told = frozenset()
            sighting.offsets.clear()
        elif heartbeat.uptime < sighting.uptime:
            return False
        sighting.came = now
        sighting.uptime = heartbeat.uptime
        sighting.offsets.append(now - heartbeat.uptime)
        sighting.seen = heartbeat.uptime + min(sighting.offsets) if heartbeat.uptime else now
        sighting.map_version = heartbeat.map_version
        sighting.disks = {each.disk_id: each for each in heartbeat.disks if each.disk_id}
        if heartbeat.known is not None:
            self.known = max(self.known or heartbeat.known, heartbeat.known, key=lambda each: (each.term, each.version))
        if heartbeat.held is not None:
            sighting.held = heartbeat.held
            sighting.held_term = heartbeat.term
            sighting.told = frozenset(heartbeat.told)
            sighting.asks = tuple(each for each in sighting.asks if each > sighting.seen)
        return True

    def ask_soon(self, server: str, now: float) -> None:
        """A host was placed on a server: have it tell what it holds before it would by itself."""
        sighting = self.servers.get(server)
        if sighting is not None:
            sighting.asks = (*sighting.asks[:1], *(now + each for each in _FIRST_SECONDS))

    def pause(self, placement: str, server: str, until: float) -> None:
        """Do not make `server` a member of a placement before `until`."""
        self.pauses[placement, server] = until

    def forget_pauses(self, now: float) -> None:
        """Forget those that are over."""
        self.pauses = {key: until for key, until in self.pauses.items() if until > now}

    def paused(self, placement: str, server: str, now: float) -> bool:
        """Whether it shall not be made a member now."""
        return self.pauses.get((placement, server), now) > now

    def untold(self, server: str, now: float) -> bool:
        """Whether a good disk is there of which the server has not told what it holds, or it is to tell again."""
        sighting = self.servers[server]
        if sighting.asks and now >= sighting.asks[0]:
            return True
        good = {disk_id for disk_id, disk in (sighting.disks or {}).items() if disk.health == "good"}
        return sighting.held is None or not good <= sighting.told

    def silence(self, server: str, now: float) -> float:
        """Seconds since the server was last heard of."""
        sighting = self.servers.get(server)
        return now - (self.since if sighting is None else max(self.since, sighting.seen))

    def heard(self, server: str) -> bool:
        """Whether it was heard of at all since this mapper leads."""
        return server in self.servers

    def disk(self, server: str, disk_id: str) -> DiskReport | None:
        """The disk as the server last reported it; None when it did not."""
        sighting = self.servers.get(server)
        return None if sighting is None or sighting.disks is None else sighting.disks.get(disk_id)

    def held(self) -> Iterator[tuple[str, int, Held]]:
        """(server, the term it knew, what it holds) of all that told."""
        for server, sighting in self.servers.items():
            for each in sighting.held or ():
                yield server, sighting.held_term, each

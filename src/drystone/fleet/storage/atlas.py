"""What a storage server knows of the fleet's map: kept in a file, so that it can start while no mapper answers.

While a mapper rebuilds a map that was lost, the buckets and keys that were known stay.
Of a map that is known a mapper tells what is new to it; what that leaves out is as it was.
A map of a lower term, or of the same term and a lower version, is not taken. Placements are also learned one by one:
from a mapper's answer, or from a leader that passes one on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from drystone.base.errors import UsageError
from drystone.base.files import replace_file
from drystone.fleet.documents import Bucket, FleetMap, Key, Placement, Server

log = logging.getLogger(__name__)

_FILE = "map.json"
_WHOLE = "whole-map.json"
"""The last map that was not being rebuilt, beside one that is."""


def host_of(key: str) -> str:
    """The host that a key belongs to: its first component when there is a `/`, else "" (docs/explanation/fleet.md)."""
    host, slash, _ = key.partition("/")
    return host if slash else ""


class Atlas:
    """The newest map known, and ways to find things in it.

    :param folder: where it is kept, with the keys' secrets (mode 0600); made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fleet = ""
        self.term = 0
        self.version = 0
        self.recovering = False
        self.whole_term = 0
        """The term of the last map that was not being rebuilt."""
        self.edition = ""
        self._told: FleetMap | None = None
        """The map as a mapper tells it, at `version`; None: it is to be put together from the tables."""
        self._table: dict[str, Placement] = {}
        """Its placements by their ids. We may know some in a newer epoch, and others besides."""
        self._learned: set[str] = set()
        """Ids of placements that were learned one by one since a map was."""
        self._before: FleetMap | None = None
        """While the map is being rebuilt: the last one that was whole."""
        self._unkept = False
        self.servers: dict[str, Server] = {}
        self.buckets: dict[str, Bucket] = {}
        self.keys: dict[str, Key] = {}
        self.leftovers: frozenset[tuple[str, str]] = frozenset()
        self._placements: dict[str, Placement] = {}
        self._by_host: dict[tuple[str, str], str] = {}

    def load(self) -> None:
        """Take what was kept by an earlier run. :raises UsageError: a file is no map of ours."""
        for name in (_WHOLE, _FILE):
            map_ = self._read(self._folder / name)
            if map_ is not None:
                self.take(map_)

    def _read(self, path: Path) -> FleetMap | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=FleetMap)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise UsageError(f"{path}: {error}", hint="remove it; a mapper tells the map again") from error

    def learn(self, map_: FleetMap) -> bool:
        """Take a mapper's map if it is newer; whether it was. `prepare` and `take` in one.

        :raises OSError: it cannot be kept; then it is not taken.
        """
        newer = self.prepare(map_)
        if newer:
            self.take(map_)
        return newer

    def prepare(self, map_: FleetMap) -> bool:
        """Whether a map is newer. A higher term, and whether the map is being rebuilt, is durable when this returns;
        the rest after `keep`. What a start then knows is a little older; what counts, placements, is on the disks.

        :raises OSError: it cannot be kept.
        """
        if (map_.term, map_.version) <= (self.term, self.version) or (self.fleet and map_.fleet != self.fleet):
            return False
        if map_.since and not self._can_apply(map_):
            return False
        if (map_.fleet, map_.term, map_.recovering) != (self.fleet, self.term, self.recovering):
            known = self._whole()
            self._write(msgspec.structs.replace(known, term=map_.term) if map_.since and known else map_)
        self._unkept = True
        return True

    def _can_apply(self, news: FleetMap) -> bool:
        """Whether we have a map that it is news to: of its edition, of the version it begins at or a later one."""
        return not self.recovering and news.edition == self.edition and news.since <= self.version

    def keep(self) -> None:
        """Make durable what was learned since the last time. :raises OSError: it cannot be."""
        if self._unkept and self._told is not None and self.recovering:
            self._write(self._told)
        elif self._unkept and (known := self._whole()) is not None:
            self._write(known)

    def _write(self, map_: FleetMap) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if map_.recovering and (known := self._whole()) is not None:
            replace_file(self._folder / _WHOLE, msgspec.json.encode(known), mode=0o600)
        replace_file(self._folder / _FILE, msgspec.json.encode(map_), mode=0o600)
        if not map_.recovering:
            (self._folder / _WHOLE).unlink(missing_ok=True)
        self._unkept = False

    def _whole(self) -> FleetMap | None:
        """The last map that was not being rebuilt, None before the first."""
        if self.recovering:
            return self._before
        if self._told is None and self.version:
            self._told = FleetMap(
                fleet=self.fleet,
                term=self.term,
                version=self.version,
                servers=tuple(self.servers.values()),
                placements=tuple(self._table.values()),
                buckets=tuple(self.buckets.values()),
                keys=tuple(self.keys.values()),
                leftovers=tuple(self.leftovers),
                edition=self.edition,
            )
        return self._told

    def take(self, map_: FleetMap) -> None:
        """Go by a map that `prepare` found newer.

        One that is being rebuilt may lack what was there: it adds to what is known, and takes nothing away. The first
        of a term that is not says all: what was learned in lower terms and is above it was decided in a database that
        was lost, as all else would be in this one. (What our disks hold they keep, and a rebuilding goes by that.)
        """
        if map_.since:
            self._take_news(map_)
            return
        self._before = self._whole() if map_.recovering else None
        self._told = map_
        self._table = {each.id: each for each in map_.placements}
        self._learned.clear()
        self.edition = map_.edition
        self.fleet, self.term, self.version, self.recovering = map_.fleet, map_.term, map_.version, map_.recovering
        buckets = {each.name: each for each in map_.buckets}
        keys = {each.access_key: each for each in map_.keys}
        known, self._placements, self._by_host = self._placements, {}, {}
        if map_.recovering:
            buckets, keys = self.buckets | buckets, self.keys | keys
            for each in known.values():
                self._enter(each)
        self.buckets, self.keys = buckets, keys
        self.servers = {each.id: each for each in map_.servers}
        self.leftovers = frozenset(map_.leftovers)
        if not map_.recovering:
            known = known if map_.term == self.whole_term else {}
            self.whole_term = map_.term
        for each in map_.placements:
            self._enter(max(each, known.get(each.id, each), key=lambda placement: placement.epoch))

    def _take_news(self, news: FleetMap) -> None:
        """What changed since the map that we have, or an earlier one of its edition."""
        self.term, self.version = news.term, news.version
        self.whole_term = news.term
        for id_ in (*news.gone_placements, *(self._learned - self._table.keys())):
            self._table.pop(id_, None)
            self._leave(id_)
        for each in news.placements:
            self._table[each.id] = each
            self._enter(max(each, self._placements.get(each.id, each), key=lambda placement: placement.epoch))
        self._learned.clear()
        self.buckets = {**self.buckets, **{each.name: each for each in news.buckets}}
        self.keys = {**self.keys, **{each.access_key: each for each in news.keys}}
        for name in news.gone_buckets:
            self.buckets.pop(name, None)
        for name in news.gone_keys:
            self.keys.pop(name, None)
        self.servers = {each.id: each for each in news.servers}
        self.leftovers = frozenset(news.leftovers)
        self._told = None

    def account(self) -> FleetMap | None:
        """The last whole map for a mapper that rebuilds its own: buckets and keys; what the disks tell is left out."""
        known = self._whole()
        return None if known is None else msgspec.structs.replace(known, placements=(), servers=(), leftovers=())

    def learn_placement(self, placement: Placement) -> bool:
        """Take one that is newer than what is known of it. Kept with the disk's own (and with the next map)."""
        known = self._placements.get(placement.id)
        if known is not None and known.epoch >= placement.epoch:
            return False
        self._enter(placement)
        self._learned.add(placement.id)
        return True

    def _leave(self, id_: str) -> None:
        placement = self._placements.pop(id_, None)
        if placement is not None and self._by_host.get((placement.namespace, placement.host)) == id_:
            del self._by_host[placement.namespace, placement.host]

    def _enter(self, placement: Placement) -> None:
        self._placements[placement.id] = placement
        self._by_host[placement.namespace, placement.host] = placement.id

    def placement(self, id_: str) -> Placement | None:
        """By its id."""
        return self._placements.get(id_)

    def find(self, namespace: str, host: str) -> Placement | None:
        """Of a host of a namespace."""
        id_ = self._by_host.get((namespace, host))
        return None if id_ is None else self._placements[id_]

    def of_namespace(self, namespace: str) -> tuple[Placement, ...]:
        """All of a namespace, by their hosts' UTF-8 bytes."""
        found = [each for each in self._placements.values() if each.namespace == namespace]
        return tuple(sorted(found, key=lambda each: each.host.encode("utf-8", "surrogatepass")))

    def placements(self) -> Iterable[Placement]:
        """All that are known."""
        return tuple(self._placements.values())

    def url_of(self, server: str) -> str:
        """Where a server is called, "" when it is not known."""
        known = self.servers.get(server)
        return known.url if known else ""

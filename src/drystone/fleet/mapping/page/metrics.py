"""The fleet's state as Prometheus text. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric

from drystone.fleet.mapping.page.board import Board
from drystone.fleet.mapping.view import DiskState
from drystone.fleet.replica import LAST_EPOCH
from drystone.wire.exposition import expose, gauge, gauges

_STATES = ("protected", "degraded", "unreadable")


def render(term: int, board: Board | None) -> bytes:
    """The text. :param term: in which this mapper leads, else 0. :param board: None at one that does not lead."""
    own = [
        gauge("drystone_mapper_leads", "1 at the mapper that leads", 0 if board is None else 1),
        gauge("drystone_mapper_term", "Term of the mappers' lease in which this one leads, 0 when it does not", term),
    ]
    return expose([*own, *(_describe(board) if board is not None else ())])


def _describe(board: Board) -> Iterator[Metric]:
    yield gauge("drystone_fleet_map_version", "Version of the map", board.version)
    yield gauge("drystone_fleet_recovering", "1 while the map is being rebuilt from the disks", board.recovering)
    yield from _machines(board)
    yield from _hosts(board)
    yield from _drills(board)
    yield from _dangers(board)


def _machines(board: Board) -> Iterator[Metric]:
    alive = Counter("alive" if each.status.alive else "dead" for each in board.servers)
    disks = [disk for each in board.servers for disk in each.disks]
    health = Counter(each.state for each in disks)
    yield gauges(
        "drystone_fleet_servers",
        "Storage servers by state",
        ("state",),
        [((state,), alive[state]) for state in ("alive", "dead")],
    )
    yield gauges(
        "drystone_fleet_disks",
        "Disks by what can be expected of them",
        ("health",),
        [((state.value,), health[state.value]) for state in DiskState],
    )
    labels = ("server", "disk")
    known = [each for each in disks if each.capacity]
    yield gauges(
        "drystone_fleet_disk_free_bytes",
        "Free bytes of each disk",
        labels,
        [((each.server, each.disk), each.free) for each in known],
    )
    yield gauges(
        "drystone_fleet_disk_capacity_bytes",
        "Bytes of each disk",
        labels,
        [((each.server, each.disk), each.capacity) for each in known],
    )
    yield gauges(
        "drystone_fleet_server_silent_seconds",
        "Since a server was last heard of",
        ("server",),
        [((each.status.id,), each.status.silent) for each in board.servers],
    )


def _hosts(board: Board) -> Iterator[Metric]:
    hosts = [each.status for each in board.hosts]
    states = Counter(each.state for each in hosts)
    copies = Counter(copy.state for each in board.hosts for copy in each.copies)
    ages = [each.age for each in hosts if each.age is not None]
    yield gauges(
        "drystone_fleet_placements",
        "Hosts by state of their placement",
        ("state",),
        [((state,), states[state]) for state in _STATES],
    )
    yield gauges(
        "drystone_fleet_copies",
        "Copies of hosts by state",
        ("state",),
        [((state,), copies[state]) for state in ("in_sync", "comparing", "copying")],
    )
    yield gauge(
        "drystone_fleet_highest_epoch", "The highest epoch of any placement", max((x.epoch for x in hosts), default=0)
    )
    yield gauge("drystone_fleet_last_epoch", "The epoch after which a placement can come to no other", LAST_EPOCH)
    yield gauge("drystone_fleet_short_placements", "Placements that have few epochs left, or none", len(board.short))
    yield gauge("drystone_fleet_degraded_objects", "Objects of hosts that are not protected", board.degraded)
    yield gauges(
        "drystone_fleet_host_newest_timestamp_seconds",
        "When a host's newest object was stored",
        ("namespace", "host"),
        [((each.namespace, each.host), each.newest or None) for each in hosts],
    )
    yield gauges(
        "drystone_fleet_oldest_freshness_seconds",
        "The greatest age of a host's newest object; hosts without any are not counted",
        (),
        [((), max(ages, default=None))],
    )


def _drills(board: Board) -> Iterator[Metric]:
    hosts = [each.status for each in board.hosts]
    results = Counter(each.drill for each in hosts)
    yield gauges(
        "drystone_fleet_drills",
        "Hosts by the result of their last restore drill",
        ("result",),
        [((result,), results[result]) for result in ("passed", "failed", "never")],
    )
    yield gauges(
        "drystone_fleet_host_drill_timestamp_seconds",
        "When a host's last restore drill was made",
        ("namespace", "host", "result"),
        [((each.namespace, each.host, each.drill), each.drilled or None) for each in hosts],
    )


def _dangers(board: Board) -> Iterator[Metric]:
    yield gauge("drystone_fleet_forgotten_hosts", "Hosts that were forgotten and can be had back", len(board.forgotten))
    left = [each.left for each in board.jobs if each.left is not None]
    yield gauge("drystone_fleet_copies_under_way", "Copies that are being made", len(board.jobs))
    yield gauge("drystone_fleet_copy_bytes_left", "Bytes that copies under way lack", sum(left))
    yield gauges(
        "drystone_fleet_risk_hosts",
        "Hosts of which a server has the only good copy",
        ("server",),
        [((each.server,), len(each.hosts)) for each in board.risks],
    )
    yield gauges(
        "drystone_fleet_risk_bytes",
        "Their bytes",
        ("server",),
        [((each.server,), each.size) for each in board.risks],
    )
    yield gauge(
        "drystone_fleet_waiting_placements", "Placements that wait for a disk that was not read", len(board.waiting)
    )

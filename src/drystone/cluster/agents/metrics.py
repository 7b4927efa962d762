"""What agents tell Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily

from drystone.cluster.agents.answers import LegsSeen, MirrorSeen, Survey, VolumeSeen
from drystone.cluster.agents.meters import Layer
from drystone.kernel.dm.io_statistics import IoCounts
from drystone.wire.exposition import counters, gauge, gauges

_LABELS = ("dlv", "layer", "part")

_SUMS: tuple[tuple[str, str, Callable[[IoCounts], float]], ...] = (
    ("drystone_layer_reads", "Reads that were finished", lambda counts: counts.reads),
    ("drystone_layer_read_bytes", "Bytes read", lambda counts: counts.read_bytes),
    ("drystone_layer_read_seconds", "Seconds that reads took, summed up", lambda counts: counts.read_seconds),
    ("drystone_layer_writes", "Writes that were finished", lambda counts: counts.writes),
    ("drystone_layer_written_bytes", "Bytes written", lambda counts: counts.written_bytes),
    ("drystone_layer_write_seconds", "Seconds that writes took, summed up", lambda counts: counts.write_seconds),
)

Counts = Sequence[tuple[Layer, IoCounts]]


def describe_layers(counts: Counts, bounds: Sequence[float]) -> list[Metric]:
    """What each layer of each volume has counted, and how long requests took there."""
    metrics: list[Metric] = [
        counters(
            name, f"{text}, by each layer of each volume", _LABELS, [(layer, find(each)) for layer, each in counts]
        )
        for name, text, find in _SUMS
    ]
    in_flight = [(layer, each.in_flight) for layer, each in counts]
    metrics.append(gauges("drystone_layer_in_flight", "Requests under way, by each layer", _LABELS, in_flight))
    family = HistogramMetricFamily(
        "drystone_layer_latency_seconds", "Seconds that requests of both kinds took, by each layer", labels=_LABELS
    )
    for layer, each in counts:
        if len(each.slower) == len(bounds) + 1:
            names = [*(f"{bound:g}" for bound in bounds), "+Inf"]
            buckets = list(zip(names, map(float, accumulate(each.slower)), strict=True))
            family.add_metric(layer, buckets, each.read_seconds + each.write_seconds)
    metrics.append(family)
    return metrics


def describe_survey(survey: Survey, role: str) -> list[Metric]:
    """How an agent itself is. :param role: dpv or ihost."""
    return [
        gauge(f"drystone_{role}_dlvs", "Volumes that it was told of", len(survey.dlvs)),
        gauge(f"drystone_{role}_troubles", "Volumes that are not as they were wished", len(survey.troubles)),
        gauge(f"drystone_{role}_unknown", "What looks like the cluster's, and was never wished", len(survey.unknown)),
    ]


def describe_volumes(volumes: Mapping[str, VolumeSeen]) -> list[Metric]:
    """Mirrors and pools, by the names of their volumes."""
    mirrors = [((dlv, each.name.rpartition(":")[2]), each) for dlv, seen in volumes.items() for each in seen.mirrors]
    pools = [((dlv,), seen.pool) for dlv, seen in volumes.items() if seen.pool is not None]
    by_mirror, by_dlv = ("dlv", "mirror"), ("dlv",)
    return [
        gauges("drystone_mirror_regions", "Regions of each mirror", by_mirror,
               [(key, x.regions) for key, x in mirrors]),
        gauges("drystone_mirror_regions_in_sync", "Those of them that all its legs have alike", by_mirror,
               [(key, x.in_sync) for key, x in mirrors]),
        gauges("drystone_mirror_failed_legs", "Legs that the kernel has given up: writes are held until the mirror is"
               " swapped", by_mirror, [(key, _failed(x)) for key, x in mirrors]),
        gauges("drystone_pool_used_data_blocks", "Blocks of data in use", by_dlv,
               [(key, x.used_data) for key, x in pools]),
        gauges("drystone_pool_data_blocks", "Blocks of data there are", by_dlv,
               [(key, x.data_blocks) for key, x in pools]),
        gauges("drystone_pool_used_metadata_blocks", "Blocks of metadata in use, of 4096 bytes", by_dlv,
               [(key, x.used_metadata) for key, x in pools]),
        gauges("drystone_pool_metadata_blocks", "Blocks of metadata there are", by_dlv,
               [(key, x.metadata_blocks) for key, x in pools]),
    ]  # fmt: skip


def describe_legs(legs: Collection[LegsSeen]) -> list[Metric]:
    """The legs of a dpv."""
    seen: Iterable[tuple[tuple[str, ...], float]] = [
        ((each.leg,), len(each.logged_in)) for found in legs for each in found.legs
    ]
    return [gauges("drystone_leg_sessions", "Ihosts that are logged in to each leg", ("leg",), seen)]


def _failed(mirror: MirrorSeen) -> int:
    """Its legs that have failed. What stands in the place of a leg that was given up is none: it fails always."""
    return sum(letter != "A" and leg != "" for leg, letter in zip(mirror.legs, mirror.health, strict=False))

"""What Prometheus is told of a daemon: its volumes, pools, and what is under way, as they are when it asks."""

from __future__ import annotations

from collections import Counter

from prometheus_client.core import Metric

from drystone.volumes.abilities import PoolReport
from drystone.volumes.pool_care import list_pools
from drystone.volumes.service import VolumeService
from drystone.volumes.work import Work
from drystone.wire.exposition import expose, gauge, gauges

_STATES = ("ok", "low", "full", "needs-check", "failed")


def render_metrics(service: VolumeService, work: Work) -> bytes:
    """Prometheus text."""
    return expose([*_volumes(service), *_pools(list_pools(service)), *_operations(service, work)])


def _volumes(service: VolumeService) -> list[Metric]:
    volumes = service.catalogue.list_volumes()
    driver_of = {each.uuid: each.driver for each in volumes}
    count, mounted, size = Counter(dict.fromkeys(service.drivers, 0)), Counter[str](), Counter[str]()
    for each in volumes:
        count[each.driver] += 1
        mounted[each.driver] += bool(each.mount_point)
        size[each.driver] += each.size
    snapshots = Counter(driver_of.get(each.volume, "") for each in service.catalogue.list_snapshots())
    texts = {
        "count": ("Volumes.", count),
        "mounted": ("Volumes that are mounted.", mounted),
        "snapshots": ("Snapshots.", snapshots),
        "size_bytes": ("Sizes of the volumes, together.", size),
    }
    return [
        gauges(f"drystone_volumes_{name}", text, ("driver",), [((each,), values[each]) for each in count])
        for name, (text, values) in texts.items()
    ]


def _pools(pools: list[PoolReport]) -> list[Metric]:
    sizes = {
        "data_used_bytes": "Data that volumes and snapshots take.",
        "data_total_bytes": "Data of the pool.",
        "metadata_used_bytes": "Metadata that is in use.",
        "metadata_total_bytes": "Metadata of the pool.",
    }
    found = [
        gauges(
            f"drystone_volumes_pool_{name}",
            text,
            ("pool",),
            [((each.name,), getattr(each, name.removesuffix("_bytes")) if each.data_total else None) for each in pools],
        )
        for name, text in sizes.items()
    ]
    states = [((each.name, state), each.state == state) for each in pools for state in _STATES]
    return [*found, gauges("drystone_volumes_pool_state", "1 for the state that it is in.", ("pool", "state"), states)]


def _operations(service: VolumeService, work: Work) -> list[Metric]:
    actions = Counter(each.action for each in work.list())
    rows = [((action,), actions[action]) for action in ("backup", "restore")]
    return [
        gauge(
            "drystone_volumes_operations_left",
            "Operations whose undoing failed: drystone volume fsck.",
            len(service.list_left()),
        ),
        gauges("drystone_volumes_work", "Backups and restores under way.", ("action",), rows),
    ]

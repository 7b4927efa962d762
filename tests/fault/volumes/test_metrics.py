"""What Prometheus is told, over the simulated machine."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from drystone.volumes.metrics import render_metrics
from drystone.volumes.work import Work

from .world import BLOCK, World


def read(world: World, work: Work) -> dict[tuple[str, ...], float]:
    """Each number by its name and the values of its labels."""
    families = text_string_to_metric_families(render_metrics(world.service, work).decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_volumes_pools_and_work(tmp_path: Path) -> None:
    world, work = World(tmp_path), Work()
    world.start()
    empty = read(world, work)
    assert empty["drystone_volumes_count", "devicemapper"] == 0
    assert empty["drystone_volumes_pool_state", "convoy-pool", "ok"] == 1
    world.create("db")
    world.create("web", 2 << 20)
    world.service.mount("db")
    world.service.create_snapshot("db", "monday")
    with work.doing("backup", "db@monday"):
        found = read(world, work)
    driver, pool = "devicemapper", "convoy-pool"
    assert found["drystone_volumes_count", driver] == 2
    assert found["drystone_volumes_mounted", driver] == 1
    assert found["drystone_volumes_snapshots", driver] == 1
    assert found["drystone_volumes_size_bytes", driver] == 3 << 20
    assert found["drystone_volumes_pool_data_used_bytes", pool] == 2 * BLOCK
    assert found["drystone_volumes_pool_data_total_bytes", pool] == 16 << 20
    assert found["drystone_volumes_pool_metadata_total_bytes", pool] == 4 << 20
    assert found["drystone_volumes_work", "backup"] == 1
    assert found["drystone_volumes_work", "restore"] == 0
    assert found["drystone_volumes_operations_left",] == 0
    states = {key[2]: value for key, value in found.items() if key[0] == "drystone_volumes_pool_state"}
    assert states == {"ok": 1, "low": 0, "full": 0, "needs-check": 0, "failed": 0}

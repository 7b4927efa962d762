"""The units' commands of API and monitor, run as systemd runs them: they have one database, and meet in it.

Those of agents need a kernel: tests/kernel/cluster.
"""

from __future__ import annotations

from pathlib import Path

import httpx

from drystone.cluster.boot.install import describe
from drystone.testing.cluster.client import OPERATOR
from drystone.testing.fleet.processes import find_port, wait_until
from drystone.testing.service_manager import SECONDS, ServiceManager


def test_the_units_commands_run_tell_that_they_live_and_end_in_order(tmp_path: Path) -> None:
    listen, nobody, metrics = (f"127.0.0.1:{find_port()}" for _ in range(3))
    database = f'database = "sqlite:///{tmp_path}/cluster.db"\n'
    tokens = f'[alice]\ntoken = "{OPERATOR}"\n'
    api = ServiceManager(
        tmp_path, describe("api"), {"configuration": f'{database}listen = "{listen}"\n', "tokens": tokens}
    )
    rounds = f'{database}pause = 0.1\npatience = 2\nmetrics = "{metrics}"\n'
    monitor = ServiceManager(tmp_path, describe("monitor"), {"configuration": rounds})
    headers = {"authorization": f"Bearer {OPERATOR}"}
    with (
        httpx.Client(base_url=f"http://{listen}/v1", headers=headers, timeout=SECONDS, trust_env=False) as client,
        api.running() as first,
        monitor.running() as second,
    ):
        for each in (api, monitor):
            each.hear("READY=1")
            each.hear("WATCHDOG=1")
        wanted = {"name": "d1", "address": nobody, "portal": nobody, "size": 1 << 30}
        assert client.post("/dpvs", json=wanted).status_code == 201
        assert client.post("/dpvs/d1/available", json={}).status_code == 200

        def is_missed() -> bool:
            return bool(client.get("/dpvs/d1").json()["status"] == "unavailable")

        wait_until("the monitor has found that nobody answers there", is_missed)
        told = httpx.get(f"http://{metrics}/metrics", timeout=SECONDS, trust_env=False).text
        assert 'drystone_monitor_calls_total{call="survey",result="unavailable"}' in told
        assert f'drystone_monitor_look_age_seconds{{address="{nobody}"}}' in told
        assert 'drystone_monitor_rounds_total{result="done"}' in told
        for process in (second, first):
            process.terminate()
            assert process.wait(SECONDS) == 0

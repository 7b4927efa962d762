"""The units' commands, run as systemd runs them: with credentials, readiness and a watchdog, until SIGTERM."""

from __future__ import annotations

from pathlib import Path

import httpx

from drystone.fleet.boot.install import SECRET, Role, describe
from drystone.testing.fleet.processes import find_port, wait_until
from drystone.testing.service_manager import SECONDS, ServiceManager


def manage(folder: Path, role: Role, settings: str) -> ServiceManager:
    files = {"configuration": settings, "secret": "s" * 32 + "\n"}
    return ServiceManager(folder, describe(role), files, {"secret": SECRET})


def test_the_units_commands_run_tell_that_they_live_and_end_in_order(tmp_path: Path) -> None:
    ports = {"mapper": find_port(), "storage": find_port()}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    (tmp_path / "disks" / "data_1").mkdir(parents=True)
    mapper = manage(
        tmp_path,
        "mapper",
        f'listen = "127.0.0.1:{ports["mapper"]}"\ndatabase = "sqlite:///{tmp_path}/map.db"\nservers = ["s1"]\n',
    )
    storage = manage(
        tmp_path,
        "storage",
        f'id = "s1"\nlisten = "127.0.0.1:{ports["storage"]}"\nmappers = ["{urls["mapper"]}"]\n'
        f'root = "{tmp_path}/disks"\nstate = "{tmp_path}/state"\n',
    )
    with mapper.running() as first, storage.running() as second:
        for each in (mapper, storage):
            each.hear("READY=1")
            each.hear("WATCHDOG=1")
        assert httpx.get(f"{urls['mapper']}/health", trust_env=False).json()["leads"] is True
        spare = {"primary": "spare", "secondary": "spare"}

        def has_its_disk() -> bool:
            answer = httpx.get(f"{urls['storage']}/api?action=get_config", timeout=SECONDS, trust_env=False)
            return answer.status_code == 200 and answer.json() == {"data_1": spare}

        wait_until("the storage server has its disk", has_its_disk)
        for process in (second, first):
            process.terminate()
            assert process.wait(SECONDS) == 0

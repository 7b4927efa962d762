"""Monitors as processes over real databases and connections, killed at calls of agents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from drystone.cluster.model.calls import LegsWish, VolumeWish
from drystone.cluster.model.extents import EXTENT
from drystone.testing import postgresql
from drystone.testing.cluster.agents import NotingAgent, serving
from drystone.testing.cluster.client import GIB
from drystone.testing.cluster.processes import ApiProcess, MonitorProcess
from drystone.testing.postgresql import PostgreSql

_SECONDS = 60.0


class Cluster:
    """An API, two monitors, two dpvs and an ihost."""

    def __init__(self, stack: ExitStack, folder: Path, url: str) -> None:
        self.dpvs = {name: NotingAgent(LegsWish) for name in ("d1", "d2")}
        self.ihost = NotingAgent(VolumeWish)
        agents: list[NotingAgent[Any]] = [*self.dpvs.values(), self.ihost]
        addresses = stack.enter_context(serving(*agents))
        self.api = stack.enter_context(ApiProcess(folder, url))
        for name, address in zip(self.dpvs, addresses[:-1], strict=True):
            wanted = {"name": name, "address": address, "portal": "127.0.0.1:3260", "size": 100 * GIB}
            self.api.must("POST", "/dpvs", wanted)
        self.api.must("POST", "/dvgs", {"name": "fast", "dpvs": [*self.dpvs]})
        wanted = {"name": "h1", "address": addresses[-1], "initiator": "iqn.2026-11.org.example:h1"}
        self.api.must("POST", "/ihosts", wanted)
        self.monitors = [stack.enter_context(MonitorProcess(name, url)) for name in ("m1", "m2")]
        self.calls = 0
        for agent in agents:
            agent.before_answer = self._kill

    def _kill(self) -> None:
        """At every fourth call, before its answer, a monitor dies: now the one, now the other.

        What one of them remembers is lost then: to attach takes it three calls, one after the other.
        """
        self.calls += 1
        if self.calls % 4 == 1:
            victim = self.monitors[self.calls // 4 % 2]
            victim.kill()
            victim.start()

    def wait(self, is_so: Callable[[], bool], what: str) -> None:
        """Ask until it is so."""
        until = time.monotonic() + _SECONDS
        while not is_so():
            assert time.monotonic() < until, f"{what}: {self.api.send('GET', '/dlvs/db').text}"
            time.sleep(0.05)

    def wait_for(self, status: str) -> Any:
        """Until the dlv is in a status; the dlv."""
        self.wait(lambda: bool(self.api.must("GET", "/dlvs/db")["status"] == status), status)
        return self.api.must("GET", "/dlvs/db")


@pytest.fixture(params=["sqlite", "postgresql"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/cluster.db"
        if request.param == "postgresql":
            if why := postgresql.why_absent():
                pytest.skip(why)
            url = stack.enter_context(PostgreSql()).make_database()
        yield Cluster(stack, tmp_path, url)


def test_a_life_with_monitors_that_are_killed_again_and_again(cluster: Cluster) -> None:
    api = cluster.api
    cluster.wait(
        lambda: all(api.must("GET", f"/dpvs/{name}")["status"] == "available" for name in cluster.dpvs), "dpvs"
    )
    api.must("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": EXTENT})
    dlv = cluster.wait_for("detached")
    cluster.wait(lambda: bool(api.must("GET", "/ihosts/h1")["status"] == "available"), "the ihost")
    api.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    attached = cluster.wait_for("attached")
    assert all(leg["in_sync"] for leg in attached["legs"])
    assert {each.leg for each in cluster.ihost.wishes[dlv["id"]].disks} == {leg["id"] for leg in dlv["legs"]}
    api.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    cluster.wait(lambda: bool(api.must("GET", "/dlvs/db/snapshots/monday")["status"] == "available"), "snapshot")
    assert cluster.ihost.wishes[dlv["id"]].state.devices
    api.must("DELETE", "/dlvs/db/attachment")
    cluster.wait_for("detached")
    assert cluster.ihost.wishes[dlv["id"]].disks == ()
    api.must("DELETE", "/dlvs/db")
    cluster.wait(lambda: api.send("GET", "/dlvs/db").status_code == 404, "deleted")
    assert {agent.wishes[dlv["id"]].exports for agent in cluster.dpvs.values()} == {()}
    assert cluster.calls > 8
    assert [monitor.stop() for monitor in cluster.monitors] == [0, 0]

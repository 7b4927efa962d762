"""What an ihost's agent tells of all that is there: what no call has named is told of, and left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.kernel.dm.number import DeviceNumber
from drystone.testing.cluster.bench import IhostHost

from .test_ihost import MIRRORS, attached, make_ihost, withdrawn


@pytest.fixture
def host(tmp_path: Path) -> IhostHost:
    return make_ihost(tmp_path)


def test_what_it_does_not_know_it_reports_and_leaves_alone(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    host.dm.create("lost", "DRYSTONE-CLUSTER-lost-volume")
    host.dm.create("home", "LVM-1")
    host.logs.make("another-dlv_g0.s0_1", bytes(4096))
    host.agent.put(withdrawn(wish))
    host.agent.recover()
    assert host.agent.survey().unknown == ("device lost", "log another-dlv_g0.s0_1")
    assert {entry.name for entry in host.dm.list_devices()} == {"lost", "home"}


def test_what_a_call_is_making_is_not_unknown(host: IhostHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log is made before it is noted which mirror has it."""
    make, found = host.logs.make, []

    def make_and_look(name: str, content: bytes) -> DeviceNumber:
        number = make(name, content)
        found.append(host.agent.survey().unknown)
        return number

    monkeypatch.setattr(host.logs, "make", make_and_look)
    host.agent.put(attached()[1])
    assert found == [()] * len(MIRRORS)

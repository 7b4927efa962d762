"""Restores at an ihost's agent: wishes that cannot be, and what the door leads to."""

from __future__ import annotations

import threading

import pytest

from drystone.base.errors import MismatchError, NotFoundError, UnavailableError, UsageError
from drystone.cluster.agents.client import AgentClient
from drystone.cluster.agents.devices import PREFIX, Devices
from drystone.cluster.agents.repositories import Repositories
from drystone.cluster.agents.restores import Restores
from drystone.cluster.model.backup import BackupSeen, RestoreWish
from drystone.cluster.model.calls import VolumeWish
from drystone.dvm.state import Device, Line, State
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.cluster.agents import NotingAgent, serving

ID, DLV = "7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11", "01234567-89ab-cdef-0123-456789abcdef"
GOOD = {"id": ID, "dlv": DLV, "name": "new", "repository": "nightly", "volume": ID, "backup": ID}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "../../etc"},
        {"dlv": "x-pool"},
        {"name": "new:pool"},
        {"repository": "s3://bucket"},
        {"volume": "../other"},
        {"backup": ""},
    ],
)
def test_a_wish_that_cannot_be_changes_nothing(wrong: dict[str, str]) -> None:
    restores = Restores(Devices(SimulatedDeviceMapper()), Repositories({}), lambda _: True)
    with pytest.raises(UsageError):
        restores.put(RestoreWish(**{**GOOD, **wrong}))


def test_what_is_not_here_is_not_filled_and_is_no_failure() -> None:
    restores = Restores(Devices(SimulatedDeviceMapper()), Repositories({}), lambda _: True)
    with pytest.raises(UnavailableError, match="is not here"):
        restores.put(RestoreWish(**GOOD))
    restores.leave(DLV)


class Volume:
    """The thin device of a dlv, and a repository that nobody gets to. :ivar notes: what each look at the note says."""

    def __init__(self, notes: list[bool]) -> None:
        devices = Devices(SimulatedDeviceMapper())
        table = (Line(0, 2048, "error", ""),)
        devices.bring(State(()), State((Device("drystone-dlv-new:thin0", f"{PREFIX}{DLV}-thin0", table),)))
        self.notes = notes
        self.restores = Restores(devices, Repositories({}), lambda dlv: dlv == DLV and self.notes.pop(0))

    def put(self) -> BackupSeen:
        seen = self.restores.put(RestoreWish(**GOOD))
        for thread in threading.enumerate():
            if thread.name == f"restore-{ID}":
                thread.join(30)
        return seen


def test_what_users_have_is_not_filled_by_a_call_that_comes_late() -> None:
    volume = Volume([False])
    with pytest.raises(UnavailableError, match="to be filled"):
        volume.put()


def test_what_is_taken_down_by_the_time_that_its_restore_begins_is_not_filled_and_that_is_no_failure() -> None:
    volume = Volume([True, False, True, True])
    assert volume.put().status == "running"
    volume.put()
    assert volume.notes == [], "it was begun anew"
    assert volume.put().status == "failed", "as there is no such repository"


class Noting:
    """What the door leads to."""

    def __init__(self) -> None:
        self.wishes: list[RestoreWish] = []
        self.answers_about = ID

    def put(self, wish: RestoreWish) -> BackupSeen:
        self.wishes.append(wish)
        return BackupSeen(self.answers_about, "running", "", 1, 2)


def test_a_monitor_has_dlvs_filled_through_the_door() -> None:
    noting = Noting()
    with serving(NotingAgent(VolumeWish), restores=noting) as (address,):
        client = AgentClient(address)
        wish = RestoreWish(**GOOD)
        assert client.restore(wish) == BackupSeen(ID, "running", "", 1, 2)
        assert noting.wishes == [wish]
        noting.answers_about = DLV
        with pytest.raises(MismatchError):
            client.restore(wish)


def test_a_dpv_fills_nothing() -> None:
    with serving(NotingAgent(VolumeWish)) as (address,), pytest.raises(NotFoundError, match="no route"):
        AgentClient(address).restore(RestoreWish(**GOOD))

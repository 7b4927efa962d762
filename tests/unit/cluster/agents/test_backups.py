"""Backups at an ihost's agent: wishes that cannot be, and what the door leads to."""

from __future__ import annotations

import pytest

from drystone.base.errors import MismatchError, NotFoundError, UsageError
from drystone.cluster.agents.backups import Backups, check_wish, is_of_backup
from drystone.cluster.agents.client import AgentClient
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.repositories import Repositories
from drystone.cluster.model.backup import BackupSeen, BackupWish
from drystone.cluster.model.calls import VolumeWish
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.cluster.agents import NotingAgent, serving

ID, DLV = "7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11", "01234567-89ab-cdef-0123-456789abcdef"
GOOD = {
    "id": ID, "dlv": DLV, "name": "db", "snapshot": f"backup-{ID}", "thin_id": 1, "size": 1 << 20,
    "repository": "nightly",
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "../../etc"},
        {"id": ""},
        {"dlv": "x-pool"},
        {"name": "db:pool"},
        {"name": "../db"},
        {"snapshot": "a/b"},
        {"repository": "s3://bucket"},
        {"thin_id": 0},
        {"thin_id": 1 << 24},
        {"thin_id": -1},
        {"size": 0},
        {"size": 513},
    ],
)
def test_a_wish_that_cannot_be_changes_nothing(wrong: dict[str, object]) -> None:
    dm = SimulatedDeviceMapper()
    backups = Backups(Devices(dm), Repositories({}))
    check_wish(BackupWish(**GOOD))  # type: ignore[arg-type]
    wish = BackupWish(**{**GOOD, **wrong})  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        backups.put(wish)
    with pytest.raises(NotFoundError):
        backups.stop(wish.id)
    assert dm.list_devices() == []


def test_devices_of_backups_are_known_by_their_uuids() -> None:
    assert is_of_backup(f"DRYSTONE-CLUSTER-{DLV}-backup")
    assert not is_of_backup(f"DRYSTONE-CLUSTER-{DLV}-pool")
    assert not is_of_backup(f"LVM-{DLV}-backup")


class Noting:
    """What the door leads to."""

    def __init__(self) -> None:
        self.wishes: list[BackupWish] = []
        self.answers_about = ID

    def put(self, wish: BackupWish) -> BackupSeen:
        self.wishes.append(wish)
        return BackupSeen(self.answers_about, "running", "", 1, 2)

    def stop(self, backup: str) -> None:
        raise NotFoundError(f"there is no backup {backup} here")


def test_a_monitor_has_backups_made_through_the_door() -> None:
    noting = Noting()
    with serving(NotingAgent(VolumeWish), backups=noting) as (address,):
        client = AgentClient(address)
        wish = BackupWish(**GOOD)  # type: ignore[arg-type]
        assert client.back_up(wish) == BackupSeen(ID, "running", "", 1, 2)
        assert noting.wishes == [wish]
        with pytest.raises(NotFoundError, match="no backup"):
            client.stop_backup(ID)
        noting.answers_about = DLV
        with pytest.raises(MismatchError):
            client.back_up(wish)


def test_a_dpv_makes_no_backups() -> None:
    with serving(NotingAgent(VolumeWish)) as (address,), pytest.raises(NotFoundError, match="no route"):
        AgentClient(address).back_up(BackupWish(**GOOD))  # type: ignore[arg-type]

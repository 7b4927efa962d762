"""Which legs are given up, and how long each is waited for: no write fails that could have waited."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, UnavailableError
from drystone.cluster.agents.timeouts import LONE_SECONDS, MIRRORED
from drystone.cluster.agents.watch import Watcher
from drystone.cluster.model.calls import VolumeWish, target_name
from drystone.dvm.state import State
from drystone.testing.cluster.bench import DLV

from .test_ihost import LEGS, MIRRORS, NAME
from .test_watch import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def cut(scene: Scene, leg: str, *, healed: bool = False) -> None:
    """Its disk waits for a connection."""
    scene.host.hosts["ab".index(leg[-1])].lio.enable_target(target_name(leg), enabled=healed)


class CuttingRecord:
    """A record in whose answer's time leg-1a loses its connection."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def shrink(self, wish: VolumeWish, lost: Collection[str]) -> VolumeWish:
        cut(self._scene, "leg-1a")
        return self._scene.record.shrink(wish, lost)

    def grow(self, wish: VolumeWish, copied: Collection[str]) -> VolumeWish:
        return self._scene.record.grow(wish, copied)


def patience(scene: Scene) -> dict[str, int]:
    """The replacement timeout of each leg's session."""
    found = {each.target: each.replacement for each in scene.host.initiator.sessions()}
    return {leg: found[target_name(leg)] for leg in LEGS if target_name(leg) in found}


def test_a_leg_is_kept_while_the_other_one_waits_for_its_connection(scene: Scene) -> None:
    """The link of the whole host is cut: who gave up the first leg would have its writes fail at the second."""
    before = scene.host.tables()
    cut(scene, "leg-1a")
    scene.fail("leg-1b")
    with pytest.raises(UnavailableError):
        scene.host.agent.find_lost(DLV)
    scene.watcher.look()
    assert (scene.record.asked, scene.host.tables()) == ([], before)
    cut(scene, "leg-1a", healed=True)
    scene.watcher.look()
    scene.watcher.look()
    assert scene.record.asked == [(2, ("leg-1b",))]
    assert "handle_errors" not in scene.host.tables()[MIRRORS[1]]


def test_of_legs_that_have_all_failed_one_is_kept_once_it_is_at_work(scene: Scene) -> None:
    for leg in ("leg-1a", "leg-1b"):
        scene.fail(leg)
        cut(scene, leg)
    scene.fail("leg-0b")
    scene.watcher.look()
    assert scene.record.asked == [(2, ("leg-0b",))], "the other mirror is not kept waiting"
    scene.record.asked.clear()
    cut(scene, "leg-1b", healed=True)
    for _ in range(4):
        scene.watcher.look()
    assert scene.record.asked == [(3, ("leg-1a",))]
    assert [leg.id for leg in scene.record.dlv.legs if leg.in_sync] == ["leg-0a", "leg-1b"]
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()


def test_a_leg_that_nothing_stands_beside_is_waited_for_long(scene: Scene) -> None:
    assert patience(scene) == dict.fromkeys(LEGS, MIRRORED.replacement)
    scene.fail("leg-1b")
    scene.watcher.look()
    assert patience(scene)["leg-1a"] == LONE_SECONDS
    scene.watcher.finish()
    assert patience(scene) == {
        "leg-0a": MIRRORED.replacement, "leg-0b": MIRRORED.replacement, "leg-1a": LONE_SECONDS,
    }  # fmt: skip
    scene.host.dm.letters.clear()
    scene.host.agent.put(scene.record.readmit("leg-1b"))
    assert patience(scene) == dict.fromkeys(LEGS, MIRRORED.replacement)


def test_a_mirror_is_not_left_to_a_leg_that_has_just_lost_its_connection(scene: Scene) -> None:
    """It was at work when it was looked at, and is not when the smaller set is recorded."""
    watcher = Watcher(scene.host.agent, scene.host.devices, CuttingRecord(scene))
    scene.fail("leg-1b")
    before = scene.host.tables()
    watcher.look()
    assert [leg.id for leg in scene.record.dlv.legs if not leg.in_sync] == ["leg-1b"]
    watcher.finish()
    watcher.look()
    assert scene.host.tables() == before
    cut(scene, "leg-1a", healed=True)
    watcher.finish()
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()


def test_a_leg_that_fails_while_the_volume_is_detached_is_given_up(scene: Scene) -> None:
    """What is above a mirror writes as it goes; the wish names no leg any more."""
    scene.host.dm.open(NAME, exclusive=True)
    wish = replace(scene.record.answer(), epoch=3, disks=(), logs=(), state=State())
    scene.record.dlv = replace(scene.record.dlv, epoch=3)
    with pytest.raises(BusyError):
        scene.host.agent.put(wish)
    scene.fail("leg-1b")
    scene.watcher.look()
    assert scene.record.asked == [(3, ("leg-1b",))]
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()
    scene.host.dm.close(NAME, exclusive=True)
    scene.watcher.finish()
    scene.host.agent.put(replace(wish, epoch=5, set_epoch=4))
    assert scene.host.tables() == {}


def test_nothing_is_given_up_of_an_attachment_that_is_void(scene: Scene) -> None:
    scene.host.dm.open(NAME, exclusive=True)
    with pytest.raises(BusyError):
        scene.host.agent.put(replace(scene.record.answer(), epoch=3, attachment=3, disks=(), logs=(), state=State()))
    scene.fail("leg-1b")
    scene.watcher.look()
    assert scene.record.asked == []


def test_a_mirror_whose_only_source_has_failed_goes_on_once_that_is_at_work(scene: Scene) -> None:
    """It is copied from, and cannot leave its set: what it is copied to is given up, so that the table is swapped."""
    scene.fail("leg-1b")
    scene.watcher.look()
    scene.watcher.finish()
    scene.host.dm.letters.clear()
    scene.host.dm.unsynced.add(MIRRORS[1])
    scene.host.agent.put(scene.record.readmit("leg-1b"))
    scene.fail("leg-1a")
    cut(scene, "leg-1a")
    before = scene.host.tables()[MIRRORS[1]]
    scene.watcher.look()
    assert scene.host.tables()[MIRRORS[1]] == before, "its writes would fail"
    cut(scene, "leg-1a", healed=True)
    scene.watcher.finish()
    assert [leg.id for leg in scene.record.dlv.legs if leg.in_sync] == ["leg-0a", "leg-0b", "leg-1a"]
    assert "handle_errors" not in scene.host.tables()[MIRRORS[1]]

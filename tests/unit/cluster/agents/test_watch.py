"""The watcher: record first, swap second; writes are held until both are done, and for good when they cannot be."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, DrystoneError, RefusedError, UnavailableError
from drystone.cluster.agents.watch import Watcher
from drystone.cluster.model.calls import VolumeWish, target_name
from drystone.cluster.model.dlv import Dlv, Group, Leg
from drystone.cluster.model.in_sync import Bits, Change, attach, begin, extend, grow, readmit, shrink
from drystone.testing.cluster.bench import DLV, IhostHost, make_dlv, wish_of
from drystone.testing.cluster.kernels import CHANGES

from .test_ihost import LEGS, MIRRORS, NAME, attached, make_ihost


class FakeRecord:
    """The API's side, by the model. :ivar told: what the kernel had been told when it was asked.

    :ivar trouble: is raised instead of an answer.
    """

    def __init__(self, host: IhostHost, dlv: Dlv) -> None:
        self.dlv = dlv
        self.trouble: DrystoneError | None = None
        self.bits: Bits = "kept"
        self.asked: list[tuple[int, tuple[str, ...]]] = []
        self.told: list[list[str]] = []
        self.copied: list[tuple[int, tuple[str, ...]]] = []
        self._host = host
        self._assemblies = {each.mirror: each for each in attach(make_dlv(), "ihost", LEGS).assemblies}

    def shrink(self, wish: VolumeWish, lost: Collection[str]) -> VolumeWish:
        self.asked.append((wish.epoch, tuple(lost)))
        self.told.append([call.operation for call in self._host.calls if call.operation in CHANGES])
        if self.trouble is not None:
            raise self.trouble
        if wish.epoch == self.dlv.epoch:
            change = shrink(self.dlv, "ihost", wish.epoch, lost)
            self.dlv = change.dlv
            self._assemblies |= {each.mirror: each for each in change.assemblies}
        return self.answer()

    def grow(self, wish: VolumeWish, copied: Collection[str]) -> VolumeWish:
        self.copied.append((wish.epoch, tuple(copied)))
        self.dlv = grow(self.dlv, "ihost", wish.epoch, copied).dlv
        return self.answer()

    def readmit(self, leg: str) -> VolumeWish:
        return self.take(readmit(self.dlv, "ihost", self.dlv.epoch, leg, noted=True))

    def take(self, change: Change) -> VolumeWish:
        self.dlv = change.dlv
        self._assemblies |= {each.mirror: each for each in change.assemblies}
        return self.answer()

    def answer(self) -> VolumeWish:
        return wish_of(self.dlv, [replace(each, bits=self.bits) for each in self._assemblies.values()])


class Scene:
    """An attached volume, its watcher, and a record."""

    def __init__(self, folder: Path) -> None:
        self.host = make_ihost(folder)
        dlv, wish = attached()
        self.host.agent.put(wish)
        self.record = FakeRecord(self.host, dlv)
        self.watcher = Watcher(self.host.agent, self.host.devices, self.record)
        self.watcher.look()
        self.host.calls.clear()

    def fail(self, leg: str, letter: str = "D") -> None:
        self.host.dm.fail(self.host.legs()[target_name(leg)], letter)

    def changes(self) -> list[str]:
        """What the kernel was told to change."""
        return [call.operation for call in self.host.calls if call.operation in CHANGES]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_it_asks_for_nothing_while_nothing_fails(scene: Scene) -> None:
    scene.watcher.look()
    assert scene.record.asked == []


def test_what_may_wait_is_done_after_the_swap(scene: Scene) -> None:
    scene.fail("leg-1b")
    scene.watcher.look()
    assert target_name("leg-1b") in scene.host.legs()
    scene.host.initiator.refusing = True
    scene.watcher.finish()
    assert target_name("leg-1b") in scene.host.legs()
    scene.host.initiator.refusing = False
    scene.watcher.finish()
    assert target_name("leg-1b") not in scene.host.legs()
    scene.host.calls.clear()
    scene.watcher.finish()
    assert scene.host.calls == []


def test_a_log_that_begins_with_the_swap_is_made_before_it_and_once(scene: Scene) -> None:
    """Of three copies two go on: the log that they had calls regions copied to fewer, which is not so for these two."""
    before = scene.host.logs.names()
    scene.record.bits = "clean"
    scene.fail("leg-1b")
    scene.watcher.look()
    (fresh,) = set(scene.host.logs.names()) - set(before)
    number = scene.host.logs.numbers[fresh]
    assert f" {number} " in scene.host.tables()[MIRRORS[1]]
    assert scene.host.logs.contents[fresh][1024]
    table = scene.host.tables()[MIRRORS[1]]
    scene.watcher.finish()
    assert scene.host.tables()[MIRRORS[1]] == table
    assert scene.host.logs.numbers[fresh] == number
    assert scene.host.logs.names() == sorted([before[0], fresh])


@pytest.mark.parametrize("letter", ["D", "F", "S"])
def test_the_smaller_set_is_recorded_before_anything_is_changed(scene: Scene, letter: str) -> None:
    scene.fail("leg-1b", letter)
    scene.watcher.look()
    assert scene.record.asked == [(2, ("leg-1b",))]
    assert scene.record.told == [[]]
    assert "suspend" in scene.changes()
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()
    assert "handle_errors" not in scene.host.tables()[MIRRORS[1]]
    assert scene.host.agent.look(DLV).epoch == 3
    scene.watcher.look()
    assert len(scene.record.asked) == 1


def test_a_failed_read_holds_nothing_and_swaps_nothing(scene: Scene) -> None:
    scene.fail("leg-1b", "R")
    scene.watcher.look()
    assert scene.record.asked == []
    assert scene.changes() == []


@pytest.mark.parametrize("trouble", [UnavailableError("no API"), RefusedError("no leg would be left")])
def test_while_it_is_not_recorded_writes_stay_held(scene: Scene, trouble: DrystoneError) -> None:
    before = scene.host.tables()
    scene.record.trouble = trouble
    scene.fail("leg-1b")
    for _ in range(40):
        scene.watcher.look()
    assert scene.changes() == []
    assert scene.host.tables() == before
    assert 4 < len(scene.record.asked) < 12
    scene.record.trouble = None
    for _ in range(16):
        scene.watcher.look()
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()


def test_every_mirror_whose_leg_is_gone_is_swapped_with_the_one_that_tells(scene: Scene) -> None:
    scene.fail("leg-1b")
    scene.host.hosts[1].lio.enable_target(target_name("leg-0b"), enabled=False)
    scene.host.initiator.offline.add(target_name("leg-0b"))
    scene.watcher.look()
    assert scene.record.asked == [(2, ("leg-0b", "leg-1b"))]
    assert {f"{name}.gone" for name in MIRRORS} <= {*scene.host.tables()}


def test_a_leg_that_was_copied_is_recorded(scene: Scene) -> None:
    scene.fail("leg-1b")
    scene.watcher.look()
    scene.host.dm.letters.clear()
    scene.watcher.look()
    assert scene.record.copied == [(2, (*sorted(LEGS),)), (3, ("leg-0a", "leg-0b", "leg-1a"))]
    scene.watcher.finish()
    wish = scene.record.readmit("leg-1b")
    scene.host.dm.unsynced.add(MIRRORS[1])
    scene.host.agent.put(wish)
    scene.watcher.look()
    assert [leg.id for leg in scene.record.dlv.legs if not leg.in_sync] == ["leg-1b"]
    scene.host.dm.finish(MIRRORS[1])
    scene.watcher.look()
    assert scene.record.copied[2:] == [(4, ("leg-0a", "leg-0b")), (4, (*sorted(LEGS),))]
    assert all(leg.in_sync for leg in scene.record.dlv.legs)
    assert scene.host.agent.look(DLV).epoch == scene.record.dlv.epoch == 5
    for _ in range(3):
        scene.watcher.look()
    assert len(scene.record.copied) == 4


def test_a_leg_is_not_copied_while_its_mirror_has_another_table(scene: Scene) -> None:
    """The wish to copy to it was taken, and not carried out: the mirror of one leg alone is in sync with itself."""
    scene.fail("leg-1b")
    scene.watcher.look()
    scene.watcher.finish()
    scene.host.dm.letters.clear()
    wish = scene.record.readmit("leg-1b")
    scene.host.initiator.refusing = True
    with pytest.raises(UnavailableError):
        scene.host.agent.put(wish)
    assert scene.host.agent.find_copied(DLV)[1] == ("leg-0a", "leg-0b")


def test_a_leg_is_not_copied_when_its_mirror_gets_its_table_meanwhile(scene: Scene) -> None:
    """The status is of the mirror of one leg alone, the table is the one that copies to the other already."""
    scene.fail("leg-1b")
    scene.watcher.look()
    scene.watcher.finish()
    scene.host.dm.letters.clear()
    wish = scene.record.readmit("leg-1b")
    scene.host.initiator.refusing = True
    with pytest.raises(UnavailableError):
        scene.host.agent.put(wish)
    scene.host.initiator.refusing = False
    tried: list[str] = []

    def swap(name: str) -> None:
        if name == MIRRORS[1] and not tried:
            tried.append(name)
            with contextlib.suppress(BusyError):
                scene.host.agent.put(wish, patience=0)

    scene.host.dm.after_status = swap
    assert scene.host.agent.find_copied(DLV)[1] == ("leg-0a", "leg-0b")
    assert tried


def test_mirrors_that_can_go_on_do_so(scene: Scene) -> None:
    """The one has lost the only leg of its set, which has no connection; of the other one leg has failed."""
    scene.fail("leg-0b")
    scene.watcher.look()
    scene.watcher.finish()
    scene.host.dm.letters.clear()
    scene.host.dm.unsynced.add(MIRRORS[0])
    scene.host.agent.put(scene.record.readmit("leg-0b"))
    before = scene.host.tables()
    scene.record.asked.clear()
    for leg in ("leg-0a", "leg-1b"):
        scene.fail(leg)
    scene.host.hosts[0].lio.enable_target(target_name("leg-0a"), enabled=False)
    scene.watcher.look()
    assert [legs for _, legs in scene.record.asked] == [("leg-0a", "leg-1b"), ("leg-0a",), ("leg-0b",), ("leg-1b",)]
    assert scene.host.tables()[MIRRORS[0]] == before[MIRRORS[0]]
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()


def test_a_new_group_that_cannot_be_reached_holds_nothing_up(scene: Scene) -> None:
    """Its mirrors were never put together, so that its legs are not lost."""
    group = Group(number=2, role="data", stripes=1, extents=2)
    legs = [Leg(id=f"leg-2{'ab'[at]}", group=2, stripe=0, place=at, dpv=f"dpv{at}", extents=2) for at in range(2)]
    extended = extend(scene.record.dlv, group, legs).dlv
    wish = scene.record.take(begin(extended, "ihost", extended.epoch, {leg.id for leg in extended.legs}))
    with pytest.raises(UnavailableError):
        scene.host.agent.put(wish)
    scene.fail("leg-1b")
    scene.watcher.look()
    assert scene.record.asked == [(wish.epoch, ("leg-1b",))]
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()
    assert "handle_errors" not in scene.host.tables()[MIRRORS[1]]


def test_after_a_restart_it_sees_what_failed_before(scene: Scene) -> None:
    scene.fail("leg-0b")
    scene.host.restart()
    Watcher(scene.host.agent, scene.host.devices, scene.record).look()
    assert scene.record.asked == [(2, ("leg-0b",))]


def test_an_answer_that_was_lost_is_asked_for_again(scene: Scene) -> None:
    """It was recorded, and the answer did not come: what is recorded by now is the answer to the next question."""
    scene.fail("leg-1b")
    wish, lost = scene.host.agent.find_lost(DLV)
    scene.record.shrink(wish, lost)
    scene.watcher.look()
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()


def test_a_killed_agent_carries_on_with_what_is_recorded(tmp_path: Path) -> None:
    at = 0
    was_killed = True
    while was_killed:
        at += 1
        scene = Scene(tmp_path / str(at))
        scene.fail("leg-1b")
        was_killed = scene.host.crash(scene.watcher.look, at)
        scene.host.agent.recover()
        watcher = Watcher(scene.host.agent, scene.host.devices, scene.record)
        for _ in range(4):
            watcher.look()
        assert f"{MIRRORS[1]}.gone" in scene.host.tables()
        assert scene.host.agent.look(DLV).epoch == scene.record.dlv.epoch == 3
        assert scene.host.agent.survey().troubles == {}
    assert at > 5


def test_a_swap_does_not_wait_for_a_call_that_hangs(scene: Scene) -> None:
    """A call that suspends what is above waits for the writes that a mirror holds. The way out is the swap."""
    inside, out = threading.Event(), threading.Event()
    errors: list[DrystoneError] = []
    _, wish = attached()

    def hang(_: int) -> None:
        inside.set()
        assert out.wait(30)

    def call() -> None:
        try:
            scene.host.agent.put(wish)
        except DrystoneError as error:
            errors.append(error)

    scene.host.before_node = hang
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert inside.wait(30)
    scene.fail("leg-1b")
    scene.watcher.look()
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()
    out.set()
    thread.join(30)
    assert not errors or "went on to epoch 3" in errors[0].message
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()
    assert NAME in scene.host.tables()


def test_a_call_that_was_overtaken_does_not_bring_the_lost_leg_back(scene: Scene) -> None:
    inside, out = threading.Event(), threading.Event()
    errors: list[DrystoneError] = []
    _, wish = attached()

    def hang() -> None:
        if threading.current_thread() is thread:
            inside.set()
            assert out.wait(30)

    def call() -> None:
        try:
            scene.host.agent.put(wish)
        except DrystoneError as error:
            errors.append(error)

    scene.host.initiator.before_login = hang
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert inside.wait(30)
    scene.fail("leg-1b")
    scene.watcher.look()
    swapped = scene.host.tables()
    out.set()
    thread.join(30)
    assert ["went on to epoch 3" in error.message for error in errors] == [True]
    assert scene.host.tables()[MIRRORS[1]] == swapped[MIRRORS[1]]


def test_it_runs_until_it_is_stopped(scene: Scene) -> None:
    stop = threading.Event()
    scene.host.dm.refusals = 3
    thread = threading.Thread(target=scene.watcher.run, args=(stop, 0.001), daemon=True)
    thread.start()
    scene.fail("leg-1b")
    for _ in range(1000):
        if target_name("leg-1b") not in scene.host.legs():
            break
        threading.Event().wait(0.005)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert f"{MIRRORS[1]}.gone" in scene.host.tables()
    assert target_name("leg-1b") not in scene.host.legs()

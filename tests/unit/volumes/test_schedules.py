"""Schedules over the driver vfs, with a clock that is held: what runs make, what they remove, and when they are due."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drystone.base.errors import DrystoneError, ExistsError, NotFoundError, UsageError
from drystone.base.names import new_uuid
from drystone.volumes.backups import Backups
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.driver import Setting, Volume
from drystone.volumes.driver import Wish as VolumeWish
from drystone.volumes.drivers.vfs import FACTORY
from drystone.volumes.schedule import Schedule, Wish
from drystone.volumes.schedules import Schedules
from drystone.volumes.service import VolumeService
from drystone.volumes.work import Work

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
HOUR = 3600.0


class HeldClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall = NOON
        self.ticks = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def sleep(self, seconds: float) -> None:
        self.move(seconds)

    def move(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds


class World:
    """A daemon's schedules; `start` is another one on the same root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HeldClock()
        self.start()
        self.volume = self.create("db")

    def start(self) -> None:
        catalogue = Catalogue(self.folder / "catalogue.db", self.clock)
        catalogue.open()
        options = {"vfs.path": str(self.folder / "volumes")}
        setting = Setting(self.folder, self.folder / "mounts", options, self.clock, catalogue)
        drivers = {"vfs": FACTORY.make(setting)}
        self.service = VolumeService(self.folder, self.folder / "mounts", catalogue, drivers, self.clock)
        self.service.start()
        self.backups = Backups(self.clock, Work())
        self.schedules = Schedules(self.service, self.backups)

    def restart(self) -> None:
        self.service.stop()
        self.start()

    def create(self, name: str) -> Volume:
        return self.service.create(VolumeWish(new_uuid(), name))

    def add(self, name: str = "", *, snapshots: str = "2", **wish: object) -> Schedule:
        asked = Wish(snapshots=snapshots, created=self.clock.now().isoformat(), **wish)  # type: ignore[arg-type]
        return self.schedules.add("db", name, asked)

    def look(self) -> int:
        """Look once and make the runs that are due; how many."""
        due, wait = self.schedules.look()
        assert 0 < wait <= 30.0
        for each in due:
            self.schedules._run_and_forget(each)
        return len(due)

    def names(self) -> list[str]:
        return [each.name for each in self.service.catalogue.list_snapshots()]

    def state(self, name: str = "db") -> tuple[str, int, str]:
        state = self.schedules.records.find(name).state
        return state.last, state.failures, state.problem

    def listed(self) -> list[str]:
        """Names of the snapshots that are backed up."""
        return [str(each["SnapshotName"]) for each in self.backups.list(f"vfs://{self.folder}/backups").values()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.service.stop()


def test_runs_take_snapshots_and_remove_only_their_own(world: World) -> None:
    world.service.create_snapshot("db", "by-hand")
    world.add(every=3600)
    assert world.look() == 0
    for _ in range(4):
        world.clock.move(HOUR)
        assert world.look() == 1
        assert world.look() == 0
    assert world.names() == ["by-hand", "db-20260310-150000", "db-20260310-160000"]
    assert world.state() == ((NOON + timedelta(hours=4)).isoformat(), 0, "")
    world.schedules.remove("db")
    world.clock.move(HOUR)
    assert world.look() == 0
    assert len(world.names()) == 3


def test_two_schedules_of_one_volume_do_not_touch_each_others(world: World) -> None:
    world.add("often", snapshots="1", every=3600)
    world.add("seldom", snapshots="1", cron="30 12 * * *")
    for _ in range(6):
        world.clock.move(HOUR / 2)
        world.look()
    assert world.names() == ["seldom-20260310-123000", "often-20260310-150000"]


def test_snapshots_are_backed_up_and_old_backups_go(world: World) -> None:
    url = f"vfs://{world.folder}/backups"
    world.service.create_snapshot("db", "by-hand")
    world.backups.create(world.service, "by-hand", url)
    world.add("nightly", snapshots="1", url=url, backups="2", every=3600)
    for _ in range(3):
        world.clock.move(HOUR)
        assert world.look() == 1
    assert world.names() == ["by-hand", "nightly-20260310-150000"]
    assert world.listed() == ["by-hand", "nightly-20260310-140000", "nightly-20260310-150000"]


def test_the_base_of_the_next_backup_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is away the snapshot of the last backup stays, although newer ones are more than what is kept."""
    world.add("nightly", snapshots="1", url=f"vfs://{world.folder}/backups", every=3600)
    world.clock.move(HOUR)
    world.look()
    with monkeypatch.context() as patch:
        patch.setattr(world.backups, "create", _fail)
        world.clock.move(HOUR)
        world.look()
    world.schedules._thin_out(
        world.schedules.records.find("nightly"), world.schedules.records.find("nightly").state.backed_up
    )
    assert world.names() == ["nightly-20260310-130000", "nightly-20260310-140000"]


def test_a_run_that_fails_goes_on_with_its_snapshot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add("nightly", url=f"vfs://{world.folder}/backups", every=3600)
    with monkeypatch.context() as patch:
        patch.setattr(world.backups, "create", _fail)
        world.clock.move(HOUR)
        waits = []
        for _ in range(4):
            assert world.look() == 1
            waits.append(0)
            while not world.schedules.look()[0]:
                world.clock.move(30)
                waits[-1] += 30
            world.schedules._under_way.clear()
        assert waits == [60, 120, 240, 480]
        assert world.state("nightly") == ("", 4, "the store is away")
        assert world.names() == ["nightly-20260310-130000"]
    assert world.look() == 1
    assert world.state("nightly") == ((NOON + timedelta(hours=1)).isoformat(), 0, "")
    assert world.names() == world.listed() == ["nightly-20260310-130000"]


def _fail(*_: object, **__: object) -> str:
    raise DrystoneError("the store is away")


def test_a_run_that_was_killed_goes_on_with_its_snapshot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> str:
        raise Killed

    world.add("nightly", url=f"vfs://{world.folder}/backups", every=3600)
    world.clock.move(HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(world.backups, "create", kill)
        with pytest.raises(Killed):
            world.look()
    world.clock.move(60)
    world.restart()
    assert world.look() == 1
    assert world.names() == world.listed() == ["nightly-20260310-130000"]


@pytest.mark.parametrize("wish", [{"every": 3600}, {"cron": "0 * * * *"}], ids=["every", "cron"])
def test_missed_runs_are_made_once_at_start(world: World, wish: dict[str, Any]) -> None:
    world.add(**wish)
    world.clock.move(HOUR)
    assert world.look() == 1
    world.clock.move(10 * HOUR + 60)
    world.restart()
    assert world.look() == 1
    assert world.look() == 0
    assert world.names() == ["db-20260310-130000", "db-20260310-230100"]
    world.clock.move(HOUR)
    assert world.look() == 1


@pytest.mark.parametrize("days", [-4000, -1, 4000])
def test_jumps_of_the_wall_clock_do_not_move_intervals(world: World, days: int) -> None:
    world.add(every=3600)
    world.clock.move(HOUR)
    assert world.look() == 1
    assert world.look() == 0
    world.clock.wall += timedelta(days=days)
    assert world.look() == 0
    for _ in range(3):
        world.clock.move(HOUR - 1)
        assert world.look() == 0
        world.clock.move(1)
        assert world.look() == 1
        assert world.look() == 0
        world.clock.wall -= timedelta(days=days)  # and back, and there again
        days = -days
    assert len(world.names()) <= 2 + 2  # those that are of the future at the end do not count


@pytest.mark.parametrize("days", [-4000, -1, 4000])
def test_jumps_of_the_wall_clock_do_not_stop_lines_of_cron(world: World, days: int) -> None:
    world.add(cron="0 3 * * *")
    world.clock.move(15 * HOUR)
    assert world.look() == 1
    for _ in range(3):
        world.clock.wall += timedelta(days=days)
        runs = 0
        for _ in range(48):
            world.clock.move(HOUR / 2)
            runs += world.look()
        assert 1 <= runs <= 2  # of its day, and one that the jump made it take for missed
        days = -days


def test_what_a_wrong_clock_made_drives_nothing_out(world: World) -> None:
    world.add("nightly", snapshots="1", url=f"vfs://{world.folder}/backups", backups="1", every=3600)
    world.clock.wall += timedelta(days=4000)
    world.clock.move(HOUR)
    world.look()
    world.clock.wall -= timedelta(days=4000)
    for _ in range(3):
        world.clock.move(HOUR)
        world.look()
    kept = ["nightly-20370220-130000", "nightly-20260310-160000"]
    assert world.names() == kept
    assert sorted(world.listed()) == sorted(kept)


def test_a_snapshot_that_is_read_stays_until_the_next_run(world: World) -> None:
    world.add(snapshots="1", every=3600)
    world.clock.move(HOUR)
    world.look()
    with world.service.reading("db-20260310-130000", ()):
        world.clock.move(HOUR)
        world.look()
        assert world.names() == ["db-20260310-130000", "db-20260310-140000"]
        assert world.state()[1:] == (0, "")
    world.clock.move(HOUR)
    world.look()
    assert world.names() == ["db-20260310-150000"]


def test_a_name_that_is_taken_is_no_obstacle(world: World) -> None:
    world.service.create_snapshot("db", "db-20260310-130000")
    world.add(every=3600)
    world.clock.move(HOUR)
    assert world.look() == 1
    assert len(world.names()) == 2
    assert world.names()[1].startswith("db-20260310-130000-")
    assert world.state()[1] == 0


def test_a_paused_schedule_makes_up_for_what_it_missed_once(world: World) -> None:
    world.add(every=3600)
    world.schedules.pause("db", paused=True)
    world.clock.move(5 * HOUR)
    assert world.look() == 0
    assert world.schedules.next_of(world.schedules.records.find("db")) is None
    world.schedules.pause("db", paused=False)
    assert world.look() == 1
    assert world.look() == 0


def test_a_defect_is_noted_and_the_others_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.create("web")
    world.add(every=3600)
    world.schedules.add("web", "", Wish(every=3600, snapshots="1", created=NOON.isoformat()))
    create = world.service.create_snapshot

    def stumble(reference: str, name: str = "", *, schedule: str = "") -> object:
        if reference == world.volume.uuid:
            raise ZeroDivisionError
        return create(reference, name, schedule=schedule)

    monkeypatch.setattr(world.service, "create_snapshot", stumble)
    world.clock.move(HOUR)
    assert world.look() == 2
    assert world.state("db") == ("", 1, "ZeroDivisionError")
    assert world.state("web")[1] == 0
    assert world.names() == ["web-20260310-130000"]


def test_where_nothing_can_be_noted_it_is_held_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add(every=3600)
    world.clock.move(HOUR)
    monkeypatch.setattr(type(world.schedules.records), "note", _fail)
    assert world.look() == 1
    assert world.look() == 0
    world.clock.move(60)
    assert world.look() == 1
    assert len(world.names()) == 1


def test_a_schedule_goes_with_its_volume(world: World) -> None:
    world.add(every=3600)
    world.clock.move(HOUR)
    world.look()
    world.service.delete("db")
    assert world.schedules.records.list() == []
    world.clock.move(HOUR)
    assert world.look() == 0


def test_schedules_and_their_runs_are_in_the_trail(world: World) -> None:
    world.add("nightly", every=3600)
    world.schedules.pause("nightly", paused=True)
    world.schedules.pause("nightly", paused=False)
    world.clock.move(HOUR)
    world.look()
    world.schedules.remove("nightly")
    trail = [(each.action, each.subject, each.outcome) for each in world.service.catalogue.list_audit()]
    actions = ["schedule-add", "schedule-pause", "schedule-resume"]
    assert trail[1:] == [
        *((action, "nightly", "done") for action in actions),
        ("snapshot-create", "nightly-20260310-130000", "done"),
        ("schedule-remove", "nightly", "done"),
    ]


def test_what_is_refused(world: World) -> None:
    world.add(every=3600)
    with pytest.raises(ExistsError, match="there is a schedule 'db' already"):
        world.add(every=3600)
    wishes: list[dict[str, Any]] = [{"snapshots": "0", "every": 1}, {"cron": "x"}, {"every": 1, "url": "nowhere"}]
    for wish in wishes:
        with pytest.raises(UsageError):
            world.add("other", **wish)
    with pytest.raises(UsageError, match="keep"):
        world.add("other", every=1, url="vfs:///srv/backup", backups="x")
    with pytest.raises(NotFoundError, match="there is no schedule 'other'"):
        world.schedules.remove("other")
    with pytest.raises(NotFoundError):
        world.schedules.add("nothing", "", Wish(every=1, snapshots="1", created=NOON.isoformat()))
    assert len(world.schedules.records.list()) == 1


def test_runs_are_made_by_threads_until_the_end(world: World) -> None:
    world.add(every=3600)
    world.clock.move(HOUR)
    with world.schedules.running():
        pass  # the first look comes before the end is seen, and what it began is waited for
    assert world.names() in ([], ["db-20260310-130000"])
    world.restart()
    with world.schedules.running():
        limit = datetime.now(UTC) + timedelta(seconds=20)
        while not world.names() and datetime.now(UTC) < limit:
            pass
    assert world.names() == ["db-20260310-130000"]


def test_a_name_that_leaves_no_room_for_its_snapshots_is_refused_at_once(world: World) -> None:
    with pytest.raises(UsageError, match="79 are allowed"):
        world.add("n" * 80, every=3600)
    world.service.create(VolumeWish(new_uuid(), "v" * 100))
    with pytest.raises(UsageError, match="79 are allowed"):
        world.schedules.add("v" * 100, "", Wish(every=3600, snapshots="1", created=NOON.isoformat()))
    world.add("n" * 79, every=3600)
    world.clock.move(HOUR)
    world.service.create_snapshot("db", f"{'n' * 79}-20260310-130000")
    world.look()
    assert world.state("n" * 79)[1:] == (0, "")
    assert [len(each) for each in world.names()] == [95, 100]


def test_what_a_schedule_made_stays_when_it_is_removed_during_its_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add(every=3600, snapshots="1", url=f"vfs://{world.folder}/backups", backups="1")
    world.clock.move(HOUR)
    world.look()
    create = world.backups.create

    def remove_first(*arguments: Any, **named: Any) -> str:
        world.schedules.remove("db")
        return create(*arguments, **named)

    monkeypatch.setattr(world.backups, "create", remove_first)
    world.clock.move(HOUR)
    assert world.look() == 1
    assert world.names() == world.listed() == ["db-20260310-130000", "db-20260310-140000"]


@pytest.mark.parametrize("how", ["removed", "paused"])
def test_a_run_that_waits_for_its_turn_is_not_made_when_its_schedule_is(world: World, how: str) -> None:
    world.add(every=3600)
    world.clock.move(HOUR)
    (due,), _ = world.schedules.look()
    if how == "removed":
        world.schedules.remove("db")
    else:
        world.schedules.pause("db", paused=True)
    world.schedules._run_and_forget(due)
    assert world.names() == []


def test_a_look_that_stumbles_is_not_the_last(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.add(every=3600)
    world.create("web")
    world.schedules.add("web", "", Wish(every=3600, snapshots="1", created=NOON.isoformat()))
    world.clock.move(HOUR)
    left, over = world.schedules._left, threading.Event()

    def stumble(schedule: Schedule, *moments: Any) -> float:
        if schedule.name == "web" and not over.is_set():
            over.set()
            raise OverflowError("too far")
        return left(schedule, *moments)

    monkeypatch.setattr(world.schedules, "_left", stumble)
    limit = time.monotonic() + 20
    with world.schedules.running():
        assert over.wait(20)
        while len(world.names()) < 2 and time.monotonic() < limit:
            world.schedules._changed.set()
            time.sleep(0.01)
    assert sorted(world.names()) == ["db-20260310-130000", "web-20260310-130000"]
    assert "the schedules cannot be looked at: too far" in caplog.text

"""What disks say of themselves, and what follows from it. The program is a fake; so is which disks are below a bay."""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from drystone.fleet.disk.health import Verdict
from drystone.fleet.documents import DiskReport
from drystone.fleet.storage import smart as smarts
from drystone.fleet.storage.shelf import Bay, Shelf
from drystone.fleet.storage.smart import Policy, SmartWatch, decide, spell_trouble
from drystone.kernel.smart import SmartReport
from drystone.testing.smart import FakeSmartctl, make_ata, make_refusal

_GOOD, _FAILS, _PENDING = SmartReport(passed=True, sectors=0), SmartReport(passed=False), SmartReport(sectors=1)


@pytest.mark.parametrize(
    ("report", "allowed", "spelt"),
    [
        (_GOOD, 0, ""),
        (SmartReport(trouble="it cannot be asked"), 0, ""),
        (_FAILS, 0, "it says that it fails"),
        (_PENDING, 0, "1 unreadable sector"),
        (_PENDING, 1, ""),
        (SmartReport(passed=False, sectors=7), 3, "it says that it fails, 7 unreadable sectors"),
    ],
)
def test_why_a_disk_fails_by_its_own_account(report: SmartReport, allowed: int, spelt: str) -> None:
    assert spell_trouble(report, allowed) == spelt


@pytest.mark.parametrize(
    ("policy", "health", "failing"), [("drain", "good", True), ("bad", "bad", False), ("report", "good", False)]
)
def test_what_becomes_of_the_disk(policy: Policy, health: str, failing: bool) -> None:
    verdict = decide("id-1", {"sdb": _FAILS, "sda": _PENDING, "sdc": _GOOD}, policy, 0)
    assert verdict is not None
    after = verdict.add_to(DiskReport("data_1", "id-1", "good", 10, 5))
    assert (after.health, after.failing) == (health, failing)
    assert after.reason == "SMART: sda: 1 unreadable sector; sdb: it says that it fails"
    assert decide("id-1", {"sda": _GOOD}, policy, 0) is None


@pytest.mark.parametrize("report", [DiskReport("d", "id-2", "good", 1, 1), DiskReport("d", "id-1", "bad", 1, 1, "EIO")])
def test_another_disk_and_one_that_is_worse_are_let_alone(report: DiskReport) -> None:
    assert Verdict("id-1", "SMART", is_bad=True).add_to(report) == report


class Watched:
    """A bay with a disk that lies on sda, and whoever asks that."""

    def __init__(self, folder: Path, policy: Policy = "drain", *, every: float = 1e9) -> None:
        (folder / "data_1").mkdir()
        self.fake = FakeSmartctl(folder)
        self.shelf = Shelf(folder, folder / "state")
        self.shelf.find_folders()
        self.watch = SmartWatch(self.shelf, str(self.fake.program), policy, 0, every)

    @property
    def bay(self) -> Bay:
        return self.shelf.bays["data_1"]

    async def until(self, so: Callable[[], bool]) -> None:
        while not so():  # noqa: ASYNC110  # a file, or what another task does
            await asyncio.sleep(0.01)

    async def look(self) -> DiskReport:
        """As the watch over disks does."""
        await self.shelf.watch()
        return self.shelf.reports()[0]


def run(watched: Watched, action: Callable[[], Coroutine[None, None, None]]) -> None:
    async def live() -> None:
        assert await watched.shelf.open("fleet")
        task = asyncio.create_task(watched.watch.run())
        try:
            await action()
        finally:
            task.cancel()
            await asyncio.wait([task])
            await watched.shelf.close()

    asyncio.run(live())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smarts, "disks_of_folder", lambda _: ("sda",))
    monkeypatch.setattr(smarts, "_FIRST", 0.01)


def test_a_disk_that_says_it_fails_is_reported_so(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.fake.say("sda", make_ata(passed=False))

    async def action() -> None:
        await watched.until(lambda: watched.bay.verdict is not None)
        assert watched.bay.suspect.is_set(), "it is told at once"
        report = await watched.look()
        assert (report.health, report.failing, report.reason) == ("good", True, "SMART: sda: it says that it fails")
        assert watched.watch.reports()["data_1"]["sda"].serial == "T-0815"
        await asyncio.sleep(0.5)  # it is not due again for a long time

    run(watched, action)
    (words,) = watched.fake.calls()
    assert words[-1] == "/dev/sda"
    assert "--nocheck=standby" in words


def test_a_disk_that_sleeps_or_says_nonsense_is_what_it_was(tmp_path: Path) -> None:
    watched = Watched(tmp_path, every=0.01)
    watched.fake.say("sda", make_ata(pending=1))

    async def action() -> None:
        await watched.until(lambda: watched.bay.verdict is not None)
        for document in (make_refusal("Device is in STANDBY mode"), "no JSON"):
            watched.fake.say("sda", document)
            done = len(watched.fake.calls())
            await watched.until(lambda done=done: len(watched.fake.calls()) > done + 1)  # type: ignore[misc]
            assert (await watched.look()).failing
        watched.fake.say("sda", make_ata())
        await watched.until(lambda: watched.bay.verdict is None)
        assert not (await watched.look()).failing

    run(watched, action)


def test_another_disk_in_its_place_has_said_nothing_yet(tmp_path: Path) -> None:
    watched = Watched(tmp_path, every=0.01)
    watched.fake.say("sda", make_ata(passed=False))

    async def action() -> None:
        await watched.until(lambda: watched.bay.verdict is not None)
        watched.fake.say("sda", make_refusal())
        await watched.bay.put_away()
        shutil.rmtree(tmp_path / "data_1" / ".drystone")
        (tmp_path / "state" / "disks.json").unlink()
        assert await watched.shelf.open("fleet")
        assert not (await watched.look()).failing
        await watched.until(lambda: watched.bay.verdict is None)

    run(watched, action)


@pytest.mark.parametrize("program", ["/nonexistent/smartctl", "drystone-has-no-such-program"])
def test_without_the_program_disks_are_as_good_as_they_look(tmp_path: Path, program: str) -> None:
    watched = Watched(tmp_path)
    watched.watch = SmartWatch(watched.shelf, program, "drain", 0, 1e9)

    async def action() -> None:
        await asyncio.sleep(0.05)
        assert (await watched.look()).reason == ""

    run(watched, action)


def test_switched_off_it_asks_nobody(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "off")
    watched.fake.say("sda", make_ata(passed=False))

    async def action() -> None:
        await asyncio.sleep(0.1)

    run(watched, action)
    assert watched.fake.calls() == []


def test_one_that_takes_too_long_is_ended_and_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smarts, "_SECONDS", 0.1)
    watched = Watched(tmp_path, every=0.01)
    watched.fake.hang()

    async def action() -> None:
        await watched.until(lambda: len(watched.fake.calls()) > 1)
        assert (await watched.look()).reason == ""

    run(watched, action)


def test_one_that_cannot_be_ended_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smarts, "_SECONDS", 0.1)
    left: list[Process] = []

    async def leave(process: Process) -> None:
        left.append(process)

    watched = Watched(tmp_path, every=0.01)
    watched.fake.hang()

    async def action() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(smarts, "_end", leave)
            await watched.until(lambda: bool(left))
            await asyncio.sleep(0.2)
            assert len(watched.fake.calls()) == 1

    run(watched, action)

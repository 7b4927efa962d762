"""The audit log's older entries: which go, and that none is lost on the way."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError, UsageError
from drystone.fleet.documents import Bucket
from drystone.fleet.mapping.archive import BATCH, Archive, ArchivedEntry, Archiver
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.desk import Desk
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.model import BucketChange
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.mapping.settings import MapperSettings, check_settings
from drystone.fleet.mapping.sql import SqlDatabase
from drystone.testing.fleet.audit_log import check_moved_entries, read_files
from drystone.testing.fleet.world.time import Timeline

DAY = 86_400.0


def entries(*days: float, first: int = 1) -> list[ArchivedEntry]:
    return [ArchivedEntry(first + n, day * DAY, 1, "bucket", f"b{n}", "made") for n, day in enumerate(days)]


@pytest.mark.parametrize(
    ("days", "most", "written", "now", "gone"),
    [
        (0, 0, (0, 1, 2), 1000, 0),  # for ever
        (10, 0, (0, 1, 2), 10.5, 0),  # it is not worth a file yet
        (10, 0, (0, 1, 2), 11.5, 2),
        (10, 0, (0, 50, 2, 3, 13), 13.5, 4),  # a clock went ahead
        (10, 0, (5, 6), 11, 0),
        (0, 2, (0, 0, 0), 0, 1),
        (0, 20, (0,) * 22, 0, 0),
        (0, 20, (0,) * 23, 0, 3),
        (10, 2, (0, 9, 9, 9), 9, 2),
        (10, 0, (0, 1, 2), 1000, 2),  # the newest stays
        (10, 0, (0,), 1000, 0),
    ],
)
def test_what_goes(days: float, most: int, written: tuple[float, ...], now: float, gone: int) -> None:
    oldest = entries(*written)
    chosen = Archive(Path("/nonexistent"), days, most).choose(oldest, len(oldest), now * DAY)
    assert list(chosen) == oldest[:gone]


def test_as_many_as_one_file_has_go_at_once() -> None:
    oldest = entries(*[0.0] * BATCH)
    assert len(Archive(Path("/nonexistent"), 10, 0).choose(oldest, 3 * BATCH, 10.5 * DAY)) == BATCH


def test_a_file_that_is_there_is_never_changed(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "deep" / "audit", 1, 1)
    first = archive.write(entries(0, 1))
    assert archive.write(entries(0, 1)) == first
    other = archive.write(entries(0, 2, 3))
    assert first.name == "audit-19700101T000000Z-1.jsonl"
    assert other.name == "audit-19700101T000000Z-1-2.jsonl"
    assert [len(each.read_bytes().splitlines()) for each in (first, other)] == [2, 3]
    assert first.stat().st_mode & 0o777 == 0o600


def test_of_many_that_write_at_once_each_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Mappers of other machines, over a folder that they share."""
    archive = Archive(tmp_path / "deep" / "audit", 1, 1)
    begin = threading.Barrier(8)

    def write(number: int) -> Path:
        begin.wait(120)
        return archive.write(entries(0, number))

    for round_ in range(20):
        with ThreadPoolExecutor(8) as threads:
            paths = list(threads.map(write, range(8 * round_, 8 * round_ + 8)))
        assert [len(each.read_bytes().splitlines()) for each in paths] == [2] * 8
    files = sorted((tmp_path / "deep" / "audit").iterdir())
    assert len({each.read_bytes() for each in files}) == len(files) == 160


def test_what_a_killed_process_left_is_swept_a_day_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(tmp_path, 1, 1)
    assert Archive(tmp_path / "none", 1, 1).sweep(0.0) == 0

    def be_killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", be_killed)
        with pytest.raises(KeyboardInterrupt):
            archive.write(entries(0, 1))  # just before it removes the name that it made the file under
        patch.setattr(Path, "rename", be_killed)
        with pytest.raises(KeyboardInterrupt):
            archive.write(entries(0, 2))  # while it makes it
    assert sorted(each.name.partition("passing.")[0] for each in tmp_path.glob(".*")) == [".", ".."]
    written = next(tmp_path.glob("*.jsonl")).read_bytes()
    now = max(each.stat().st_mtime for each in tmp_path.iterdir())
    assert archive.sweep(now + DAY - 60) == 0, "another mapper may be at it"
    assert archive.sweep(now + DAY + 60) == 2
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [written]


def test_what_cannot_be_swept_is_left_and_keeps_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".passing.1.folder").mkdir()
    (tmp_path / ".passing.2.file").write_bytes(b"")
    assert Archive(tmp_path, 1, 1).sweep(time.time() + 2 * DAY) == 1
    assert [each.name for each in tmp_path.iterdir()] == [".passing.1.folder"]
    assert ".passing.1.folder is left" in caplog.text


def test_numbers_go_on_when_all_is_old(tmp_path: Path) -> None:
    database = SqlDatabase(f"sqlite:///{tmp_path}/map.db")
    database.open()
    term = database.take_lease("one", "", 1e6).term
    archive = Archive(tmp_path / "audit", 1, 0)
    numbers: list[int] = []
    for number in range(3):
        changes = [BucketChange(Bucket(f"b{number}-{each}", "shared", "", 0.0), "made") for each in range(4)]
        database.commit(term, database.load().version, changes, 0.0)
        oldest, newest = database.oldest_audit(BATCH)
        numbers += [each.id for each in oldest[-4:]]
        chosen = archive.choose(oldest, newest, 9 * DAY)
        archive.write(chosen)
        database.drop_audit(term, chosen)
        assert len(database.audit(99)) == 1
    assert numbers == list(range(1, 13))
    assert sorted(read_files(tmp_path / "audit")) == numbers[:-1]
    database.close()


@pytest.mark.parametrize("seed", range(5))
def test_none_is_lost_wherever_it_is_stopped(tmp_path: Path, seed: int) -> None:
    database = SqlDatabase(f"sqlite:///{tmp_path}/map.db")
    database.open()
    check_moved_entries(database, tmp_path / "audit", seed)
    database.close()


def test_who_leads_moves_them(tmp_path: Path) -> None:
    async def run() -> None:
        clock = Timeline()
        database = SqlDatabase(f"sqlite:///{tmp_path}/map.db")
        desk = Desk(lambda changed: Mapper(database, Rules(), clock, id="m1", url="", changed=changed))
        archiver = Archiver(desk, database, Archive(tmp_path / "audit", 0, 5))
        await desk.open()
        for number in range(9):
            change = BucketChange(Bucket(f"b{number}", "shared", "", 0.0), "made")
            await desk.do(lambda change=change: desk.mapper.commit([change]))  # type: ignore[misc]
        assert [await archiver.move() for _ in range(2)] == [4, 0]
        assert [each.subject for each in read_files(tmp_path / "audit").values()] == ["b0", "b1", "b2", "b3"]
        assert [each.subject for each in database.audit(99)] == ["b8", "b7", "b6", "b5", "b4"]
        await desk.do(desk.mapper.release)
        with pytest.raises(NotLeadingError):
            await archiver.move()
        await desk.close()
        with pytest.raises(UnavailableError):
            await archiver.move()

    asyncio.run(run())


def test_nothing_is_deleted_when_the_folder_refuses(tmp_path: Path) -> None:
    async def run() -> None:
        database = SqlDatabase(f"sqlite:///{tmp_path}/map.db")
        desk = Desk(lambda changed: Mapper(database, Rules(), Timeline(), id="m1", url="", changed=changed))
        (tmp_path / "audit").write_text("no folder")
        await desk.open()
        changes = [BucketChange(Bucket(f"b{number}", "shared", "", 0.0), "made") for number in range(9)]
        await desk.do(lambda: desk.mapper.commit(changes))
        with pytest.raises(OSError, match="audit"):
            await Archiver(desk, database, Archive(tmp_path / "audit", 0, 5)).move()
        assert len(database.audit(99)) == 9
        await desk.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (MapperSettings(), "/var/lib/drystone/mapper/audit"),
        (MapperSettings(database="sqlite:////srv/fleet/map.db"), "/srv/fleet/audit"),
        (MapperSettings(database="postgresql://host/fleet"), "/var/lib/drystone/mapper/audit"),
        (MapperSettings(audit_folder=Path("/log")), "/log"),
    ],
)
def test_where_they_go(settings: MapperSettings, place: str) -> None:
    assert settings.audit_place() == Path(place)


@pytest.mark.parametrize("wrong", [MapperSettings(audit_days=-1), MapperSettings(audit_entries=-1)])
def test_wrong_settings_are_refused(wrong: MapperSettings) -> None:
    with pytest.raises(UsageError, match="audit log"):
        check_settings(wrong)

"""Backups of one service: what they are compared with, what they keep from being deleted, two at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.backup.format.slot import Passphrase
from drystone.backup.source import Source
from drystone.base.clock import SystemClock
from drystone.base.errors import BusyError, DamagedError, NotFoundError, UnsupportedError, UsageError
from drystone.base.names import new_uuid
from drystone.testing.convoy_store import BLOCK, ConvoyWriter
from drystone.volumes.backups import Backups
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.documents import BACKUP_KEYS
from drystone.volumes.driver import Setting, Snapshot, Wish
from drystone.volumes.drivers.vfs import VfsDriver
from drystone.volumes.service import VolumeService
from drystone.volumes.work import Work


class Watched(VfsDriver):
    """vfs that notes what is read against what, and waits there for `gate`. It says that it can tell what differs."""

    read: list[tuple[str, str]]
    gate: threading.Barrier | None = None

    def can_read_delta(self) -> bool:
        return True

    @contextlib.contextmanager
    def read_snapshot(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Source]:
        self.read.append((snapshot.name, base.name if base else ""))
        if self.gate:
            self.gate.wait(120)
        with super().read_snapshot(snapshot, base) as source:
            yield source


class World:
    """A service with a volume `db`, and its backups."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        catalogue = Catalogue(folder / "catalogue.db", clock)
        catalogue.open()
        self.driver = Watched(Setting(folder, folder / "mounts", {}, clock, catalogue), folder / "volumes", 1 << 30)
        self.driver.read = []
        self.service = VolumeService(folder, folder / "mounts", catalogue, {"vfs": self.driver}, clock)
        self.service.start()
        self.service.create(Wish(new_uuid(), "db"))
        self.folder = folder
        self.dest = f"vfs://{folder}/backups"
        self.backups = Backups(clock, Work())

    def back_up(self, snapshot: str) -> str:
        return self.backups.create(self.service, snapshot, self.dest)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.service.stop()


def test_the_base_is_the_newest_backed_up_snapshot_that_is_still_here(world: World) -> None:
    for name in ("one", "two", "three"):
        world.service.create_snapshot("db", name)
        world.back_up(name)
    world.service.delete_snapshot("three")
    world.service.create_snapshot("db", "four")
    world.back_up("four")
    assert world.driver.read == [("one", ""), ("two", "one"), ("three", "two"), ("four", "two")]


def test_a_base_whose_pack_is_gone_is_stepped_over(world: World) -> None:
    packs: list[set[Path]] = [set()]
    place = world.driver.mount(world.service.find_volume("db"), "")
    for name in ("one", "two", "three"):
        Path(place, name).write_bytes(name.encode() * 1000)
        world.service.create_snapshot("db", name)
        if name == "three":
            for pack in packs[2] - packs[1]:
                pack.unlink()
        url = world.back_up(name)
        packs.append({each for each in (world.folder / "backups").glob("**/packs/**/*") if each.is_file()})
    assert world.driver.read == [("one", ""), ("two", "one"), ("three", "two"), ("three", "one")]
    restored = world.service.create(Wish(new_uuid(), "again"), "", world.backups.origin(url))
    assert (Path(world.driver.mount(restored, "")) / "three").read_bytes() == b"three" * 1000


def test_one_snapshot_to_two_places_at_once(world: World) -> None:
    world.service.create_snapshot("db", "one")
    world.driver.gate = threading.Barrier(2)
    urls: list[str] = []

    def back_up(place: str) -> None:
        urls.append(world.backups.create(world.service, "one", f"vfs://{world.folder}/{place}"))

    threads = [threading.Thread(target=back_up, args=(place,)) for place in ("here", "there")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(urls) == 2
    assert all(world.backups.inspect(url)["SnapshotName"] == "one" for url in urls)


def test_what_is_read_cannot_be_deleted_and_its_siblings_can(world: World) -> None:
    for name in ("base", "idle", "read"):
        world.service.create_snapshot("db", name)
    world.back_up("base")
    world.driver.gate = threading.Barrier(2)
    reading = threading.Thread(target=world.back_up, args=("read",))
    reading.start()
    while len(world.driver.read) < 2:
        reading.join(0.01)
    for name in ("base", "read"):
        with pytest.raises(BusyError, match="is being read"):
            world.service.delete_snapshot(name)
    with pytest.raises(BusyError):
        world.service.delete("db")
    world.service.delete_snapshot("idle")
    world.driver.gate.wait(120)
    reading.join()
    world.service.delete("db")


def test_a_damaged_backup_hides_no_other(world: World) -> None:
    world.service.create_snapshot("db", "one")
    broken = world.back_up("one")
    named = broken.partition("backup=")[2].partition("&")[0]
    (found,) = [each for each in (world.folder / "backups").rglob(f"*{named}*") if each.is_file()]
    found.write_bytes(b"rubbish")
    whole = world.back_up("one")
    assert list(world.backups.list(world.dest)) == [broken, whole]
    with pytest.raises(DamagedError):
        world.backups.inspect(broken)
    assert world.backups.inspect(whole)["BackupURL"] == whole


def test_a_wrong_request_makes_no_repository(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.back_up("nothing")
    for url in ("", "relative", f"{world.dest}?backup={new_uuid()}&volume={new_uuid()}"):
        world.service.create_snapshot("db", f"s{len(url)}")
        with pytest.raises(UsageError):
            world.backups.create(world.service, f"s{len(url)}", url)
    assert not (world.folder / "backups").exists()


def test_a_daemon_with_a_passphrase_encrypts_and_opens(world: World) -> None:
    mine = Backups(SystemClock(), Work(), Passphrase(b"word"))
    world.service.create_snapshot("db", "one")
    dest = f"vfs://{world.folder}/secret"
    url = mine.create(world.service, "one", dest)
    assert mine.inspect(url)["SnapshotName"] == "one"
    assert list(mine.list(dest)) == [url]
    world.service.create(Wish(new_uuid(), "again"), "", mine.origin(url))
    for other in (world.backups, Backups(SystemClock(), Work(), Passphrase(b"another"))):
        with pytest.raises(UsageError):
            other.inspect(url)
    plain = world.back_up("one")
    assert mine.inspect(plain)["SnapshotName"] == "one", "destinations without encryption are served as well"
    mine.delete(url)
    assert mine.list(dest) == {}


def test_an_endpoint_is_for_s3_only(world: World) -> None:
    world.service.create_snapshot("db", "one")
    with pytest.raises(UsageError, match="not in S3"):
        world.backups.create(world.service, "one", world.dest, "http://127.0.0.1:1")
    url = world.back_up("one")
    for call in (world.backups.inspect, world.backups.delete, world.backups.origin, world.backups.list):
        with pytest.raises(UsageError, match="not in S3"):
            call(url.partition("?")[0] if call == world.backups.list else url, endpoint="http://127.0.0.1:1")


CONVOY_VOLUME = "11111111-2222-4333-8444-555555555555"
CONVOY_BACKUP = "aaaaaaaa-2222-4333-8444-555555555555"


@pytest.mark.parametrize("named", [False, True])
def test_what_convoy_itself_wrote_is_listed_and_restored(world: World, named: bool, tmp_path: Path) -> None:
    volume, backup = ("vol1", "backup-1234") if named else (CONVOY_VOLUME, CONVOY_BACKUP)
    image = bytes(BLOCK) + bytes(range(256)) * (BLOCK // 256)
    writer = ConvoyWriter(world.folder / "backups", named=named)
    writer.write_volume(volume, len(image))
    writer.write_backup(volume, backup, image)
    url = f"{world.dest}?backup={backup}&volume={volume}"
    for _ in range(2):
        listed = world.backups.list(world.dest)
        assert next(iter(listed)) == url
        assert listed[url] == world.backups.inspect(url)
        assert list(listed[url]) == list(BACKUP_KEYS)
        assert listed[url]["VolumeSize"] == str(len(image))
        assert str(listed[url]["CreatedTime"]).endswith(" +0100 2015")
        assert list(world.backups.list(world.dest, volume_uuid=volume)) == [url]
        assert world.backups.list(world.dest, volume_uuid=new_uuid()) == {}
        assert world.backups.list(world.dest, volume_name="none") == {}
        origin = world.backups.origin(url)
        assert (origin.driver, origin.size) == ("devicemapper", len(image))
        target = tmp_path / f"target-{len(listed)}"
        target.touch()
        target.unlink()
        origin.fill(target)
        assert target.read_bytes() == image
        with pytest.raises(UnsupportedError, match="written by Convoy"):
            world.backups.delete(url)
        if len(listed) == 1:  # and again, with backups of ours beside it
            world.service.create_snapshot("db", "one")
            ours = world.back_up("one")
            assert world.backups.inspect(ours)["SnapshotName"] == "one"
    assert list(world.backups.list(world.dest)) == [url, ours]
    with pytest.raises(NotFoundError):
        world.backups.inspect(url.replace(volume, new_uuid()))


def test_a_file_of_convoys_vfs_is_no_volume(world: World) -> None:
    writer = ConvoyWriter(world.folder / "backups")
    writer.write_volume(CONVOY_VOLUME, 0)
    writer.write_file(CONVOY_VOLUME, CONVOY_BACKUP, b"an archive")
    with pytest.raises(UnsupportedError, match="no image"):
        world.backups.origin(f"{world.dest}?backup={CONVOY_BACKUP}&volume={CONVOY_VOLUME}")

"""The service over the driver vfs: names, journal, refusals, and the state after each failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.clock import SystemClock
from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from drystone.base.names import new_uuid
from drystone.volumes import previews
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.driver import Fill, Preview, Setting, Snapshot, Volume, Wish
from drystone.volumes.drivers.vfs import FACTORY, VfsDriver
from drystone.volumes.service import Origin, VolumeService


class Trouble(VfsDriver):
    """vfs that fails, or waits, where it is told to."""

    fail_at = ""
    failure: Exception = DrystoneError("no luck")
    gate: threading.Event | None = None

    def create_volume(self, volume: Volume, fill: Fill | None) -> None:
        super().create_volume(volume, fill)
        self._stumble("create")

    def create_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        super().create_snapshot(volume, snapshot)
        self._stumble("snapshot")

    def delete_volume(self, volume: Volume, *, keep_data: bool = False) -> None:
        self._stumble("delete")
        super().delete_volume(volume, keep_data=keep_data)

    def mount(self, volume: Volume, mount_point: str) -> str:
        if self.gate:
            self.gate.wait(120)
        self._stumble("mount")
        return super().mount(volume, mount_point)

    def _stumble(self, place: str) -> None:
        if place in self.fail_at.split():
            raise self.failure


class World:
    """A service on a folder; `start` makes another one on the same root, as after a crash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.service: VolumeService
        self.driver: Trouble
        self.start()

    def start(self) -> None:
        clock = SystemClock()
        catalogue = Catalogue(self.folder / "catalogue.db", clock)
        catalogue.open()
        options = {"vfs.path": str(self.folder / "volumes")}
        setting = Setting(self.folder, self.folder / "mounts", options, clock, catalogue)
        self.driver = Trouble(setting, self.folder / "volumes", 1 << 30)
        self.service = VolumeService(self.folder, self.folder / "mounts", catalogue, {"vfs": self.driver}, clock)
        self.service.start()

    def restart(self) -> None:
        self.service.stop()
        self.start()

    def create(self, name: str = "", **wish: object) -> Volume:
        return self.service.create(Wish(new_uuid(), name, **wish))  # type: ignore[arg-type]

    def files(self) -> list[str]:
        found = (path.relative_to(self.folder / "volumes") for path in (self.folder / "volumes").rglob("*"))
        return sorted(str(each) for each in found)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.service.stop()


def test_a_volume_from_beginning_to_end(world: World) -> None:
    volume = world.create("db")
    place = world.service.mount("db").mount_point
    (Path(place) / "file").write_text("content")
    snapshot = world.service.create_snapshot("db", "monday")
    document = world.service.inspect(volume.uuid)
    assert document["MountPoint"] == place
    assert list(document["Snapshots"]) == [snapshot.uuid]  # type: ignore[call-overload]
    assert world.service.inspect_snapshot("monday")["VolumeName"] == "db"
    world.service.umount("db")
    world.service.delete("db")
    assert world.service.list_volumes() == {}
    assert world.files() == [".snapshots"]


def test_names_are_made_when_none_is_given(world: World) -> None:
    volume = world.service.create(Wish("12345678-aaaa", ""))
    assert volume.name == "volume-12345678"
    snapshot = world.service.create_snapshot(volume.name)
    assert snapshot.name == f"snapshot-{snapshot.uuid[:8]}"


@pytest.mark.parametrize("name", ["x", "-a", "a b", "a/b", "..", "ä1", "a" * 101])
def test_wrong_names(world: World, name: str) -> None:
    with pytest.raises(UsageError, match="volume name"):
        world.create(name)
    world.create("good")
    with pytest.raises(UsageError, match="snapshot name"):
        world.service.create_snapshot("good", name)


def test_a_name_again(world: World) -> None:
    first = world.create("db")
    with pytest.raises(ExistsError):
        world.create("db")
    world.service.delete("db")
    assert world.create("db").uuid != first.uuid


def test_what_does_not_exist(world: World) -> None:
    for call in (world.service.inspect, world.service.delete, world.service.mount, world.service.umount):
        with pytest.raises(NotFoundError):
            call("nothing")
    with pytest.raises(NotFoundError):
        world.service.delete_snapshot("nothing")
    with pytest.raises(NotFoundError):
        world.service.find_uuid("nothing")


FAILURES = [DrystoneError("no luck"), OSError(5, "no luck"), ZeroDivisionError("no luck")]
"""What an operation may fail with: an error of ours, of the machine, and a defect of a driver."""


@pytest.fixture(params=FAILURES, ids=lambda each: type(each).__name__)
def failure(request: pytest.FixtureRequest, world: World) -> Exception:
    found: Exception = request.param
    world.driver.failure = found
    return found


def test_a_failed_creation_leaves_nothing(world: World, failure: Exception) -> None:
    world.driver.fail_at = "create"
    with pytest.raises(type(failure), match="no luck"):
        world.create("db")
    assert world.files() == [".snapshots"]
    assert world.service.catalogue.list_operations() == []
    world.driver.fail_at = ""
    world.create("db")


def test_a_creation_whose_undoing_fails_is_ended_by_the_next_start(world: World, failure: Exception) -> None:
    world.driver.fail_at = "create delete"
    with pytest.raises(DrystoneError, match=r"no luck; undoing it failed too: .*no luck"):
        world.create("db")
    assert world.service.list_volumes() == {}
    world.restart()
    assert world.files() == [".snapshots"]
    world.create("db")


def test_a_creation_that_cannot_be_written_down_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(operation: object) -> None:
        raise ExhaustedError("no room for the catalogue")

    with monkeypatch.context() as patched:
        patched.setattr(world.service.catalogue, "finish_create", refuse)
        with pytest.raises(ExhaustedError):
            world.create("db")
    assert world.files() == [".snapshots"]
    world.create("db")


def test_a_failed_snapshot_leaves_nothing(world: World, failure: Exception) -> None:
    world.create("db")
    world.driver.fail_at = "snapshot"
    with pytest.raises(type(failure)):
        world.service.create_snapshot("db", "monday")
    assert world.service.catalogue.list_operations() == []
    assert list((world.folder / "volumes" / ".snapshots").iterdir()) == []
    world.driver.fail_at = ""
    world.service.create_snapshot("db", "monday")


def test_a_failed_deletion_and_a_failed_mount_can_be_tried_again(world: World, failure: Exception) -> None:
    world.create("db")
    for place, call in (("delete", world.service.delete), ("mount", world.service.mount)):
        world.driver.fail_at = place
        with pytest.raises(type(failure)):
            call("db")
        assert world.service.catalogue.list_operations() == []
        with world.service.locks.hold(world.service.find_volume("db").uuid):
            pass
    world.driver.fail_at = ""
    world.service.mount("db")
    world.service.umount("db")
    world.service.delete("db")


def test_deleting_what_is_in_use(world: World) -> None:
    world.create("db")
    snapshot = world.service.create_snapshot("db", "monday")
    world.service.mount("db")
    with pytest.raises(BusyError, match="is mounted at"):
        world.service.delete("db")
    world.service.umount("db")
    with pytest.raises(RefusedError, match="has snapshots, which would go with it: monday"):
        world.service.delete("db", refuse_snapshots=True)
    with world.service.uses.using(snapshot.uuid):
        with pytest.raises(BusyError, match="being read"):
            world.service.delete("db")
        with pytest.raises(BusyError, match="being read"):
            world.service.delete_snapshot("monday")
    world.service.delete_snapshot("monday")
    world.service.delete("db", refuse_snapshots=True)


def test_mounting_twice_is_one_mount(world: World) -> None:
    world.create("db")
    place = world.service.mount("db").mount_point
    assert world.service.mount("db").mount_point == place
    assert world.service.mount("db", place).mount_point == place
    assert world.service.mount("db", f"{place}/").mount_point == place
    with pytest.raises(BusyError, match="is mounted at"):
        world.service.mount("db", "/elsewhere")
    for wrong in ("relative", "/nul\0"):
        with pytest.raises(UsageError, match="no absolute path"):
            world.service.mount("db", wrong)
    world.service.umount("db")
    with pytest.raises(UsageError, match="is not mounted"):
        world.service.umount("db")
    with pytest.raises(UnsupportedError):
        world.service.mount("db", "/elsewhere")


def test_forgetting_keeps_the_data(world: World) -> None:
    world.create("db")
    place = Path(world.service.mount("db").mount_point)
    world.service.umount("db")
    world.service.delete("db", keep_data=True)
    assert place.is_dir()
    assert world.service.list_volumes() == {}


def test_drivers(world: World) -> None:
    with pytest.raises(UsageError, match="runs no driver 'zfs'"):
        world.service.create(Wish("u", "db"), "zfs")
    with pytest.raises(UsageError, match="runs no driver"):
        world.service.list_volumes("zfs")
    for flag in ({"identity": "7"}, {"kind": "gp2"}, {"iops": 3}):
        with pytest.raises(UsageError, match="has no --"):
            world.create("db", **flag)
    world.create("db")
    del world.service.drivers["vfs"]
    assert len(world.service.list_volumes()) == 1
    with pytest.raises(UnavailableError, match="does not run here"):
        world.service.mount("db")


def test_a_disk_image(world: World) -> None:
    volume = world.create("vm1", vm=True, size=10 << 30)
    image = Path(world.service.mount("vm1").mount_point) / "disk.img"
    assert image.stat().st_size == volume.size == 10 << 30
    assert image.stat().st_blocks == 0
    with pytest.raises(UsageError, match="no multiple of 512"):
        world.create("vm2", vm=True, size=1000)


def test_restoring_checks_size_and_driver(world: World, tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        raise AssertionError("nothing may be restored")

    origin = Origin("vfs", 4096, {}, fill)
    with pytest.raises(UsageError, match="has 4096 bytes, 8192 were asked for"):
        world.service.create(Wish("u", "db", size=8192), "", origin)
    with pytest.raises(UsageError, match="made by driver 'vfs'"):
        world.service.create(Wish("u", "db"), "devicemapper", origin)
    with pytest.raises(UsageError, match="runs no driver"):
        world.service.create(Wish("u", "db"), "", Origin("devicemapper", 4096, {}, fill))
    assert world.service.catalogue.list_operations() == []


def words(previews: tuple[Preview, ...]) -> list[str]:
    """What a driver without programs says."""
    assert not any(each.program for each in previews)
    return [line for each in previews for line in each.words]


def test_previews_change_nothing(world: World) -> None:
    world.create("db")
    world.service.create_snapshot("db", "monday")
    before = (world.files(), world.service.list_volumes())
    (made,) = words(previews.preview_create(world.service, Wish("u", "other"), "", None))
    assert made.startswith("mkdir ")
    made, imaged = words(previews.preview_create(world.service, Wish("u", "other", 4096, vm=True), "", None))
    assert imaged.startswith("truncate -s 4096 ")
    (packed,) = words(previews.preview_snapshot(world.service, "db", "tuesday"))
    assert packed.startswith("tar ")
    (mounted,) = words(previews.preview_mount(world.service, "db", ""))
    assert mounted.endswith("nothing is mounted")
    shown = previews.preview_delete(world.service, "db")
    assert [each.title for each in shown] == ["snapshot monday", "volume db"]
    archive, folder = words(shown)
    assert archive.startswith("rm /")
    assert folder.startswith("rm -r /")
    (kept,) = words(previews.preview_delete(world.service, "db", keep_data=True))
    assert kept.endswith("stays as it is")
    assert words(previews.preview_delete_snapshot(world.service, "monday")) == [archive]
    assert (world.files(), world.service.list_volumes()) == before


def test_previews_refuse_what_the_change_would_refuse(world: World) -> None:
    world.create("db")
    world.service.create_snapshot("db", "monday")
    with pytest.raises(ExistsError):
        previews.preview_create(world.service, Wish("u", "db"), "", None)
    with pytest.raises(ExistsError):
        previews.preview_snapshot(world.service, "db", "monday")
    with pytest.raises(UsageError, match="is not mounted"):
        previews.preview_umount(world.service, "db")
    with pytest.raises(RefusedError):
        previews.preview_delete(world.service, "db", refuse_snapshots=True)
    place = world.service.mount("db").mount_point
    assert words(previews.preview_mount(world.service, "db", "")) == [f"nothing: it is mounted at {place} already"]
    assert words(previews.preview_umount(world.service, "db")) == ["nothing is mounted"]
    with pytest.raises(BusyError):
        previews.preview_delete(world.service, "db")


def test_of_many_creations_of_one_name_one_is_made(world: World) -> None:
    made: list[Volume] = []
    refused: list[ExistsError] = []

    def create() -> None:
        try:
            made.append(world.create("db"))
        except ExistsError as error:
            refused.append(error)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(made), len(refused)) == (1, 7)
    assert world.files() == [".snapshots", made[0].facts["Folder"]]


def test_a_deletion_that_stumbles_keeps_what_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.create("db")
    place = Path(world.service.mount("db").mount_point)
    world.service.umount("db")

    def stumble(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", stumble)
        with pytest.raises(PermissionError):
            world.service.delete("db")
    assert place.is_dir()
    world.restart()
    world.service.delete("db")


def test_lists_do_not_wait_for_an_operation(world: World) -> None:
    world.create("db")
    world.driver.gate = threading.Event()
    mounting = threading.Thread(target=world.service.mount, args=("db",))
    mounting.start()
    assert [each["Name"] for each in world.service.list_volumes().values()] == ["db"]
    assert world.service.inspect("db")["MountPoint"] == ""
    world.driver.gate.set()
    mounting.join()
    assert world.service.inspect("db")["MountPoint"] != ""


def test_a_missing_folder_stops_the_start(world: World) -> None:
    world.create("db")
    place = Path(world.service.mount("db").mount_point)
    place.rename(place.with_name("elsewhere"))
    with pytest.raises(DrystoneError, match="is not there"):
        world.restart()
    place.with_name("elsewhere").rename(place)
    world.restart()


def test_options_of_vfs(tmp_path: Path) -> None:
    def make(options: dict[str, str]) -> VfsDriver:
        catalogue = Catalogue(tmp_path / "c", SystemClock())
        return FACTORY.make(Setting(tmp_path, tmp_path, options, SystemClock(), catalogue))

    for options, message in (
        ({}, "needs the option vfs.path"),
        ({"vfs.path": "x"}, "no absolute path"),
        ({"vfs.path": "/x", "vfs.defaultvolumesize": "1x"}, "not a whole number"),
        ({"vfs.path": "/x", "vfs.other": "1"}, "no option 'vfs.other'"),
    ):
        with pytest.raises(UsageError, match=message):
            make(options)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is no folder"):
        make({"vfs.path": str(tmp_path / "file")}).start([])


def volume_of(name: str) -> Volume:
    uuid = new_uuid()
    return Volume(
        uuid, name, "vfs", 0, "2026-01-02T03:04:05+00:00", "", {"Folder": f"{name}-1", "PrepareForVM": "false"}
    )


@pytest.mark.parametrize("left", [[], [".making-{}"], [".making-{}", ".making-{}.tar"], ["db-1"], ["db-1", "db-1/sub"]])
def test_a_creation_that_was_cut_short_is_undone(world: World, left: list[str]) -> None:
    volume = volume_of("db")
    world.service.catalogue.begin_create(volume)
    for name in left:
        path = world.folder / "volumes" / name.format(volume.uuid)
        if name.endswith(".tar"):
            path.write_bytes(b"half")
        else:
            path.mkdir()
    world.restart()
    assert world.files() == [".snapshots"]
    assert world.service.catalogue.list_operations() == []
    world.create("db")


@pytest.mark.parametrize("moved", [False, True])
def test_a_deletion_that_was_cut_short_is_completed(world: World, moved: bool) -> None:
    volume = world.create("db")
    place = Path(world.service.mount("db").mount_point)
    world.service.umount("db")
    (place / "file").write_text("content")
    world.service.catalogue.begin_delete(volume)
    if moved:
        place.rename(place.with_name(f".gone-{volume.uuid}"))
    world.restart()
    assert world.files() == [".snapshots"]
    assert world.service.list_volumes() == {}


@pytest.mark.parametrize("written", [False, True])
def test_a_snapshot_that_was_cut_short_is_undone(world: World, written: bool) -> None:
    volume = world.create("db")
    facts = {"File": "s1.tar"}
    snapshot = Snapshot("s1", "monday", volume.uuid, "2026-01-02T03:04:05+00:00", 0, facts)
    world.service.catalogue.begin_create_snapshot(volume, snapshot)
    if written:
        (world.folder / "volumes" / ".snapshots" / "s1.tar").write_bytes(b"half")
    world.restart()
    assert list((world.folder / "volumes" / ".snapshots").iterdir()) == []
    world.service.create_snapshot("db", "monday")


def test_the_deletion_of_a_snapshot_that_was_cut_short_is_completed(world: World) -> None:
    volume = world.create("db")
    snapshot = world.service.create_snapshot("db", "monday")
    world.service.catalogue.begin_delete_snapshot(volume, snapshot)
    world.restart()
    assert world.service.catalogue.list_snapshots() == []
    assert list((world.folder / "volumes" / ".snapshots").iterdir()) == []


def test_an_operation_whose_driver_does_not_run_is_kept(world: World) -> None:
    world.service.catalogue.begin_create(Volume("u", "db", "other", 0, "2026-01-02T03:04:05+00:00"))
    world.restart()
    assert len(world.service.catalogue.list_operations()) == 1

"""Volumes that become larger, over the simulated machine: killed at every step the old size or the new, everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from drystone.base.errors import BusyError, DrystoneError, RefusedError, UnsupportedError, UsageError
from drystone.testing.faults import Killed
from drystone.volumes import previews
from drystone.volumes.fsck import _find, examine, repair
from drystone.volumes.resizing import find_resizer
from drystone.volumes.trimming import Trimmed, trim

from .world import World

OLD, NEW = 1 << 20, 3 << 20


def sizes(world: World, name: str) -> tuple[int, int, int]:
    """Bytes of a volume: in the catalogue, of its table, of its file system."""
    volume = world.service.find_volume(name)
    table = world.host.kernel.table(f"convoy-pool-{volume.uuid}")
    length = (table[-1].start + table[-1].length) * 512
    return volume.size, length, world.host.filled[int(volume.facts["DevID"])] * 512


def prepare(folder: Path) -> World:
    folder.mkdir(exist_ok=True)
    world = World(folder)
    world.start()
    world.create("idle")
    world.create("busy")
    world.service.mount("busy")
    world.service.create_snapshot("busy", "monday")
    return world


OPERATIONS: dict[str, Callable[[World], object]] = {
    "busy": lambda world: world.service.resize("busy", NEW),
    "idle": lambda world: world.service.resize("idle", NEW),
}


@pytest.mark.parametrize("reboot", [False, True], ids=["killed", "power-cut"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_before_every_change(tmp_path: Path, name: str, reboot: bool) -> None:
    model = prepare(tmp_path / "model")
    model.host.steps.clear()
    OPERATIONS[name](model)
    steps = len(model.host.steps)
    assert sizes(model, name) == (NEW,) * 3
    model.check()
    model.catalogue.close()
    seen = []
    for kill_at in range(1, steps + 1):
        world = prepare(tmp_path / str(kill_at))
        world.host.steps.clear()
        world.host.kill_at = kill_at
        with pytest.raises(Killed):
            OPERATIONS[name](world)
        world.restart(reboot=reboot)
        world.check()
        assert sizes(world, name) in {(OLD,) * 3, (NEW,) * 3}, f"killed before step {kill_at}"
        assert examine(world.service) == []
        seen.append(sizes(world, name))
        OPERATIONS[name](world)
        assert sizes(world, name) == (NEW,) * 3
        world.check()
        world.catalogue.close()
    assert {seen[0], seen[-1]} == {(OLD,) * 3, (NEW,) * 3}


def test_killed_and_killed_again_while_it_goes_on(tmp_path: Path) -> None:
    """The start that goes on with it is killed at every step, too."""

    def cut_short(folder: Path) -> World:
        world = prepare(folder)
        world.host.steps.clear()
        world.host.kill_at = 4
        with pytest.raises(Killed):
            world.service.resize("idle", NEW)
        world.catalogue.close()
        world.host.revive()
        return world

    model = cut_short(tmp_path / "model")
    model.start()
    steps = len(model.host.steps)
    assert sizes(model, "idle") == (NEW,) * 3
    model.catalogue.close()
    for kill_at in range(1, steps + 1):
        world = cut_short(tmp_path / str(kill_at))
        world.host.kill_at = kill_at
        with pytest.raises(Killed):
            world.start()
        world.restart()
        world.check()
        assert sizes(world, "idle") == (NEW,) * 3
        world.catalogue.close()


def test_the_volume_alone(tmp_path: Path) -> None:
    world = prepare(tmp_path)
    world.service.resize("busy", NEW, filesystem=False)
    assert sizes(world, "busy") == (NEW, NEW, OLD)
    with pytest.raises(RefusedError, match="has 3145728 bytes already"):
        world.service.resize("busy", NEW, filesystem=False)
    world.restart(reboot=True)
    assert sizes(world, "busy") == (NEW, NEW, OLD)
    world.service.resize("busy", NEW)
    assert sizes(world, "busy") == (NEW,) * 3
    world.check()


def test_a_snapshot_keeps_its_size_and_what_is_backed_up_upon_it_is_whole(tmp_path: Path) -> None:
    world = prepare(tmp_path)
    world.service.resize("busy", NEW)
    assert world.service.find_snapshot("monday").size == OLD
    tuesday = world.service.create_snapshot("busy", "tuesday")
    assert tuesday.size == NEW
    with world.service.reading("tuesday", [world.service.find_snapshot("monday").uuid]) as reading:
        assert reading.base is None


def test_a_file_system_that_cannot_grow_leaves_the_volume_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = prepare(tmp_path)

    def fail(*_: str) -> None:
        raise DrystoneError("resize2fs failed: errors in it")

    with monkeypatch.context() as patch:
        patch.setattr(world.host, "grow_filesystem", fail)
        with pytest.raises(DrystoneError, match="bytes now, and its file system has not: resize2fs") as error:
            world.service.resize("idle", NEW)
    assert "run the same again" in error.value.hint
    assert sizes(world, "idle") == (NEW, NEW, OLD)
    world.check()
    world.service.resize("idle", NEW)
    assert sizes(world, "idle") == (NEW,) * 3
    world.check()


def test_a_kernel_that_refuses_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = prepare(tmp_path)

    def fail(program: object) -> None:
        raise DrystoneError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(world.host, "execute", fail)
        with pytest.raises(DrystoneError, match="no memory"):
            world.service.resize("busy", NEW)
    assert sizes(world, "busy") == (OLD,) * 3
    world.check()


def test_what_fails_in_a_way_that_nobody_knew_is_gone_on_with_by_fsck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = prepare(tmp_path)

    def fail(*_: str) -> None:
        raise ValueError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(world.host, "grow_filesystem", fail)
        with pytest.raises(ValueError, match="a defect"):
            world.service.resize("busy", NEW)
    (found,) = examine(world.service)
    assert (found.kind, found.subject, found.remedy) == ("cut-short", "busy", "it is completed")
    assert [each.state for each in repair(world.service)] == ["mended"]
    assert sizes(world, "busy") == (NEW,) * 3
    world.check()


def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    world = prepare(tmp_path)
    steps = len(world.host.steps)
    for size, kind, message in (
        (OLD // 2, RefusedError, "none is made smaller"),
        (OLD + 4096, UsageError, "no multiple of the pool's block size"),
        (None, UsageError, "a size is needed"),
    ):
        with pytest.raises(kind, match=message):
            world.service.resize("busy", size)
        with pytest.raises(kind, match=message):
            previews.preview_resize(world.service, "busy", size, filesystem=True)
    world.host.kinds[int(world.service.find_volume("idle").facts["DevID"])] = "btrfs"
    with pytest.raises(UnsupportedError, match="holds btrfs, which cannot be grown here") as held:
        world.service.resize("idle", NEW)
    assert "--no-filesystem" in held.value.hint
    with pytest.raises(UnsupportedError, match="driver plain cannot resize"):
        find_resizer(SimpleNamespace(name="plain"))  # a driver without the ability
    assert len(world.host.steps) == steps
    world.check()


def test_what_it_would_do_is_shown(tmp_path: Path) -> None:
    world = prepare(tmp_path)
    steps = len(world.host.steps)
    (shown,) = previews.preview_resize(world.service, "busy", NEW, filesystem=True)
    assert shown.program is not None
    assert shown.words[-1].startswith("then: the ext4 on /dev/mapper/convoy-pool-")
    (alone,) = previews.preview_resize(world.service, "busy", NEW, filesystem=False)
    assert alone.words == shown.words[:-1]
    assert len(world.host.steps) == steps


def test_trim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = prepare(tmp_path)
    assert trim(world.service) == [Trimmed("busy", OLD // 2)]
    assert trim(world.service, ["busy"]) == [Trimmed("busy", OLD // 2)]
    with pytest.raises(UsageError, match="volume idle is not mounted"):
        trim(world.service, ["busy", "idle"])
    world.service.mount("idle")

    def fail(target: str) -> int:
        if target == world.service.find_volume("busy").mount_point:
            raise UnsupportedError("takes no discards")
        return 5

    monkeypatch.setattr(world.host, "trim", fail)
    assert trim(world.service) == [Trimmed("idle", 5), Trimmed("busy", 0, "takes no discards")]
    with pytest.raises(UnsupportedError, match="takes no discards"):
        trim(world.service, ["busy"])


def test_only_the_volume_itself_is_trimmed(tmp_path: Path) -> None:
    world = prepare(tmp_path)
    place = world.service.find_volume("busy").mount_point
    other = world.service.find_volume("idle")
    world.host.mount(f"/dev/mapper/convoy-pool-{other.uuid}", place, "ext4")
    with pytest.raises(BusyError, match=f"convoy-pool-{other.uuid} is mounted at {place}"):
        trim(world.service, ["busy"])
    for _ in range(2):
        world.host.unmount(place)
    with pytest.raises(BusyError, match="nothing is mounted at"):
        trim(world.service, ["busy"])


def test_a_root_behind_a_link(tmp_path: Path) -> None:
    """The kernel lists mounts by their real places: one that is made for the growth is found, and goes."""
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")
    world = prepare(tmp_path / "root")
    world.service.resize("idle", NEW)
    assert sizes(world, "idle") == (NEW,) * 3
    world.check()
    world.service.delete("idle")


def test_what_was_left_of_a_smaller_growth_makes_nothing_smaller(tmp_path: Path) -> None:
    """A growth that could not be ended keeps others away; one that is smaller than the volume is only forgotten."""
    world = prepare(tmp_path)
    volume = world.service.find_volume("idle")
    left = world.catalogue.begin_resize(replace(volume, size=2 << 20), filesystem=True)
    for resize in (world.service.resize, partial(previews.preview_resize, world.service, filesystem=True)):
        with pytest.raises(BusyError, match="something else is done to volume idle") as busy:
            resize("idle", NEW)
        assert "fsck --repair" in busy.value.hint
    world.catalogue.drop(left)
    world.service.resize("idle", NEW)
    with world.catalogue._write() as connection:  # as a defect would have it
        world.catalogue._begin(connection, "resize", replace(volume, size=2 << 20), None, filesystem=True)
        world.catalogue._begin(connection, "resize", replace(volume, uuid="gone", name="gone"), None, filesystem=True)
    world.restart()
    assert sizes(world, "idle") == (NEW,) * 3
    world.check()


def test_what_fsck_saw_before_a_growth_makes_nothing_smaller_after_it(tmp_path: Path) -> None:
    world = prepare(tmp_path)
    del world.host.nodes[f"convoy-pool-{world.service.find_volume('busy').uuid}"]
    (finding,) = (found for _, found in _find(world.service))
    assert (finding.kind, finding.subject) == ("no-node", "busy")
    world.service.resize("busy", NEW)
    assert finding.mend is not None
    finding.mend()
    assert sizes(world, "busy") == (NEW,) * 3
    world.check()

"""Volume and file system, one after the other; on file systems that only note what is done to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError, NotFoundError, RefusedError, UsageError
from drystone.dvm.groups.group import Index
from drystone.dvm.metadata.create import Wish as NewVolume
from drystone.dvm.metadata.create import create
from drystone.dvm.metadata.thin import thin_pool
from drystone.dvm.planning.resizing import Content
from drystone.dvm.transactions.resize import Wish, resize
from drystone.kernel.dm.abc import DeviceInfo
from drystone.testing.live_groups import FileGroup

MIB = 1 << 20


class Systems:
    """`done`: each call, with the size that the volume had by then. `fails`: the call that does."""

    def __init__(self, world: FileGroup, content: Content, fails: str = "") -> None:
        self.world, self.content, self.fails = world, content, fails
        self.done: list[tuple[object, ...]] = []

    def _note(self, what: str, *more: object) -> None:
        if what == self.fails:
            raise DrystoneError(f"{what} failed")
        self.done.append((what, volume_size(self.world) // MIB, *more))

    def look(self, info: DeviceInfo) -> Content:
        assert info.name == "vg-db"
        return self.content

    def check(self, kind: str, device: str) -> None:
        self._note("check", kind, device)

    def grow(self, kind: str, device: str, target: str) -> None:
        self._note("grow", kind, device, target)

    def shrink(self, kind: str, device: str, size: int) -> None:
        self._note("shrink", kind, device, size // MIB)

    def path(self, info: DeviceInfo) -> str:
        return f"/dev/{info.name}"


def volume_size(world: FileGroup) -> int:
    return Index(world.group()).find("db").size


@pytest.fixture
def world(tmp_path: Path) -> FileGroup:
    world = FileGroup(tmp_path)
    world.update(lambda group: create(group, NewVolume("db", 8 * MIB), world.ids))
    return world


def test_larger_the_volume_comes_first(world: FileGroup) -> None:
    systems = Systems(world, Content("xfs", "/srv", in_use=True))
    done = resize(world.live(), Wish("db", by=3 * MIB + 1), systems)
    assert (done.old, done.new, done.file_system, done.mounted) == (8 * MIB, 12 * MIB, "xfs", "/srv")
    assert systems.done == [("grow", 12, "xfs", "/dev/vg-db", "/srv")]
    assert world.state().devices[0].length == 12 * MIB // 512


def test_smaller_the_file_system_comes_first_and_fits(world: FileGroup) -> None:
    systems = Systems(world, Content("ext4"))
    done = resize(world.live(), Wish("db", size=3 * MIB + 5), systems)
    assert done.new == 4 * MIB, "never smaller than asked for"
    assert systems.done == [("check", 8, "ext4", "/dev/vg-db"), ("shrink", 8, "ext4", "/dev/vg-db", 4)]
    assert volume_size(world) == 4 * MIB


@pytest.mark.parametrize(
    ("wish", "fails", "left"),
    [
        (Wish("db", by=8 * MIB), "check", 16),
        (Wish("db", by=8 * MIB), "grow", 16),
        (Wish("db", size=4 * MIB), "check", 8),
        (Wish("db", size=4 * MIB), "shrink", 8),
    ],
)
def test_what_fails_is_gone_on_with_by_the_same_size_again(world: FileGroup, wish: Wish, fails: str, left: int) -> None:
    with pytest.raises(DrystoneError, match=f"{fails} failed") as failure:
        resize(world.live(), wish, Systems(world, Content("ext4"), fails))
    # --by once more would add to what was reached already.
    size = 16 * MIB if wish.by else 4 * MIB
    is_first = fails == "check" and not wish.by
    assert failure.value.hint == ("" if is_first else f"--size {size} goes on from there")
    assert volume_size(world) == left * MIB
    again = Systems(world, Content("ext4"))
    resize(world.live(), Wish("db", size=size), again)
    assert volume_size(world) == size
    assert [each[0] for each in again.done] == (["check", "grow"] if wish.by else ["check", "shrink"])


def test_a_rehearsal_and_a_refusal_change_nothing(world: FileGroup) -> None:
    systems = Systems(world, Content("ext4"))
    assert resize(world.live(), Wish("db", size=4 * MIB), systems, dry_run=True).new == 4 * MIB
    for wish, content, error in (
        (Wish("db", size=4 * MIB), Content("ext4", "/srv", in_use=True), RefusedError),
        (Wish("db", size=0), Content("ext4"), UsageError),
        (Wish("db", by=-9 * MIB), Content("ext4"), UsageError),
        (Wish("db", size=MIB, by=MIB), Content(), UsageError),
        (Wish("nobody", size=MIB), Content(), NotFoundError),
    ):
        with pytest.raises(error):
            resize(world.live(), wish, Systems(world, content))
    assert systems.done == []
    assert (volume_size(world), world.sequence()) == (8 * MIB, 2)


def test_what_is_not_active_or_holds_none(world: FileGroup) -> None:
    world.update(lambda group: thin_pool(group, "pool", 8 * MIB, world.ids))
    with pytest.raises(UsageError, match="holds no file system"):
        resize(world.live(), Wish("pool", by=MIB), Systems(world, Content()))
    world.restart()
    with pytest.raises(NotFoundError, match="db is not active"):
        resize(world.live(), Wish("db", by=MIB), Systems(world, Content()))

from __future__ import annotations

import pytest

from drystone.base.errors import ExistsError, NotFoundError, RefusedError, UsageError
from drystone.dvm.discovery.devices import GroupDevice, Span
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.devices import add_devices, change_device, drop_device, new_group, refresh_devices
from drystone.testing.groups import find, ids, make_group

MIB = 1 << 20


def found(size: int, *spans: tuple[int, int], missing: bool = False) -> GroupDevice:
    return GroupDevice("new", "/dev/new", size, regions=tuple(Span(*span) for span in spans), missing=missing)


@pytest.mark.parametrize(
    ("spans", "start", "extents"),
    [
        ([], MIB, 15),
        ([(1, 257)], 2 * MIB, 14),
        ([(1, 2)], MIB, 15),
        ([(3840, 4096)], MIB, 14),
        ([(1, 257), (3840, 4096)], 2 * MIB, 13),
        ([(2048, 2304)], MIB, 7),
        ([(1024, 1280)], 5 * MIB, 11),
    ],
)
def test_extents_lie_in_the_largest_stretch_without_metadata(
    spans: list[tuple[int, int]], start: int, extents: int
) -> None:
    group = new_group("vg", [found(16 * MIB, *spans)], ids(), extent_size=MIB)
    assert (group.devices[0].start, group.devices[0].extents) == (start, extents)


def test_a_device_without_room_or_missing_or_known_is_refused() -> None:
    with pytest.raises(UsageError, match="no room"):
        new_group("vg", [found(2 * MIB, (1, 257))], ids(), extent_size=MIB)
    with pytest.raises(UsageError, match="missing"):
        new_group("vg", [found(0, missing=True)], ids())
    group = add_devices(make_group(1), [found(16 * MIB)])
    assert [device.uuid for device in group.devices] == ["disk0", "new"]
    with pytest.raises(ExistsError):
        add_devices(group, [found(16 * MIB)])


def test_a_device_that_holds_something_stays() -> None:
    group = create(make_group(2), Wish("db", 2 * MIB, devices=("/dev/disk1",)), ids())
    with pytest.raises(UsageError, match="in use by db"):
        drop_device(group, "disk1")
    assert [device.uuid for device in drop_device(group, "/dev/disk0").devices] == ["disk1"]
    with pytest.raises(NotFoundError):
        drop_device(group, "disk2")


def test_devices_that_moved_grew_or_shrank() -> None:
    group = create(make_group(2), Wish("db", 4 * MIB), ids())

    def seen(size: int, *spans: tuple[int, int], missing: bool = False) -> list[GroupDevice]:
        regions = (Span(1, 257), *(Span(*span) for span in spans))
        return [GroupDevice("disk0", "/dev/moved", size, regions=regions, missing=missing)]

    larger = refresh_devices(group, seen(100 * MIB))
    assert (larger.devices[0].path, larger.devices[0].extents, larger.devices[1]) == (
        "/dev/moved",
        98,
        group.devices[1],
    )
    assert refresh_devices(group, seen(100 * MIB, (50 * 256, 51 * 256))).devices[0].extents == 48
    assert refresh_devices(group, seen(6 * MIB)).devices[0].extents == 4
    with pytest.raises(RefusedError, match="room for 3 extents, volumes have 4"):
        refresh_devices(group, seen(6 * MIB - 1))
    assert refresh_devices(group, seen(0, missing=True)) == group
    assert refresh_devices(group, [found(MIB)]) == group


def test_a_closed_device_gives_no_extents() -> None:
    group = change_device(make_group(2), "disk0", allocatable=False, path="/dev/moved")
    assert group.devices[0].path == "/dev/moved"
    group = create(group, Wish("db", 2 * MIB), ids())
    assert {run.device for run in find(group, "db").runs()} == {"disk1"}

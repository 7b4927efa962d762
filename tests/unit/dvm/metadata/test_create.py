from __future__ import annotations

import pytest

from drystone.base.errors import ExhaustedError, ExistsError, NotFoundError, RefusedError, UsageError
from drystone.dvm.groups.group import Group, visible
from drystone.dvm.groups.kinds import Linear, Raid, Row, Run, Striped
from drystone.dvm.metadata.create import Wish, create, rows_of
from drystone.dvm.metadata.names import tag
from drystone.testing.groups import find, ids, make_group

MIB = 1 << 20


def test_a_linear_volume_is_rounded_up_to_extents() -> None:
    volume = find(create(make_group(), Wish("db", 2 * MIB + 1, tags=("hot",)), ids()), "db")
    assert isinstance(volume, Linear)
    assert (volume.size, volume.segments, volume.tags) == (3 * MIB, (Run("disk0", 0, 3),), ("hot",))


def test_a_striped_volume_has_a_leg_on_each_of_its_devices() -> None:
    volume = find(create(make_group(), Wish("db", 7 * MIB, 3, 4096), ids(), "striped"), "db")
    assert isinstance(volume, Striped)
    assert volume.size == 9 * MIB
    assert volume.rows == (Row((Run("disk0", 0, 3), Run("disk1", 0, 3), Run("disk2", 0, 3))),)


@pytest.mark.parametrize(
    ("kind", "legs", "size", "data"),
    [("raid1", 0, 4, 4), ("raid1", 3, 4, 4), ("raid5", 0, 4, 2), ("raid6", 0, 4, 2), ("raid10", 0, 4, 2)],
)
def test_a_raid_set_has_data_and_metadata_of_a_leg_on_one_device(kind: str, legs: int, size: int, data: int) -> None:
    group = create(make_group(), Wish("db", size * MIB, legs), ids(), kind)
    volume = find(group, "db")
    assert isinstance(volume, Raid)
    assert (volume.kind, volume.size) == (kind, size * MIB)
    by_uuid = {each.uuid: each for each in group.volumes}
    homes: list[str] = []
    for leg in volume.legs:
        parts = by_uuid[leg.metadata], by_uuid[leg.data]
        assert parts[1].size == data * MIB
        devices = {run.device for part in parts for run in part.runs()}
        assert len(devices) == 1
        homes += devices
    assert len(set(homes)) == len(homes) == (legs or {"raid1": 2, "raid5": 3, "raid6": 4, "raid10": 4}[kind])
    assert visible(group) == (volume,)


def test_devices_are_chosen_by_path_uuid_and_tag() -> None:
    group = tag(make_group(), "disk3", add=["ssd"])
    for reference, disk in (("/dev/disk2", "disk2"), ("disk1", "disk1"), ("@ssd", "disk3")):
        volume = find(create(group, Wish("db", MIB, devices=(reference,)), ids()), "db")
        assert [run.device for run in volume.runs()] == [disk]
    with pytest.raises(NotFoundError):
        create(group, Wish("db", MIB, devices=("/dev/sdz",)), ids())
    with pytest.raises(ExhaustedError):
        create(group, Wish("db", MIB, devices=("@none",)), ids())


def refused(group: Group, wish: Wish, kind: str = "linear") -> type[Exception]:
    with pytest.raises((UsageError, ExistsError, ExhaustedError, RefusedError)) as caught:
        create(group, wish, ids(), kind)
    return caught.type


def test_what_cannot_be_made() -> None:
    group = create(make_group(3, 10), Wish("db", MIB), ids())
    assert refused(group, Wish("db", MIB)) is ExistsError
    assert refused(group, Wish("x:y", MIB)) is UsageError
    assert refused(group, Wish("new", 0)) is UsageError
    assert refused(group, Wish("new", -1)) is UsageError
    assert refused(group, Wish("new", 30 * MIB)) is ExhaustedError
    assert refused(group, Wish("new", MIB, 2)) is UsageError
    assert refused(group, Wish("new", MIB, 1), "striped") is UsageError
    assert refused(group, Wish("new", MIB, 4), "striped") is ExhaustedError
    assert refused(group, Wish("new", MIB, 2, 3000), "striped") is UsageError
    assert refused(group, Wish("new", MIB, 2), "raid5") is UsageError
    assert refused(group, Wish("new", MIB, 5), "raid10") is UsageError
    assert refused(group, Wish("new", MIB, nosync=True), "raid5") is RefusedError
    assert refused(group, Wish("new", MIB), "thin") is UsageError
    assert refused(group, Wish("new", MIB, policy="inherit")) is UsageError


def test_a_row_ends_where_one_of_its_legs_goes_on_elsewhere() -> None:
    legs = [(Run("a", 0, 2), Run("a", 5, 3)), (Run("b", 0, 4), Run("c", 0, 1))]
    assert rows_of(legs) == (
        Row((Run("a", 0, 2), Run("b", 0, 2))),
        Row((Run("a", 5, 2), Run("b", 2, 2))),
        Row((Run("a", 7, 1), Run("c", 0, 1))),
    )

from __future__ import annotations

from typing import Any

import pytest

from drystone.base.errors import RefusedError, UsageError
from drystone.dvm.groups.kinds import Leg, Linear, Raid1, Row, Run, Striped
from drystone.dvm.groups.rules import check_group
from drystone.dvm.lvm2.assembly import Assembled, assemble
from drystone.dvm.lvm2.conversion import convert
from drystone.dvm.lvm2.survey import survey
from drystone.testing.lvm2_metadata import (
    GROUP_UUID,
    device_uuid,
    linear,
    mirror,
    raid1,
    striped,
    volume_uuid,
    write_device,
    write_text,
    write_volume,
)

HIDDEN = '"READ", "WRITE"'
EXTENT = 512 * 512


def assembled(volumes: dict[str, str], *, there: tuple[int, ...] = (0, 1, 2), **more: Any) -> Assembled:
    text = write_text(volumes, devices=3, **more)
    (found,) = assemble(survey([write_device(number, [text]) for number in there]))
    return found


def lv(*segments: str, number: int = 1, **more: Any) -> str:
    return write_volume(number, segments, **more)


def test_linear_and_striped_and_a_missing_device() -> None:
    volumes = {
        "home": lv(linear(0, 2, "pv0", 3), linear(2, 1, "pv0", 5), linear(3, 1, "pv1", 0), more='tags = ["t"]\n'),
        "two": lv(striped(0, 4, [("pv1", 1), ("pv2", 5)], chunk=64), number=2),
    }
    group, left_out = convert(assembled(volumes, there=(0, 2), more='tags = ["g"]\n'))
    check_group(group)
    assert left_out == {}
    assert (group.name, group.uuid, group.extent_size, group.tags) == ("vg", GROUP_UUID, EXTENT, ("g",))
    assert [(each.uuid, each.path) for each in group.devices] == [
        (device_uuid(0), "/dev/test0"),
        (device_uuid(1), ""),
        (device_uuid(2), "/dev/test2"),
    ]
    assert {(each.size, each.start, each.extents, each.allocatable) for each in group.devices} == {
        (4 << 20, 1 << 20, 10, True)
    }
    runs = (Run(device_uuid(0), 3, 3), Run(device_uuid(1), 0, 1))
    rows = (Row((Run(device_uuid(1), 1, 2), Run(device_uuid(2), 5, 2))),)
    assert group.volumes == (
        Linear(uuid=volume_uuid(1), name="home", size=4 * EXTENT, tags=("t",), segments=runs),
        Striped(uuid=volume_uuid(2), name="two", size=4 * EXTENT, chunk=32768, rows=rows),
    )


def test_a_text_that_tells_no_size_of_devices() -> None:
    """It is the device's that is there, and of a missing one as much as its extents need."""
    group, _ = convert(assembled({}, there=(0, 2), device_size=0))
    assert [each.size for each in group.devices] == [4 << 20, (1 << 20) + 10 * EXTENT, 4 << 20]


def test_a_device_that_is_not_allocated_from() -> None:
    text = write_text({}, devices=2).replace(b'["ALLOCATABLE"]', b"[]", 1)
    (found,) = assemble(survey([write_device(number, [text]) for number in range(2)]))
    assert [each.allocatable for each in convert(found)[0].devices] == [False, True]


def images(**more: str) -> dict[str, str]:
    return {
        **more,
        "i0": lv(linear(0, 4, "pv0", 1), number=11, status=HIDDEN),
        "m0": lv(linear(0, 1, "pv0", 0), number=12, status=HIDDEN),
        "i1": lv(linear(0, 4, "pv1", 1), number=13, status=HIDDEN),
        "m1": lv(linear(0, 1, "pv1", 0), number=14, status=HIDDEN),
    }


RAID = raid1(4, ["m0", "i0", "m1", "i1"])


def test_raid1() -> None:
    group, left_out = convert(assembled(images(db=lv(RAID, status=f'{HIDDEN}, "VISIBLE", "NOTSYNCED"'))))
    check_group(group)
    assert left_out == {}
    raid, *parts = group.volumes
    assert raid == Raid1(
        uuid=volume_uuid(1),
        name="db",
        size=4 * EXTENT,
        legs=(Leg(volume_uuid(11), volume_uuid(12)), Leg(volume_uuid(13), volume_uuid(14))),
        region=2 << 20,
        nosync=True,
    )
    assert [(part.name, part.part_of) for part in parts] == [
        (name, volume_uuid(1)) for name in ("db:meta0", "db:data0", "db:meta1", "db:data1")
    ]


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [
        (images(db=lv(mirror(4, ["i0", "i1"]))), "segments of type mirror have no kind"),
        (images(db=lv(RAID + "writebehind = 9\n")), "recovery rates or write-behind"),
        (images(db=lv(RAID.replace("region_size = 4096\n", ""))), "its region size is not told"),
        (images(db=lv(raid1(4, ["i0", "i1"]).replace("t = 1", "t = 2"))), "i0 has no metadata beside it"),
        ({"db": lv(linear(0, 1, "pv0", 0), status='"READ", "VISIBLE"')}, "it is read-only"),
        ({"db": lv(linear(0, 1, "pv0", 0), striped(1, 2, [("pv1", 0), ("pv2", 0)]))}, "it is linear in part"),
        (images(db=lv(linear(0, 1, "i0", 0))), "it stands on other volumes"),
        ({"db": lv('start_extent = 0\nextent_count = 1\ntype = "thin"\n')}, "it is of type thin, which is not read"),
    ],
)
def test_what_a_group_document_cannot_hold(volumes: dict[str, str], reason: str) -> None:
    found = assembled(volumes)
    with pytest.raises(RefusedError, match=f"1 volumes of vg cannot be in a group document .*{reason}"):
        convert(found)
    group, left_out = convert(found, leave_out=True)
    assert reason in left_out["db"]
    assert group.volumes == ()
    assert not any(device.allocatable for device in group.devices)


def test_names_and_tags_that_are_lvm2s_alone() -> None:
    good = lv(linear(0, 1, "pv0", 0))
    volumes = {
        "home": good,
        "a": lv(linear(0, 1, "pv0", 1), number=2),
        "x+y": lv(linear(0, 1, "pv0", 2), number=3),
        "tagged": lv(linear(0, 1, "pv0", 3), number=4, more='tags = ["a b"]\n'),
        "db": lv(raid1(4, ["m0", "i0", "m1", "i1"], region=9), number=5),
    }
    found = assembled(images(**volumes) | {"i0": lv(linear(0, 4, "pv0", 4), number=11, status=HIDDEN)
        , "m0": lv(linear(0, 1, "pv0", 8), number=12, status=HIDDEN)})  # fmt: skip
    with pytest.raises(RefusedError, match="4 volumes of vg cannot be in a group document"):
        convert(found)
    group, left_out = convert(found, leave_out=True)
    assert [each.name for each in group.volumes] == ["home"]
    assert {name: reason.partition(" (")[0] for name, reason in left_out.items()} == {
        "a": "name of a volume 'a' is not valid",
        "x+y": "name of a volume 'x+y' is not valid",
        "tagged": "tagged: 'a b' cannot be a tag",
        "db": "db: a region of 4608 bytes",
    }


def test_a_group_that_cannot_be_a_document() -> None:
    with pytest.raises(UsageError, match="LVM2 group vg: an extent of"):
        convert(assembled({}, extent_size=513, extents=2))

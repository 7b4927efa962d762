from __future__ import annotations

from typing import Any

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.group import Group, parse_group, stands_on
from drystone.formats.lvm2.segments import Images, Mirrors, Nothing, Place, Segment, Stripes, Unread
from drystone.testing.lvm2_metadata import (
    GROUP_UUID,
    device_uuid,
    linear,
    mirror,
    raid1,
    striped,
    volume_uuid,
    write_text,
    write_volume,
)

HIDDEN = '"READ", "WRITE"'


def parse(volumes: dict[str, str], **more: Any) -> Group:
    return parse_group(write_text(volumes, **more))


def one(segment: str, **more: Any) -> Segment:
    """The one segment of a group's one volume."""
    return parse({"lv": write_volume(1, [segment])}, devices=3, **more).logical[0].segments[0]


def test_a_group() -> None:
    group = parse({}, devices=2, seqno=7, description=r"Write from \"x\".", more='tags = ["t"]\nsystem_id = "host-a"\n')
    assert (group.name, group.uuid, group.number, group.tags) == ("vg", GROUP_UUID, 7, ("t",))
    assert (group.extent_size, group.system_id, group.allocation, group.lock_type) == (512, "host-a", "normal", "")
    assert (group.description, group.host, group.created) == ('Write from "x".', "host", 1700000000)
    assert group.status == ("RESIZEABLE", "READ", "WRITE")
    assert group.logical == ()
    first, second = group.physical
    assert (first.name, first.uuid, first.hint) == ("pv0", device_uuid(0), "/dev/old0")
    assert (second.size, second.begin, second.extents, second.status) == (8192, 2048, 10, ("ALLOCATABLE",))


def test_a_volume() -> None:
    more = 'tags = ["a", "b"]\nallocation_policy = "cling"\n'
    volume = write_volume(1, [linear(0, 2, "pv0", 3), linear(2, 1, "pv0", 0)], more=more)
    (found,) = parse({"lv": volume}).logical
    assert (found.name, found.uuid, found.extents, found.tags) == ("lv", volume_uuid(1), 3, ("a", "b"))
    assert (found.allocation, found.created, found.host) == ("cling", 1700000000, "host")
    assert found.segments == (
        Segment(0, 2, "striped", Stripes(0, (Place("pv0", 3, True),))),
        Segment(2, 1, "striped", Stripes(0, (Place("pv0", 0, True),))),
    )


def test_stripes() -> None:
    places = [("pv0", 0), ("pv1", 4), ("pv2", 1)]
    expected = tuple(Place(name, extent, True) for name, extent in places)
    assert one(striped(0, 6, places, chunk=32)).mapping == Stripes(32, expected)


def test_kinds_without_places() -> None:
    assert one('start_extent = 0\nextent_count = 4\ntype = "error"\n').mapping == Nothing()
    thin = (
        'start_extent = 0\nextent_count = 400\ntype = "thin"\nthin_pool = "pool"\nzero = 1\norigins = ["a", 3, "b"]\n'
    )
    assert one(thin).mapping == Unread(("pool", "a", "b"))


def image_set(**more: str) -> dict[str, str]:
    parts = {
        name: write_volume(number, [linear(0, extents, f"pv{number % 2}", begin)], status=HIDDEN)
        for number, (name, extents, begin) in enumerate(
            (("m0", 1, 0), ("m1", 1, 0), ("i0", 4, 1), ("i1", 4, 1)), start=10
        )
    }
    return {**more, **parts}


def test_raid1() -> None:
    segment = raid1(4, ["m0", "i0", "m1", "i1"]) + "writebehind = 5\nmax_recovery_rate = 0\n"
    group = parse(image_set(lv=write_volume(1, [segment])), devices=2)
    mapping = group.logical[0].segments[0].mapping
    assert mapping == Images(4096, (("m0", "i0"), ("m1", "i1")), (("max_write_behind", 5),))
    assert set(stands_on(group.logical[0])) == {"m0", "m1", "i0", "i1"}
    bare = raid1(4, ["i0", "i1"]).replace("device_count = 1", "device_count = 2")
    assert parse(image_set(lv=write_volume(1, [bare])), devices=2).logical[0].segments[0].mapping == Images(
        4096, (("", "i0"), ("", "i1"))
    )


def test_mirrors() -> None:
    segment = mirror(4, ["i0", "i1"], log="m0")
    group = parse(image_set(lv=write_volume(1, [segment])), devices=2)
    places = (Place("i0", 0, False), Place("i1", 0, False))
    assert group.logical[0].segments[0].mapping == Mirrors(1024, places, "m0")


def lv(*segments: str, number: int = 1) -> str:
    return write_volume(number, segments)


@pytest.mark.parametrize(
    ("volumes", "message"),
    [
        ({"lv": lv(linear(0, 8, "pv0", 3))}, "vg/lv ends beyond the 10 extents of pv0"),
        ({"lv": lv(linear(0, 1, "pv9", 3))}, "vg/lv is on pv9, which is not in the text"),
        ({"lv": lv(linear(1, 1, "pv0", 3))}, "logical_volumes/lv: a segment begins at extent 1, 0 was"),
        ({"lv": lv(linear(0, 1, "pv0", 0), linear(0, 1, "pv0", 1))}, "begins at extent 0, 1 was expected"),
        ({"lv": lv(linear(0, 0, "pv0", 0))}, "extent_count is 0, which cannot be"),
        ({"lv": lv(linear(0, 3, "pv0", 0)), "x": lv(linear(0, 1, "pv0", 2), number=2)}, "extent 2 of pv0 is in lv and"),
        ({"lv": lv(linear(0, 1, "pv0", 0)), "x": lv(linear(0, 1, "pv0", 2))}, "two volumes have the same UUID"),
        ({"lv": lv(striped(0, 3, [("pv0", 0), ("pv0", 5)]))}, "3 extents cannot be shared by 2 stripes"),
        ({"lv": lv(striped(0, 2, [("pv0", 0)] * 2).replace("pe_count = 2", "pe_count = 3"))}, "3 were announced"),
        ({"lv": lv(raid1(2, ["a", "b", "c"]).replace("device_count = 1", "device_count = 2"))}, "3 names for 2 images"),
        ({"lv": lv(raid1(2, ["a", "b"]))}, "is on b, which is not in the text"),
        ({"lv": lv(mirror(2, ["lv", "lv"], log="lv"))}, None),
        ({"lv": lv("start_extent = 0\nextent_count = 1\n")}, "segment1: type is missing"),
        ({"lv": lv(linear(0, 1, "pv0", 0)).replace("segment_count = 1", "segment_count = 99")}, "segment2 is missing"),
        ({"lv": lv(linear(0, 1, "pv0", 0)).replace('"pv0", 0', '0, "pv0"')}, "a list of names with extents was"),
        ({"lv": lv(linear(0, 1, "pv0", 0)).replace('"pv0", 0', '"pv0", -1')}, "a list of names with extents was"),
        ({"lv": lv(linear(0, 1, "pv0", 0)).replace('id = "V', 'id = "/')}, "which is no UUID"),
        ({"lv": lv(linear(0, 1, "pv0", 0)).replace('"READ", ', "1, ")}, "a list of texts was expected"),
        ({"lv": lv(linear(0, 1, "pv0", 0)).replace("segment1 {", "segment1 = 1 x {")}, "segment1 is 1, a section was"),
        ({"lv": lv(f'start_extent = 0\nextent_count = {1 << 50}\ntype = "zero"\n')}, "is larger than a device can be"),
    ],
)  # fmt: skip
def test_groups_that_cannot_be(volumes: dict[str, str], message: str | None) -> None:
    if message is None:  # a circle is no contradiction of the text; no table is made for it
        assert parse(volumes)
        return
    with pytest.raises(DamagedError, match=message):
        parse(volumes)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("version = 1\n", "version = 2\n", "version 2 is not known"),
        ("contents =", "content =", "contents is missing"),
        ("Text Format", "Text", "'Text Volume Group'"),
        ("vg {", '"v g" {', "'v g' cannot be a name"),
        ("pv1 {", '"../x" {', "physical_volumes: '../x' cannot be a name"),
        ("physical_volumes {", "physical_volumes = 1 x {", "physical_volumes is 1, a section was expected"),
        ("\n}\n# Gen", "\n}\nother {\n}\n# Gen", "2 sections, one group was expected"),
        ("extent_size = 512", "extent_size = 0", "extent_size is 0"),
        ("extent_size = 512", 'extent_size = "x"', "extent_size is 'x', a whole number was expected"),
        ("seqno = 1\n", "", "seqno is missing"),
        (f'"{device_uuid(1)}"', f'"{device_uuid(0)}"', "two volumes have the same UUID"),
    ],
)
def test_texts_that_are_no_group(before: str, after: str, message: str) -> None:
    text = write_text({}, devices=2).decode()
    assert before in text
    with pytest.raises(DamagedError, match=message):
        parse_group(text.replace(before, after).encode())

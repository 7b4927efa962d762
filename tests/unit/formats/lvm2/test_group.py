from __future__ import annotations

from typing import Any

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.group import Group, find_disputed, parse_group, stands_on
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
        ({"lv": lv(linear(0, 1, "pv9", 3))}, "vg/lv is on 'pv9', which is not in the text"),
        ({"lv": lv(linear(1, 1, "pv0", 3))}, "logical_volumes/lv: a segment begins at extent 1, 0 was"),
        ({"lv": lv(linear(0, 1, "pv0", 0), linear(0, 1, "pv0", 1))}, "begins at extent 0, 1 was expected"),
        ({"lv": lv(linear(0, 0, "pv0", 0))}, "extent_count is 0, which cannot be"),
        ({"lv": lv(linear(0, 3, "pv0", 0)), "x": lv(linear(0, 1, "pv0", 2), number=2)}, "extent 2 of pv0 is in lv and"),
        ({"lv": lv(linear(0, 1, "pv0", 0)), "x": lv(linear(0, 1, "pv0", 2))}, "two volumes have the same UUID"),
        ({"lv": lv(striped(0, 3, [("pv0", 0), ("pv0", 5)]))}, "3 extents cannot be shared by 2 stripes"),
        ({"lv": lv(striped(0, 2, [("pv0", 0)] * 2).replace("pe_count = 2", "pe_count = 3"))}, "3 were announced"),
        ({"lv": lv(raid1(2, ["a", "b", "c"]).replace("device_count = 1", "device_count = 2"))}, "3 names for 2 images"),
        ({"lv": lv(raid1(2, ["a", "b"]))}, "is on 'b', which is not in the text"),
        ({"lv": lv(mirror(2, ["lv", "lv"], log="lv"))}, None),
        ({"lv": lv("start_extent = 0\nextent_count = 1\n")}, "segment1: type is missing"),
        ({"lv": lv('start_extent = 0\nextent_count = 1\ntype = "a\nb"\n')}, r"segment1: type is 'a\\nb', which cannot"),
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


def test_what_a_text_may_leave_out() -> None:
    text = write_text({"lv": lv(linear(0, 1, "pv0", 0))}).decode()
    for line in ("max_lv = 0\n", "max_pv = 0\n", "dev_size = 8192\n", "creation_time = 1700000000\n"):
        assert line in text
        text = text.replace(line, "")
    text = text.replace("creation_time = 1700000000", "")
    group = parse_group(text.encode())
    assert (group.max_volumes, group.max_devices, group.created) == (0, 0, 0)
    assert (group.physical[0].size, group.logical[0].created) == (0, 0)


@pytest.mark.parametrize(("legs", "is_read"), [(256, True), (257, False)])
def test_legs_are_bounded(legs: int, is_read: bool) -> None:
    """Of each kind that has them, and before anything is made of them."""
    places = [("pv0", number) for number in range(legs)]
    parts = {f"i{n}": lv(linear(0, 1, "pv1", n), number=10 + n) for n in range(legs)}
    for segment, volumes in (
        (striped(0, legs, places), {}),
        (mirror(1, [*parts]), parts),
        (raid1(1, [*parts]).replace(f"device_count = {legs // 2}", f"device_count = {legs}"), parts),
    ):
        text = write_text({"lv": lv(segment), **volumes}, devices=2, extents=300)
        if is_read:
            assert parse_group(text).logical[0].extents > 0
        else:
            with pytest.raises(DamagedError, match=r"257 (places|images)"):
                parse_group(text)


def test_the_largest_volume() -> None:
    segment = 'start_extent = 0\nextent_count = %d\ntype = "zero"\n'
    assert parse({"lv": lv(segment % ((1 << 55) - 1))}, extent_size=1).logical[0].extents == (1 << 55) - 1
    with pytest.raises(DamagedError, match="is larger than a device can be"):
        parse({"lv": lv(segment % (1 << 54), (segment % (1 << 54)).replace("= 0", f"= {1 << 54}", 1))}, extent_size=1)
    with pytest.raises(DamagedError, match="which cannot be"):
        parse({"lv": lv(segment % (1 << 55))}, extent_size=1)


def test_volumes_on_the_same_extents_of_a_volume() -> None:
    parts = {"p": lv(linear(0, 6, "pv0", 0), number=9), "q": lv(linear(0, 2, "pv0", 6), number=8)}

    def disputed(**volumes: str) -> dict[str, str]:
        return find_disputed(parse({**parts, **volumes}))

    assert disputed(a=lv(linear(0, 3, "p", 0)), b=lv(linear(0, 3, "p", 3), number=2)) == {}
    assert disputed(a=lv(linear(0, 3, "p", 0)), b=lv(linear(0, 2, "q", 0), number=2)) == {}
    assert disputed(a=lv(linear(0, 3, "p", 0)), b=lv(linear(0, 3, "p", 2), number=2)) == {"a": "b", "b": "a"}
    assert disputed(a=lv(linear(0, 1, "p", 1), linear(1, 1, "p", 1))) == {"a": "a"}
    whole = lv(linear(0, 6, "p", 0))
    three = disputed(a=whole, b=lv(linear(0, 1, "p", 1), number=2), c=lv(linear(0, 1, "p", 4), number=3))
    assert three == {"a": "b", "b": "a", "c": "a"}


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

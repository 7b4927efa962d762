"""Groups out of labels, without any device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import MismatchError, NotFoundError, UsageError
from drystone.dvm.discovery.discover import Group, choose_group, describe_group, gather, list_problems, to_devices
from drystone.dvm.discovery.scan import Found, to_absolute
from drystone.formats.label.label import Extent, Label, Reading

GROUP, OTHER = "00000000-0000-4000-8000-0000000000a1", "00000000-0000-4000-8000-0000000000a2"
ONE, TWO, THREE = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
SIZE = 1 << 22


def label(device: str, *listed: str, generation: int = 1, group: str = GROUP, name: str = "vg") -> Label:
    return Label(group, name, device, SIZE, (Extent(1, 257),), generation, len(listed), tuple(sorted(listed)))


def found(path: str, label_: Label, *, first: str = "good", last: str = "good", size: int = SIZE) -> Found:
    return Found(path, (), size, Reading(label_, first, last))  # type: ignore[arg-type]  # states as text


def apart(_: str, __: str) -> bool:
    return False


def gather_one(each: Sequence[Found]) -> Group:
    (group,) = gather(each, apart)
    return group


def codes(group: Group) -> list[str]:
    return [note.code for note in group.notes]


def test_a_whole_group() -> None:
    group = gather_one([found("/b", label(TWO, ONE, TWO)), found("/a", label(ONE, ONE, TWO))])
    devices = to_devices(group)
    assert [(each.path, each.uuid, each.missing) for each in devices.devices] == [
        ("/a", ONE, False),
        ("/b", TWO, False),
    ]
    assert (devices.group.name, devices.group.uuid) == ("vg", GROUP)
    assert devices.notes == ()
    assert devices.devices[0].regions[0].end == 257


def test_a_missing_device_is_known_by_its_uuid() -> None:
    devices = to_devices(gather_one([found("/a", label(ONE, ONE, TWO))]))
    assert [each.uuid for each in devices.missing] == [TWO]
    assert devices.notes[0].code == "missing"
    assert TWO in devices.notes[0].message


def test_a_group_of_many_devices_knows_how_many_are_missing() -> None:
    many = replace(label(ONE), members=500)
    group = gather_one([found("/a", many)])
    assert group.missing == ()
    assert "499 of the 500 devices" in group.notes[0].message


def test_the_highest_generation_knows_who_belongs() -> None:
    stale = found("/c", label(THREE, ONE, TWO, THREE, generation=2))
    group = gather_one([found("/a", label(ONE, ONE, TWO, generation=3)), stale])
    assert [each.path for each in group.members] == ["/a"]
    assert [each.path for each in group.left] == ["/c"]
    assert group.missing == (TWO,)
    assert codes(group) == ["left", "missing"]


def test_labels_that_are_behind_are_told() -> None:
    group = gather_one([found("/a", label(ONE, ONE)), found("/b", label(TWO, ONE, TWO, generation=2))])
    assert len(group.members) == 2
    assert codes(group) == ["behind"]


def test_clones_are_refused_and_told() -> None:
    group = gather_one([found("/a", label(ONE, ONE)), found("/copy", label(ONE, ONE))])
    assert codes(group) == ["clone"]
    with pytest.raises(MismatchError, match="/a and /copy both say"):
        to_devices(group)
    assert [each.path for each in describe_group(group).devices] == ["/a"]


def test_of_two_devices_upon_each_other_the_upper_one_is_used() -> None:
    disk, path = found("/disk", label(ONE, ONE)), found("/path", label(ONE, ONE))
    for order in ([disk, path], [path, disk]):
        (group,) = gather(order, lambda upper, lower: (upper, lower) == ("/path", "/disk"))
        assert [each.path for each in group.members] == ["/path"]
        assert codes(group) == ["below"]
        to_devices(group)


def test_two_groups_of_one_name_are_told_apart_by_uuid() -> None:
    groups = gather([found("/a", label(ONE, ONE)), found("/b", label(TWO, TWO, group=OTHER))], apart)
    assert [codes(group) for group in groups] == [["namesake"], ["namesake"]]
    with pytest.raises(UsageError, match="2 groups are called 'vg'"):
        choose_group(groups, "vg")
    assert choose_group(groups, OTHER).members[0].path == "/b"


def test_a_group_that_is_not_there() -> None:
    groups = gather([found("/a", label(ONE, ONE))], apart)
    problems = list_problems([Found("/x", (), 0, problem="it cannot be read")])
    with pytest.raises(NotFoundError, match="no group 'vq'") as caught:
        choose_group(groups, "vq", problems)
    assert caught.value.hint == "there are: vg"
    assert caught.value.facts["unreadable"] == ["/x: it cannot be read"]
    with pytest.raises(NotFoundError, match="no device carries a label"):
        choose_group([], "vg")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"size": SIZE * 2}, "resized", "its label says"),
        ({"last": "damaged"}, "one-copy", "last page of /a is damaged"),
        ({"first": "none"}, "one-copy", "first page of /a is missing"),
        ({"last": "elsewhere"}, "one-copy", "of another device"),
    ],
)
def test_odd_labels_are_told(changes: dict[str, object], code: str, words: str) -> None:
    group = gather_one([found("/a", label(ONE, ONE), **changes)])  # type: ignore[arg-type]  # by name
    assert codes(group) == [code]
    assert words in group.notes[0].message


def test_what_was_ours_and_cannot_be_used() -> None:
    broken = Found("/a", (), SIZE, Reading(None, "damaged", "damaged", "the label's checksum is wrong"))
    plain = Found("/b", (), SIZE, Reading(None, "none", "none"))
    assert [note.message for note in list_problems([broken, plain])] == ["/a: the label's checksum is wrong"]
    assert gather([broken, plain], apart) == []


@pytest.mark.parametrize(
    "path",
    ["a", "a/b", "./a", "a/./b", "a//b", "a/", "a/.", "../a", "/a", "/a/", "//a", "/a/../b", "/", ".", "a b", "..."],
)
def test_paths_become_whole_as_pathlib_makes_them(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path, Path("/")):
        monkeypatch.chdir(folder)
        assert to_absolute(path) == str(Path(path).absolute())

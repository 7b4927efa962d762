from __future__ import annotations

from collections.abc import Sequence

import pytest

from drystone.base.errors import DamagedError, MismatchError, NotFoundError, UsageError
from drystone.dvm.lvm2.assembly import Assembled, Found, assemble, pick_group, require_one_truth
from drystone.dvm.lvm2.survey import survey
from drystone.testing.lvm2_metadata import MemoryDevice, device_uuid, write_device, write_text

OTHER = "Other0-0000-0000-0000-0000-0000-000002"


def text(seqno: int, **more: str) -> bytes:
    return write_text({}, devices=3, seqno=seqno, **more)  # type: ignore[arg-type]


def one(devices: Sequence[MemoryDevice], named: dict[str, Found] | None = None) -> Assembled:
    (found,) = assemble(survey(devices), named)
    return found


def test_all_devices_are_there() -> None:
    found = one([write_device(number, [text(1), text(2)]) for number in range(3)])
    assert found.group.number == 2
    assert found.sources == ("/dev/test0", "/dev/test1", "/dev/test2")
    assert (found.stale, found.conflict, found.problems) == ((), False, ())
    assert found.found[device_uuid(1)] == Found("/dev/test1", 4 << 20)


def test_the_highest_number_is_the_truth() -> None:
    found = one([write_device(0, [text(5)]), write_device(1, [text(6)]), write_device(2, [text(5)])])
    assert found.group.number == 6
    assert (found.sources, found.stale) == (("/dev/test1",), ("/dev/test0", "/dev/test2"))
    assert found.problems == ("/dev/test0 holds an older text", "/dev/test2 holds an older text")


def test_a_text_that_was_not_committed_does_not_count() -> None:
    found = one([write_device(0, [text(5), text(6)], precommitted=True)])
    assert found.group.number == 5


def test_an_ignored_area_does_not_count() -> None:
    devices = [write_device(0, [text(9)], ignored=True), write_device(1, [text(5)])]
    assert one(devices).group.number == 5


def test_a_missing_device_and_one_without_text() -> None:
    found = one([write_device(0, [text(1)]), write_device(1, [])])
    assert set(found.found) == {device_uuid(0), device_uuid(1)}
    assert found.problems == (f"pv2 {device_uuid(2)} is missing, was at /dev/old2",)


def test_a_device_that_came_back_and_is_marked_as_missing_is_not_used() -> None:
    marked = text(1).replace(b"flags = []\ndev_size", b'flags = ["MISSING"]\ndev_size')
    found = one([write_device(number, [marked]) for number in range(3)])
    assert [found.locate(each) for each in found.group.physical] == [None] * 3


def test_two_devices_that_claim_to_be_one() -> None:
    twice = [write_device(0, [text(1)]), write_device(0, [text(1)], path="/dev/copy")]
    found = one(twice)
    assert device_uuid(0) not in found.found
    assert found.problems[0] == f"pv0 {device_uuid(0)} is on several devices: /dev/test0, /dev/copy"
    assert one(twice, {device_uuid(0): Found("/dev/copy", 4 << 20)}).found[device_uuid(0)].path == "/dev/copy"


def test_a_device_that_has_become_shorter() -> None:
    found = one([write_device(0, [text(1)], size=2 << 20)])
    assert found.problems[0] == "/dev/test0 is shorter than the 4194304 bytes that it had"


def test_two_texts_of_one_number() -> None:
    one_side, other_side = text(5), text(5, description="Another.")
    devices = [write_device(0, [one_side]), write_device(1, [other_side]), write_device(2, [other_side])]
    found = one(devices)
    assert found.conflict
    assert found.stale == ()
    assert found.problems == ("/dev/test0 holds another text of this number",)
    assert found.group.description == "Another."
    assert one(devices[::-1]).group.description == "Another."
    with pytest.raises(MismatchError, match="two texts of group vg have the number 5"):
        require_one_truth(found)
    require_one_truth(one(devices[1:]))


def test_picking_a_group() -> None:
    devices = [write_device(0, [text(1)]), write_device(1, [text(1, name="other", uuid=OTHER)])]
    found = assemble(survey(devices))
    assert [each.group.name for each in found] == ["other", "vg"]
    assert pick_group(found, "vg", ()).group.name == "vg"
    assert pick_group(found, "Other0-0", ()).group.name == "other"
    assert pick_group(found[:1], None, ()).group.name == "other"
    with pytest.raises(UsageError, match="there are 2 groups: other, vg"):
        pick_group(found, None, ())
    with pytest.raises(NotFoundError, match="no group 'x'"):
        pick_group(found, "x", ())


def test_two_groups_of_one_name() -> None:
    devices = [write_device(0, [text(1)]), write_device(1, [text(1, uuid=OTHER)])]
    with pytest.raises(UsageError, match="2 groups are called 'vg'"):
        pick_group(assemble(survey(devices)), "vg", ())


def test_no_group() -> None:
    with pytest.raises(NotFoundError, match="no LVM2 group is on these devices"):
        pick_group((), None, survey([MemoryDevice("/dev/x", bytes(8192))]))
    broken = write_device(0, [text(1)])
    broken = MemoryDevice(broken.path, broken.data[:5000] + b"x" + broken.data[5001:])
    with pytest.raises(DamagedError, match="no text of a group can be read: /dev/test0: the text at"):
        pick_group((), None, survey([broken]))

"""Labels on plain files: added, taken off, refused; and cut short in the middle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import (
    BusyError,
    ExistsError,
    MismatchError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from drystone.dvm.discovery.discover import gather
from drystone.dvm.discovery.filters import make_filter
from drystone.dvm.discovery.finding import find, list_all
from drystone.dvm.discovery.labelling import DEFAULT_REGION, Placed, parse_region, plan_add, write_labels
from drystone.dvm.discovery.membership import add_devices, remove_device
from drystone.dvm.discovery.scan import Place, scan
from drystone.formats.label.label import Extent
from drystone.formats.label.layout import PAGE
from drystone.kernel.devices import BlockEntry
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.pages import locked_paths

SIZE = 4 << 20
REGION = [Extent(1, 65)]


@pytest.fixture
def disks(tmp_path: Path) -> Callable[..., list[str]]:
    def make(*names: str, size: int = SIZE) -> list[str]:
        paths = [tmp_path / name for name in names]
        for path in paths:
            with path.open("xb") as file:
                file.truncate(size)
        return [str(path) for path in paths]

    return make


def files(*paths: str) -> Place:
    return Place(paths, has_devices=False)


def test_a_group_grows_and_shrinks(disks: Callable[..., list[str]]) -> None:
    one, two = disks("one", "two")
    place = files(one, two)
    first = add_devices(place, "vg", [one], REGION)
    assert [each.path for each in first.devices] == [one]
    second = add_devices(place, "vg", [two], [])
    assert second == find(place, "vg") == find(place, first.group.uuid)
    assert [(span.begin, span.end) for each in second.devices for span in each.regions] == [
        (1, 65),
        (DEFAULT_REGION.begin, DEFAULT_REGION.end),
    ]
    alone = find(files(one), "vg")
    assert [each.uuid for each in alone.missing] == [second.devices[1].uuid]
    rest = remove_device(place, "vg", two)
    assert rest is not None
    assert [each.path for each in rest.devices] == [one]
    assert find(place, "vg").missing == ()
    assert remove_device(place, "vg", one) is None
    assert list_all(place).groups == ()


def test_a_missing_device_is_taken_out_by_its_uuid(disks: Callable[..., list[str]]) -> None:
    one, two = disks("one", "two")
    add_devices(files(one, two), "vg", [one], REGION)
    whole = add_devices(files(one, two), "vg", [two], REGION)
    gone = whole.devices[1]
    remove_device(files(one), "vg", gone.uuid)
    back = find(files(one, two), "vg")
    assert [each.path for each in back.devices] == [one]
    assert [note.code for note in back.notes] == ["left"]
    remove_device(files(one, two), "vg", two)
    assert find(files(one, two), "vg").notes == ()
    add_devices(files(one, two), "vg", [two], REGION)
    assert len(find(files(one, two), "vg").present) == 2


def test_several_at_once(disks: Callable[..., list[str]]) -> None:
    one, two, three = disks("one", "two", "three")
    place = files(one, two, three)
    add_devices(place, "vg", [one], REGION)
    whole = add_devices(place, "vg", [two, three], REGION)
    assert whole == find(place, "vg")
    assert len(whole.present) == 3
    assert whole.notes == ()
    with pytest.raises(UsageError, match="named twice"):
        add_devices(place, "vh", [two, two], REGION)


@pytest.mark.parametrize("written", range(1, 6))
def test_several_that_are_cut_short_list_nobody_without_a_label(disks: Callable[..., list[str]], written: int) -> None:
    one, two, three = disks("one", "two", "three")
    place = files(one, two, three)
    add_devices(place, "vg", [one], REGION)
    (group,) = gather(scan(place), lambda _, __: False)
    placed = plan_add("vg", group, [(two, SIZE), (three, SIZE)], REGION)
    assert [each.path for each in placed] == [two, three, two, one]
    write_labels(placed[:written])
    found = find(place, "vg")
    assert found.missing == ()
    assert len(found.present) == min(written, 2) + 1
    if written < 4:
        add_devices(place, "vg", [three], REGION)
    assert find(place, "vg").notes == ()


def test_a_dry_run_writes_nothing(disks: Callable[..., list[str]]) -> None:
    (one,) = disks("one")
    assert len(add_devices(files(one), "vg", [one], REGION, dry_run=True).devices) == 1
    assert not any(Path(one).read_bytes())
    add_devices(files(one), "vg", [one], REGION)
    before = Path(one).read_bytes()
    assert remove_device(files(one), "vg", one, dry_run=True) is None
    assert Path(one).read_bytes() == before


def test_a_torn_label_is_mended_by_the_other_copy_and_told(disks: Callable[..., list[str]]) -> None:
    (one,) = disks("one")
    add_devices(files(one), "vg", [one], REGION)
    with Path(one).open("r+b") as file:
        file.write(bytes(300))
    found = find(files(one), "vg")
    assert len(found.present) == 1
    assert [note.code for note in found.notes] == ["one-copy"]


def test_an_interrupted_add_is_finished_by_the_same_command(disks: Callable[..., list[str]]) -> None:
    one, two = disks("one", "two")
    place = files(one, two)
    add_devices(place, "vg", [one], REGION)
    old = Path(one).read_bytes()
    add_devices(place, "vg", [two], REGION)
    Path(one).write_bytes(old)
    assert [note.code for note in find(place, "vg").notes] == ["behind"]
    add_devices(place, "vg", [two], REGION)
    assert find(place, "vg").notes == ()
    with pytest.raises(ExistsError, match="already"):
        add_devices(place, "vg", [two], REGION)


def test_a_device_with_somebody_elses_data_is_refused(disks: Callable[..., list[str]]) -> None:
    (one,) = disks("one")
    with Path(one).open("r+b") as file:
        file.seek(1080)
        file.write(b"\x53\xef")
        file.seek(4096)
        file.write(bytes.fromhex("fc4e2ba9"))
    before = Path(one).read_bytes()
    with pytest.raises(RefusedError, match="md RAID member at byte 4096"):
        add_devices(files(one), "vg", [one], REGION)
    assert Path(one).read_bytes() == before
    add_devices(files(one), "vg", [one], REGION, overwrite=True)
    assert Path(one).read_bytes()[4096:8192] == bytes(4096)
    assert len(find(files(one), "vg").present) == 1


def test_a_device_of_another_group_is_refused(disks: Callable[..., list[str]]) -> None:
    one, two = disks("one", "two")
    add_devices(files(one, two), "vg", [one], REGION)
    with pytest.raises(ExistsError, match="device of the group 'vg' already"):
        add_devices(files(one, two), "other", [one], REGION)


def test_a_label_that_cannot_be_read_is_not_overwritten(disks: Callable[..., list[str]]) -> None:
    (one,) = disks("one")
    add_devices(files(one), "vg", [one], REGION)
    data = bytearray(Path(one).read_bytes())
    data[50] ^= 1
    data[SIZE - PAGE + 50] ^= 1
    Path(one).write_bytes(data)
    with pytest.raises(RefusedError, match="checksum is wrong"):
        add_devices(files(one), "vg", [one], REGION)


@pytest.mark.parametrize(
    ("size", "regions", "words"),
    [
        (PAGE, [], "too small"),
        (64 * PAGE, [], "too small for the usual region"),
        (64 * PAGE, [Extent(1, 64)], "does not fit"),
        (64 * PAGE, [Extent(1, 9), Extent(5, 12)], "overlaps"),
    ],
)
def test_too_small(disks: Callable[..., list[str]], size: int, regions: list[Extent], words: str) -> None:
    (one,) = disks("one", size=size)
    with pytest.raises(UsageError, match=words):
        add_devices(files(one), "vg", [one], regions)
    assert not any(Path(one).read_bytes())


def test_wrong_names_and_places(disks: Callable[..., list[str]], tmp_path: Path) -> None:
    (one,) = disks("one")
    with pytest.raises(UsageError, match="group name"):
        add_devices(files(one), "no/name", [one], REGION)
    with pytest.raises(NotFoundError, match="there is no"):
        add_devices(files(one), "vg", [str(tmp_path / "nothing")], REGION)
    with pytest.raises(UsageError, match="neither a block device nor a plain file"):
        add_devices(files(one), "vg", [str(tmp_path)], REGION)
    with pytest.raises(NotFoundError, match="no group 'vg'"):
        remove_device(files(one), "vg", one)
    add_devices(files(one), "vg", [one], REGION)
    with pytest.raises(NotFoundError, match="has no device"):
        remove_device(files(one), "vg", str(tmp_path / "two"))


def test_a_device_that_the_filters_leave_out(disks: Callable[..., list[str]]) -> None:
    (one,) = disks("one")
    place = Place((one,), (make_filter("one$", accept=False, where="x"),), has_devices=False)
    assert scan(place) == []
    with pytest.raises(UsageError, match="left out by the filters of the configuration: reject 'one"):
        add_devices(place, "vg", [one], REGION)


def test_a_device_that_another_tool_works_on(disks: Callable[..., list[str]]) -> None:
    one, two = disks("one", "two")
    add_devices(files(one, two), "vg", [one], REGION)
    with locked_paths([one], shared=True), pytest.raises(BusyError, match="in use"):
        add_devices(files(one, two), "vg", [two], REGION, wait_s=0)
    with locked_paths([one], shared=True):
        find(files(one, two), "vg")


def test_clones_stop_every_change(disks: Callable[..., list[str]], tmp_path: Path) -> None:
    one, two = disks("one", "two")
    add_devices(files(one), "vg", [one], REGION)
    copy = tmp_path / "copy"
    copy.write_bytes(Path(one).read_bytes())
    place = files(one, two, str(copy))
    with pytest.raises(MismatchError, match="both say"):
        find(place, "vg")
    with pytest.raises(MismatchError, match="claim to be one device"):
        add_devices(place, "vg", [two], REGION)


def test_two_paths_to_one_file_are_one_device(disks: Callable[..., list[str]], tmp_path: Path) -> None:
    (one,) = disks("one")
    add_devices(files(one), "vg", [one], REGION)
    link = tmp_path / "link"
    os.link(one, link)
    assert len(find(files(one, str(link)), "vg").present) == 1


def test_a_file_that_cannot_be_read_is_told(disks: Callable[..., list[str]], tmp_path: Path) -> None:
    (one,) = disks("one")
    add_devices(files(one), "vg", [one], REGION)
    found = list_all(files(one, str(tmp_path / "gone")))
    assert len(found.groups) == 1
    assert [note.code for note in found.notes] == ["unreadable"]


def test_a_scan_passes_over_what_it_must_not_read(disks: Callable[..., list[str]]) -> None:
    one, two, three = disks("one", "two", "three")
    entries = [
        BlockEntry(DeviceNumber(8, 0), one, (one, "/dev/disk/by-id/x"), SIZE),
        BlockEntry(DeviceNumber(253, 0), two, (two,), SIZE, mapper_uuid="DRYSTONE-DVM-1"),
        BlockEntry(DeviceNumber(253, 1), three, (three,), SIZE, is_suspended=True),
    ]
    found = scan(Place(), entries=lambda: entries)
    assert [(each.path, bool(each.problem)) for each in found] == [(one, False), (three, True)]
    assert found[0].aliases == ("/dev/disk/by-id/x",)
    deep = scan(Place(is_deep=True), entries=lambda: entries)
    assert [each.path for each in deep] == [one, three, two]
    only = (make_filter("by-id", accept=True, where="x"), make_filter(".", accept=False, where="x"))
    assert [each.path for each in scan(Place(filters=only), entries=lambda: entries)] == [one]


@pytest.mark.parametrize("text", ["", "1", "1:", ":9", "a:b", "1:2:3", "-1:5", "1:٣"])
def test_what_is_no_region(text: str) -> None:
    with pytest.raises(UsageError, match="BEGIN:END"):
        parse_region(text)


def test_a_write_that_fails_says_what_was_written(disks: Callable[..., list[str]], tmp_path: Path) -> None:
    (one,) = disks("one")
    add_devices(files(one), "vg", [one], REGION)
    (group,) = gather(scan(files(one)), lambda _, __: False)
    label = group.members[0].label
    with pytest.raises(NotFoundError) as caught:
        write_labels([Placed(one, label), Placed(str(tmp_path / "gone"), label)])
    assert caught.value.facts["written"] == [one]

"""What we make of LVM2's own metadata: its reports, the kernel's tables, the texts that are still in the ring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from drystone.dvm.lvm2.assembly import assemble
from drystone.dvm.lvm2.conversion import convert
from drystone.dvm.lvm2.groups_document import GroupEntry, groups_document
from drystone.dvm.lvm2.rescue import Rescued, rescue
from drystone.dvm.lvm2.survey import survey
from drystone.dvm.lvm2.tables import build_tables
from drystone.dvm.references import with_paths_replaced
from drystone.dvm.state import Line
from drystone.dvm.tables import same_table
from drystone.testing.lvm2_metadata import MemoryDevice

if TYPE_CHECKING:
    from .conftest import Golden

AREA = slice(4096, 1 << 20)


def show(devices: Sequence[MemoryDevice]) -> GroupEntry:
    (entry,) = groups_document(assemble(survey(devices)), ()).groups
    return entry


@pytest.fixture(params=["kinds", "wrapped"])
def golden(request: pytest.FixtureRequest) -> Golden:
    found: Golden = request.getfixturevalue(request.param)
    return found


def test_the_group_is_what_vgs_says(golden: Golden) -> None:
    entry = show(golden.devices)
    (row,) = golden.truth["vgs"]
    assert row == {
        "vg_name": entry.name,
        "vg_uuid": entry.uuid,
        "vg_seqno": str(entry.seqno),
        "vg_extent_size": str(entry.extent_size),
        "vg_extent_count": str(entry.extents),
        "vg_free_count": str(entry.free),
        "pv_count": str(len(entry.devices)),
        "lv_count": row["lv_count"],
    }
    assert entry.problems == ()
    assert entry.stale == ()


def test_the_devices_are_what_pvs_says(golden: Golden) -> None:
    surveyed = {each.path: each for each in survey(golden.devices)}
    rows = [
        {
            "pv_uuid": each.uuid,
            "pv_name": each.path,
            "pe_start": str(each.start),
            "pv_pe_count": str(each.extents),
            "pv_pe_alloc_count": str(each.extents - each.free),
            "pv_mda_count": str(len(surveyed[each.path].areas)),
        }
        for each in show(golden.devices).devices
    ]
    assert sorted(rows, key=lambda row: row["pv_name"]) == golden.truth["pvs"]


def test_the_volumes_are_what_lvs_says(golden: Golden) -> None:
    ours = {each.name: each for each in show(golden.devices).volumes if each.name != "snapshot0"}
    # lvs -a puts hidden volumes in brackets; LVM2's placeholder for spare pool metadata and the like are volumes too.
    theirs = {row["lv_name"].strip("[]"): row for row in golden.truth["lvs"]}
    assert set(ours) == set(theirs)
    for name, row in theirs.items():
        assert row["lv_uuid"] == ours[name].uuid
        assert row["lv_size"] == str(ours[name].size) or name == "snap"
        assert row["seg_count"] == str(len(ours[name].segments))
        assert row["lv_tags"] == ",".join(ours[name].tags)


def test_the_tables_are_those_that_lvm2_loaded(kinds: Golden) -> None:
    built = build_tables(assemble(survey(kinds.devices))[0])
    numbers = {kinds.truth["paths"][index]: number for number, index in kinds.truth["numbers"].items()}
    theirs = kinds.truth["tables"]
    for device in built.state.devices:
        expected = theirs[device.name]
        assert device.uuid == expected["uuid"]
        assert device.read_only == expected["read_only"]
        ours = tuple(
            Line(line.start, line.length, line.target, with_paths_replaced(line.params, numbers.__getitem__))
            for line in device.table
        )
        assert same_table(ours, tuple(Line(*row) for row in expected["table"])), device.name
    assert set(built.left_out) == {"origin", "snapshot0", "pool", "thin", "five"}
    others = ("origin", "snap", "pool", "thin", "lvol0_pmspare", "five")
    prefixes = tuple(f"gold--vg-{name}" for name in others)
    assert {name for name in theirs if not name.startswith(prefixes)} == {device.name for device in built.state.devices}


def test_import_keeps_what_a_group_document_can_hold(kinds: Golden) -> None:
    group, left_out = convert(assemble(survey(kinds.devices))[0], leave_out=True)
    assert {each.name for each in group.volumes if each.part_of is None} == {"home", "two", "three", "copied", "thrice"}
    assert set(left_out) == {
        "old-mirror", "core-mirror", "frozen", "origin", "snapshot0", "pool", "thin", "five",
    }  # fmt: skip
    assert not any(device.allocatable for device in group.devices)


def test_a_device_of_no_group(orphan: Golden) -> None:
    (found,) = survey(orphan.devices)
    assert found.label is not None
    assert found.label.uuid == orphan.truth["pvs"][0]["pv_uuid"]
    assert (found.label.sector, found.label.in_use) == (3, False)
    assert [area.committed for area in found.areas] == [None]
    assert assemble([found]) == ()


def test_an_ignored_area_and_one_that_wraps(wrapped: Golden) -> None:
    found = survey(wrapped.devices)
    area = found[0].areas[0]
    assert area.committed is not None
    assert area.committed.location.offset + area.committed.location.size > area.range.size
    assert [each.header is not None and each.header.ignored for each in found[1].areas] == [True]
    assert found[2].areas == ()


def texts(devices: Sequence[MemoryDevice]) -> tuple[Rescued, ...]:
    return rescue(devices, survey(devices)).texts


def test_older_texts_are_still_in_the_ring(kinds: Golden, wrapped: Golden) -> None:
    found = texts(kinds.devices)
    numbers = [each.group.number for each in found if each.proof != "grammar"]
    assert numbers == sorted(numbers, reverse=True)
    assert set(range(1, 24)) <= set(numbers)
    assert found[0].proof == "checksum"
    wrapping = [each for each in texts(wrapped.devices) if any(place.wrapped for place in each.places)]
    assert [each.group.number for each in wrapping if each.proof == "checksum"] == [26]


def damage(device: MemoryDevice, *spans: tuple[int, int]) -> MemoryDevice:
    data = bytearray(device.data)
    for begin, end in spans:
        data[begin:end] = bytes(each ^ 0x5A for each in data[begin:end])
    return MemoryDevice(device.path, bytes(data))


LABEL, HEADER = (512, 1024), (4096, 4608)


@pytest.mark.parametrize("spans", [(LABEL,), (HEADER,), (LABEL, HEADER)], ids=["label", "header", "both"])
def test_texts_are_found_without_label_and_header(golden: Golden, spans: tuple[tuple[int, int], ...]) -> None:
    """On devices of 1 MiB of metadata; of the other image the second area, at the end, is found by its own header."""
    broken = [damage(device, *spans) for device in golden.devices]
    before = {each.data for each in texts(golden.devices)}
    assert before == {each.data for each in texts(broken)}


def test_the_text_before_is_found_when_the_newest_is_damaged(kinds: Golden) -> None:
    newest = texts(kinds.devices)[0]
    broken = [
        damage(device, (place.area + place.offset + 600, place.area + place.offset + 601))
        for device in kinds.devices
        for place in newest.places
        if place.path == device.path
    ]
    assert assemble(survey(broken)) == ()
    assert texts(broken)[0].group.number == newest.group.number - 1

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from drystone.base.errors import NotFoundError, RefusedError, UsageError
from drystone.dvm.lvm2.rescue import Rescue, pick_text, rescue, select_texts
from drystone.dvm.lvm2.survey import Device, survey
from drystone.testing.lvm2_metadata import (
    AREA_BEGIN,
    AREA_SIZE,
    SECTOR,
    BrokenDevice,
    MemoryDevice,
    checksum,
    write_area,
    write_area_header,
    write_device,
    write_label,
    write_text,
)

TEXTS = [write_text({}, seqno=number) for number in range(1, 6)]
LENGTH = 1024
"""Bytes of the ring that each of TEXTS takes."""


def find(devices: Sequence[Device], searched: int = 4 << 20) -> Rescue:
    return rescue(devices, survey(devices), searched=searched)


def proofs(found: Rescue) -> dict[int, str]:
    return {each.group.number: each.proof for each in found.texts}


def changed(device: MemoryDevice, *places: int) -> MemoryDevice:
    data = bytearray(device.data)
    for at in places:
        data[at] ^= 0x20
    return MemoryDevice(device.path, bytes(data))


def place_of(number: int) -> int:
    """The byte of a device that text `number` begins at."""
    return AREA_BEGIN + SECTOR + (number - 1) * LENGTH


def test_all_texts_of_one_device() -> None:
    found = find([write_device(0, TEXTS)])
    assert proofs(found) == {5: "checksum", 4: "grammar", 3: "grammar", 2: "grammar", 1: "grammar"}
    newest = found.texts[0]
    assert newest.data == TEXTS[4]
    assert newest.checksum == checksum(TEXTS[4] + b"\0")
    (place,) = newest.places
    assert (place.path, place.area, place.offset, place.slot) == ("/dev/test0", 4096, place_of(5) - 4096, "committed")
    assert (found.broken, found.problems) == ((), ())


def test_texts_of_two_devices_are_copies() -> None:
    found = find([write_device(0, TEXTS), write_device(1, TEXTS[1:], first=8192)])
    assert proofs(found) == {5: "checksum", 4: "copies", 3: "copies", 2: "copies", 1: "grammar"}


def test_a_precommitted_text_is_there_too() -> None:
    found = find([write_device(0, TEXTS, precommitted=True)])
    assert proofs(found) == {5: "checksum", 4: "checksum", 3: "grammar", 2: "grammar", 1: "grammar"}
    assert [each.places[0].slot for each in found.texts[:3]] == ["precommitted", "committed", ""]


def test_a_damaged_newest_text_that_parses_is_contradicted() -> None:
    in_a_comment = place_of(5) + TEXTS[4].index(b"Linux")
    devices = [changed(write_device(number, TEXTS), in_a_comment) for number in range(2)]
    found = find(devices)
    assert proofs(found) == {5: "contradicted", 4: "copies", 3: "copies", 2: "copies", 1: "copies"}
    assert find([devices[0], write_device(1, TEXTS)]).texts[-1].proof == "copies"
    with pytest.raises(RefusedError, match="text 5 of vg is not what was written"):
        pick_text(found, None, 5, None)
    newest = found.texts[0]
    assert pick_text(found, None, None, newest.checksum) == newest


def test_a_damaged_newest_text_that_does_not_parse_is_told() -> None:
    found = find([changed(write_device(0, TEXTS), place_of(5) + TEXTS[4].index(b"extent_size ="))])
    assert list(proofs(found)) == [4, 3, 2, 1]
    (broken,) = found.broken
    assert (broken.place.path, broken.place.slot) == ("/dev/test0", "committed")
    assert "extent_size is missing" in broken.problem


@pytest.mark.parametrize(
    "places",
    [(AREA_BEGIN + 10,), (AREA_BEGIN + 300,), (SECTOR + 40,), (SECTOR + 40, AREA_BEGIN + 10)],
    ids=["magic", "header", "label", "label and magic"],
)
def test_header_and_label_are_not_needed(places: tuple[int, ...]) -> None:
    device = changed(write_device(0, TEXTS), *places)
    found = find([device])
    assert [each.data for each in found.texts] == TEXTS[::-1]
    # The slots of a header that is damaged still speak for a text, and never against one.
    assert found.texts[0].proof == "checksum"
    assert proofs(find([changed(device, AREA_BEGIN + 57)]))[5] == "grammar"


def test_a_text_that_wraps_is_found_without_a_header() -> None:
    device = write_device(0, TEXTS, first=AREA_SIZE - 2 * LENGTH - SECTOR)
    for places in ((AREA_BEGIN + 10,), (SECTOR + 40,), (SECTOR + 40, AREA_BEGIN + 10)):
        found = find([changed(device, *places)])
        assert [each.data for each in found.texts] == TEXTS[::-1]
        assert [each.group.number for each in found.texts if each.places[0].wrapped] == [3]


def test_an_area_at_the_end_is_found_without_a_label() -> None:
    begin = (16 << 20) - 65536
    data = bytearray(16 << 20)
    data[begin:] = write_area(TEXTS, begin, 65536, first=65536 - 2 * LENGTH - SECTOR)
    device = MemoryDevice("/dev/test", bytes(data))
    assert [each.data for each in find([device], searched=1 << 20).texts] == TEXTS[::-1]
    assert [each.group.number for each in find([device], searched=32768).texts] == [2, 1]  # of an area cut in two


def test_an_area_that_ends_with_a_device_of_no_whole_pages() -> None:
    begin, size = 1 << 20, 65536 + 512
    label = write_label("Device-0000-0000-0000-0000-0000-000000", begin + size, [(begin, size)])
    area = write_area(TEXTS, begin, size, first=size - 4 * LENGTH - SECTOR)
    device = MemoryDevice("/dev/x", (bytes(SECTOR) + label).ljust(begin, b"\0") + area)
    found = find([device])
    assert [each.data for each in found.texts] == TEXTS[::-1]
    assert found.texts[0].places[0].wrapped
    assert found.problems == ()


def test_an_overwritten_ring_keeps_what_is_whole() -> None:
    texts = [write_text({}, seqno=number, description="x" * 300) for number in range(1, 30)]
    device = bytearray(4 << 20)
    device[SECTOR : 2 * SECTOR] = write_label("Device-0000-0000-0000-0000-0000-000000", 4 << 20, [(4096, 16384)])
    device[4096 : 4096 + 16384] = write_area(texts, size=16384)
    found = find([MemoryDevice("/dev/x", bytes(device))])
    numbers = [each.group.number for each in found.texts]
    assert 5 < len(numbers) < 29
    assert numbers == list(range(29, 29 - len(numbers), -1))
    assert found.texts[0].proof == "checksum"


def test_a_device_with_bad_pages_gives_what_it_can() -> None:
    texts = [write_text({}, seqno=number, description="x" * 3000) for number in range(1, 40)]
    device = BrokenDevice(write_device(0, texts), range(17, 18))
    found = find([device])
    assert len(found.problems) == 1
    assert "EIO" in found.problems[0]
    lost = set(range(1, 40)) - {each.group.number for each in found.texts}
    assert 1 <= len(lost) <= 2


def test_the_end_of_a_device_without_a_label_that_fails_in_part() -> None:
    """It is read in pieces then, the last of which is short."""
    begin = 4 << 20
    data = bytearray(begin + (1 << 16) + 1024)
    data[-1024 : len(TEXTS[4]) - 1024] = TEXTS[4]
    found = find([BrokenDevice(MemoryDevice("/dev/x", bytes(data)), range(begin // 4096 + 3, begin // 4096 + 4))])
    assert [(each.group.number, each.places[0].area + each.places[0].offset) for each in found.texts] == [
        (5, begin + (1 << 16))
    ]
    assert found.problems == ("read on /dev/x failed: EIO (Input/output error)",)


def test_a_dead_device_is_given_up() -> None:
    found = find([BrokenDevice(write_device(0, TEXTS), range(1 << 20))])
    assert found.texts == ()
    assert "64 reads failed; what follows byte" in found.problems[1]
    assert len(found.problems) == 4


def test_selecting() -> None:
    other = write_text({}, seqno=5, name="other", uuid="Other0-0000-0000-0000-0000-0000-000002")
    found = find([write_device(0, [*TEXTS, other])])
    assert [each.group.name for each in found.texts] == ["other", "vg", "vg", "vg", "vg", "vg"]
    assert len(select_texts(found.texts, "vg", None, None)) == 5
    assert pick_text(found, "vg", 5, None).data == TEXTS[4]
    assert pick_text(found, "Other0-0000-0000-0000-0000-0000-000002", None, None).data == other
    assert pick_text(found, "Other0-0", 5, None).data == other
    assert pick_text(found, None, None, checksum(TEXTS[1] + b"\0")).data == TEXTS[1]
    with pytest.raises(UsageError, match="2 texts are meant: other 5 is"):
        pick_text(found, None, 5, None)
    with pytest.raises(NotFoundError, match="no such text"):
        pick_text(found, None, 9, None)


def test_areas_without_bound_are_read_up_to_one() -> None:
    """Thousands of headers, each of a large area, on a device whose label is lost."""
    size = 32 << 20
    data = bytearray(size)
    for begin in range(4096, 1 << 20, 512):
        data[begin : begin + 512] = write_area_header(begin, size - begin, [])
    begun = time.process_time()
    found = find([MemoryDevice("/dev/x", bytes(data))])
    assert found.texts == ()
    assert any("only" in problem for problem in found.problems)
    assert len(found.problems) < 5
    assert time.process_time() - begun < 60

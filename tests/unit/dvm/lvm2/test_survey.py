from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError
from drystone.dvm.lvm2.assembly import list_problems
from drystone.dvm.lvm2.survey import GroupParser, Surveyed, read_bytes, survey
from drystone.testing.lvm2_metadata import (
    AREA_BEGIN,
    AREA_SIZE,
    BrokenDevice,
    MemoryDevice,
    device_uuid,
    write_area,
    write_device,
    write_text,
)

TEXTS = [write_text({}, seqno=number) for number in range(1, 4)]


def one(device: MemoryDevice | BrokenDevice) -> Surveyed:
    (found,) = survey([device])
    return found


def test_a_device_with_a_text() -> None:
    found = one(write_device(3, TEXTS))
    assert found.label is not None
    assert found.label.uuid == device_uuid(3)
    (area,) = found.areas
    assert area.committed is not None
    assert area.committed.data == TEXTS[2]
    assert area.committed.group is not None
    assert area.committed.group.number == 3
    assert area.precommitted is None
    assert list_problems([found]) == []


def test_a_text_that_was_not_committed() -> None:
    found = one(write_device(0, TEXTS, precommitted=True))
    committed, precommitted = found.areas[0].committed, found.areas[0].precommitted
    assert committed is not None
    assert precommitted is not None
    assert (committed.data, precommitted.data) == (TEXTS[1], TEXTS[2])


def test_a_text_that_wraps() -> None:
    found = one(write_device(0, TEXTS[:1], first=AREA_SIZE - 512))
    assert found.areas[0].committed is not None
    assert found.areas[0].committed.data == TEXTS[0]


@pytest.mark.parametrize("size", [0, 100, 4096, 1 << 20])
def test_devices_without_a_label(size: int) -> None:
    assert one(MemoryDevice("/dev/x", bytes(size))) == Surveyed("/dev/x", size)


def changed(at: int) -> MemoryDevice:
    device = write_device(0, TEXTS)
    data = bytearray(device.data)
    data[at] ^= 1
    return MemoryDevice(device.path, bytes(data))


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (600, "the label in sector 1 has the checksum"),
        (AREA_BEGIN + 300, "the header of the metadata area at byte 4096 has the checksum"),
        (AREA_BEGIN + 512 + 2048 + 100, "the text at byte 2560 has the checksum"),
    ],
)
def test_damage_is_a_problem_of_its_device(at: int, message: str) -> None:
    found = survey([changed(at), write_device(1, TEXTS)])
    (problem,) = list_problems(found)
    assert problem.startswith(f"/dev/test0: {message}")
    assert found[1].areas[0].committed is not None


@pytest.mark.parametrize("page", [0, 1])
def test_what_cannot_be_read_is_a_problem_too(page: int) -> None:
    assert list_problems([one(BrokenDevice(write_device(0, TEXTS), range(page, page + 1)))]) == [
        "/dev/test0: read on /dev/test0 failed: EIO (Input/output error)"
    ]


def test_an_area_beyond_the_end() -> None:
    device = write_device(0, TEXTS)
    problems = list_problems([one(MemoryDevice(device.path, device.data[:4096]))])
    assert problems == ["/dev/test0: bytes 4096 to 4608 are beyond the end of /dev/test0"]
    problems = list_problems([one(MemoryDevice(device.path, device.data[:6000]))])
    assert problems == ["/dev/test0: bytes 6656 to 7272 are beyond the end of /dev/test0"]


def test_an_area_that_is_not_as_long_as_the_label_says() -> None:
    device = write_device(0, TEXTS)
    area = write_area(TEXTS, size=65536)
    data = device.data[:AREA_BEGIN] + area + device.data[AREA_BEGIN + len(area) :]
    problems = list_problems([one(MemoryDevice(device.path, data))])
    assert problems == [f"/dev/test0: the area has 65536 bytes, {AREA_SIZE} in the label"]


def test_a_text_is_parsed_once() -> None:
    parser = GroupParser()
    assert parser.parse(TEXTS[0]) is parser.parse(bytes(TEXTS[0]))
    for _ in range(2):
        with pytest.raises(DamagedError):
            parser.parse(b"nothing")


def test_reading_bytes() -> None:
    device = MemoryDevice("/dev/x", bytes(range(256)) * 32)
    assert read_bytes(device, 4090, 10) == (bytes(range(256)) * 32)[4090:4100]
    assert read_bytes(device, 8192, 0) == b""
    for offset, length in ((8192, 1), (-1, 2), (1 << 62, 1)):
        with pytest.raises(DamagedError, match="beyond the end"):
            read_bytes(device, offset, length)

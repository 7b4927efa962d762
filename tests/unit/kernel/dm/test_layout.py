"""Bytes of the device-mapper interface."""

from __future__ import annotations

import struct

import pytest

from drystone.base.errors import DamagedError
from drystone.kernel.dm.abc import DeviceEntry, DeviceNumber, TableLine, TargetVersion
from drystone.kernel.dm.layout import (
    HEADER_SIZE,
    Command,
    Flag,
    Header,
    decode_device,
    device_info,
    encode_device,
    pack_message,
    pack_request,
    pack_table,
    parse_data,
    parse_deps,
    parse_header,
    parse_list,
    parse_table,
    parse_targets,
    parse_versions,
    request_number,
)


def test_the_header_is_as_long_as_the_kernels() -> None:
    assert HEADER_SIZE == 312


def test_request_numbers_are_those_of_the_kernels_header() -> None:
    assert request_number(Command.VERSION) == 0xC138FD00
    assert request_number(Command.TARGET_MSG) == 0xC138FD0E


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (DeviceNumber(0, 0), 0),
        (DeviceNumber(253, 3), 0xFD03),
        (DeviceNumber(7, 256), 0x100700),
        (DeviceNumber(4095, (1 << 20) - 1), 0xFFFFFFFF),
    ],
)
def test_device_numbers_are_spread_as_the_kernel_does(number: DeviceNumber, encoded: int) -> None:
    assert encode_device(number) == encoded
    assert decode_device(encoded) == number


def test_a_request_carries_its_lengths_name_and_data() -> None:
    buffer = pack_request(Header(name="one", flags=Flag.SUSPEND, event_nr=7, target_count=2), b"data", size=400)
    assert len(buffer) == 400
    assert struct.unpack_from("=2I", buffer, 12) == (400, 312)
    assert buffer[48:52] == b"one\0"
    assert buffer[312:317] == b"data\0"
    header = parse_header(buffer)
    assert (header.name, header.flags, header.event_nr, header.target_count) == ("one", Flag.SUSPEND, 7, 2)


def test_the_longest_names_fit() -> None:
    header = parse_header(pack_request(Header(name="n" * 127, uuid="u" * 128)))
    assert header.name == "n" * 127
    assert header.uuid == "u" * 128


def test_names_that_are_no_utf8_survive() -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert parse_header(pack_request(Header(name=name))).name == name


def test_info_reads_the_flags() -> None:
    flags = Flag.SUSPEND | Flag.READONLY | Flag.ACTIVE_PRESENT | Flag.INACTIVE_PRESENT | Flag.DEFERRED_REMOVE
    info = device_info(Header(name="one", flags=flags, device=0xFD03, open_count=2))
    assert info.suspended
    assert info.read_only
    assert info.live_table
    assert info.inactive_table
    assert info.deferred_remove
    assert info.number == DeviceNumber(253, 3)
    assert not device_info(Header()).suspended


def test_a_table_is_packed_with_steps_from_each_line() -> None:
    data = pack_table([TableLine(0, 8, "linear", "7:0 0"), TableLine(8, 16, "zero")])
    assert struct.unpack_from("=QQiI", data, 0) == (0, 8, 0, 48)
    assert data[24:31] == b"linear\0"
    assert data[40:46] == b"7:0 0\0"
    assert struct.unpack_from("=QQiI", data, 48) == (8, 16, 0, 48)
    assert len(data) == 96


def test_a_status_is_read_with_places_from_the_beginning() -> None:
    one = struct.pack("=QQiI16s", 0, 8, 0, 56, b"thin") + b"16 7".ljust(16, b"\0")
    two = struct.pack("=QQiI16s", 8, 8, 0, 104, b"error") + b"".ljust(8, b"\0")
    found = parse_targets(one + two, 2)
    assert [(each.start, each.target, each.text) for each in found] == [(0, "thin", "16 7"), (8, "error", "")]


def test_a_table_line_without_parameters_is_empty_text() -> None:
    data = struct.pack("=QQiI16s", 0, 8, 0, 48, b"zero") + bytes(8)
    assert parse_table(data, 1) == [TableLine(0, 8, "zero", "")]


@pytest.mark.parametrize("following", [0, 39])
def test_a_target_that_leads_back_is_damage(following: int) -> None:
    with pytest.raises(DamagedError):
        parse_targets(struct.pack("=QQiI16s", 0, 8, 0, following, b"zero") + bytes(8), 1)


def test_more_targets_than_bytes_is_damage() -> None:
    with pytest.raises(DamagedError):
        parse_targets(b"", 1)


def _list_entry(device: int, step: int, name: bytes, event_nr: int, flags: int, uuid: bytes = b"") -> bytes:
    body = (struct.pack("=QI", device, step) + name + b"\0").ljust(-(-(12 + len(name) + 1) // 8) * 8, b"\0")
    tail = struct.pack("=II", event_nr, flags)
    return body + tail + ((uuid + b"\0").ljust(-(-(len(uuid) + 1) // 8) * 8, b"\0") if uuid else b"")


def test_a_list_has_event_numbers_and_uuids() -> None:
    first = _list_entry(0xFD00, 40, b"one", 5, 1, b"UUID-1")
    first = first.ljust(40, b"\0")
    data = first + _list_entry(0xFD01, 0, b"second", 0, 2)
    assert parse_list(data, (4, 47, 0)) == [
        DeviceEntry("one", DeviceNumber(253, 0), 5, "UUID-1"),
        DeviceEntry("second", DeviceNumber(253, 1), 0, ""),
    ]


def test_a_list_of_an_old_kernel_has_names_alone() -> None:
    data = struct.pack("=QI", 0xFD00, 0) + b"one\0" + b"\xff" * 8
    assert parse_list(data, (4, 30, 0)) == [DeviceEntry("one", DeviceNumber(253, 0), 0, "")]


@pytest.mark.parametrize("data", [b"", bytes(16)])
def test_an_empty_list(data: bytes) -> None:
    assert parse_list(data, (4, 47, 0)) == []


def test_a_list_entry_of_no_length_is_damage_and_no_endless_loop() -> None:
    with pytest.raises(DamagedError):
        parse_list(struct.pack("=QI", 0xFD00, 1) + b"one\0", (4, 47, 0))


def test_target_versions() -> None:
    first = (struct.pack("=4I", 24, 1, 6, 0) + b"striped\0").ljust(24, b"\0")
    data = first + struct.pack("=4I", 0, 1, 4, 0) + b"linear\0\0"
    assert parse_versions(data) == [TargetVersion("striped", (1, 6, 0)), TargetVersion("linear", (1, 4, 0))]


def test_deps() -> None:
    assert parse_deps(struct.pack("=IIQQ", 2, 0, 0x700, 0xFD03)) == [DeviceNumber(7, 0), DeviceNumber(253, 3)]
    with pytest.raises(DamagedError):
        parse_deps(struct.pack("=IIQ", 2, 0, 0x700))


def test_a_message_begins_with_its_sector() -> None:
    assert pack_message("create_thin 0", 5) == struct.pack("=Q", 5) + b"create_thin 0\0"


def test_data_outside_the_buffer_is_damage() -> None:
    with pytest.raises(DamagedError):
        parse_data(bytes(400), Header(data_start=312, data_size=401))
    with pytest.raises(DamagedError):
        parse_header(bytes(311))

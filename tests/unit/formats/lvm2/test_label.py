from __future__ import annotations

import struct

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.checksum import checksum
from drystone.formats.lvm2.label import HEAD_SIZE, Label, Range, find_label
from drystone.formats.lvm2.uuid import from_stored, is_uuid, without_dashes
from drystone.testing import lvm2_metadata

UUID = lvm2_metadata.device_uuid(7)
SECTOR = 512


def head(*sectors: bytes) -> bytes:
    return b"".join(each.ljust(SECTOR, b"\0") for each in sectors).ljust(HEAD_SIZE, b"\0")


def label(sector: int = 1, **more: int) -> bytes:
    return lvm2_metadata.write_label(UUID, 1 << 30, [(4096, 8192), (65536, 512)], sector=sector, **more)


def test_checksum_of_pieces_is_that_of_the_whole() -> None:
    assert checksum(b"LVM2 metadata") == lvm2_metadata.checksum(b"LVM2 metadata")
    assert checksum(b"LVM2 ", b"", b"metadata") == checksum(b"LVM2 metadata")
    assert checksum() == 0xF597A6CF


def test_a_label() -> None:
    assert find_label(head(b"", label())) == Label(
        sector=1,
        uuid=UUID,
        size=1 << 30,
        data_areas=(Range(1 << 20, 0),),
        metadata_areas=(Range(4096, 8192), Range(65536, 512)),
        boot_areas=(),
        extension=2,
        in_use=True,
    )


def test_an_old_label_has_no_extension() -> None:
    found = find_label(head(b"", label(extension=0)))
    assert found is not None
    assert (found.extension, found.in_use, found.boot_areas) == (0, None, ())


@pytest.mark.parametrize("sector", range(4))
def test_it_may_be_in_any_of_four_sectors(sector: int) -> None:
    found = find_label(head(*[b""] * sector, label(sector)))
    assert found is not None
    assert found.sector == sector
    assert find_label(bytes(4 * SECTOR) + label(4)) is None


def test_no_label() -> None:
    assert find_label(bytes(HEAD_SIZE)) is None
    assert find_label(b"") is None
    assert find_label(bytes(100)) is None


def test_a_whole_label_wins_over_a_damaged_one_before_it() -> None:
    damaged = bytearray(label(0))
    damaged[100] ^= 1
    found = find_label(head(bytes(damaged), label(1)))
    assert found is not None
    assert found.sector == 1
    with pytest.raises(DamagedError, match="the label in sector 0 has the checksum"):
        find_label(head(bytes(damaged)))
    later = bytearray(label(1))
    later[100] ^= 1
    with pytest.raises(DamagedError, match="the label in sector 0 has the checksum"):
        find_label(head(bytes(damaged), bytes(later)))


def resealed(sector: bytes) -> bytes:
    """With a checksum that fits."""
    return sector[:16] + lvm2_metadata.checksum(sector[20:]).to_bytes(4, "little") + sector[20:]


def changed(at: int, data: bytes) -> bytes:
    found = label()
    return resealed(found[:at] + data + found[at + len(data) :])


@pytest.mark.parametrize(
    ("sector", "message"),
    [
        (changed(8, b"\2"), "says that it is in sector 2"),
        (changed(20, b"\x1f"), "contents begin at byte 31"),
        (changed(20, b"\xd9\x01"), "contents begin at byte 473"),
        (changed(20, b"\xd8\x01"), "the list of data areas has no end"),
        (changed(20, b"\xff\xff\xff\xff"), "contents begin at byte 4294967295"),
        (changed(24, b"LVM1"), "is of type b'LVM1 001'"),
        (changed(32, b"\0"), "holds no UUID but"),
        (changed(72, b"\1" * 440), "the list of data areas has no end"),
        (changed(104, b"\1" * 408), "the list of metadata areas has no end"),
    ],
)
def test_labels_that_are_refused(sector: bytes, message: str) -> None:
    assert len(sector) == SECTOR
    with pytest.raises(DamagedError, match=message):
        find_label(head(b"", sector))


def shifted(by: int, areas: int, extension: int = 0) -> bytes:
    """A label whose contents begin so many bytes later, with so many metadata areas."""
    found = lvm2_metadata.write_label(UUID, 1 << 30, [(4096, 512)] * areas, extension=extension)[: SECTOR + by]
    return resealed((found[:20] + bytes([32 + by, 0, 0, 0]) + found[24:32] + bytes(by) + found[32:])[:SECTOR])


def test_lists_up_to_the_end_of_the_sector() -> None:
    for by, areas, extension in ((8, 24, 0), (0, 24, 0), (0, 22, 1)):
        found = find_label(head(b"", shifted(by, areas, extension)))
        assert found is not None
        assert (len(found.metadata_areas), found.extension, found.boot_areas) == (areas, extension, ())
    for by, areas, extension in ((16, 24, 0), (8, 25, 0), (9, 25, 0), (0, 24, 1)):
        with pytest.raises(DamagedError, match="has no end within the label's sector"):
            find_label(head(b"", shifted(by, areas, extension)))


def test_boot_loader_areas() -> None:
    sector = changed(160, struct.pack("<QQQQ", 4096, 512, 0, 0))
    found = find_label(head(b"", sector))
    assert found is not None
    assert found.boot_areas == (Range(4096, 512),)


def test_a_label_that_is_cut_off_is_none() -> None:
    assert find_label(bytes(SECTOR) + label()[:100]) is None


def test_uuids() -> None:
    assert from_stored(without_dashes(UUID).encode(), "it") == UUID
    assert is_uuid(UUID)
    for text in ("", UUID[:-1], UUID + "x", without_dashes(UUID), UUID.replace("D", "/")):
        assert not is_uuid(text)
    with pytest.raises(DamagedError, match="it holds no UUID"):
        from_stored(bytes(32), "it")

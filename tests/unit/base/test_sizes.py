from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.base.sizes import format_size, parse_size, to_sectors


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("10G", 10 << 30),
        ("10g", 10 << 30),
        ("2m", 2 << 20),
        ("64K", 65536),
        ("1t", 1 << 40),
        ("8388607T", 8388607 << 40),
    ],
)
def test_sizes_are_whole_numbers_with_a_binary_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "G", "-1", "1.5G", "10GB", " 10G", "10 G", "0x10", "1e3", "10G\n", "٣G", "8388608T"]
)
def test_anything_else_is_refused_with_the_text_in_the_message(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert repr(text) in caught.value.message


def test_sectors_are_512_bytes() -> None:
    assert to_sectors(1 << 20) == 2048


def test_a_size_between_two_sectors_is_refused() -> None:
    with pytest.raises(UsageError, match="volume size 513 is no multiple of 512"):
        to_sectors(513, "volume size")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (10 << 30, "10.0 GiB"), (5 << 60, "5120.0 PiB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert format_size(size) == text

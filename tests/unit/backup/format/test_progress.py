"""Steps of a backup under way: what was written is read, anything else is damage."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
import zstandard

from drystone.backup.format import progress
from drystone.backup.format.digest import NOTHING, checksum
from drystone.backup.format.manifest import Shape
from drystone.backup.format.pack import Place
from drystone.backup.format.progress import Step
from drystone.base.errors import DamagedError

SHAPE = Shape(100 << 20, 65536, 4)
STEP = Step(
    SHAPE,
    3,
    9,
    {
        3: (checksum(b"3"), Place(b"b" * 16, 32, 200)),
        5: (NOTHING, None),
        8: (checksum(b"8"), Place(b"a" * 16, 232, 77)),
    },
    12345,
)


def test_what_was_written_is_read() -> None:
    assert progress.parse(progress.encode(STEP), "it") == STEP
    empty = Step(SHAPE, 0, 0, {}, 0)
    assert progress.parse(progress.encode(empty), "it") == empty


@pytest.mark.parametrize(
    "change",
    [
        {"version": 3}, {"from": 4}, {"to": 8}, {"from": 10}, {"to": 1 << 40}, {"segments": "AAAA"}, {"segments": "!"},
        {"packs": []}, {"packs": ["00"]}, {"packs": ["zz"]}, {"read": -1}, {"size": "x"},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_damage(change: dict[str, object]) -> None:
    document = msgspec.json.decode(zstandard.ZstdDecompressor().decompress(progress.encode(STEP)))
    data = zstandard.ZstdCompressor().compress(msgspec.json.encode({**document, **change}))
    with pytest.raises(DamagedError):
        progress.parse(data, "it")


@pytest.mark.parametrize("place", [Place(b"b" * 16, 31, 200), Place(b"b" * 16, 32, 48), Place(b"b" * 16, 1 << 30, 49)])
def test_a_place_that_is_none_is_damage(place: Place) -> None:
    with pytest.raises(DamagedError, match="refers to a p"):
        progress.parse(progress.encode(replace(STEP, rows={3: (checksum(b"3"), place)})), "it")


def test_bytes_that_are_none_are_damage() -> None:
    data = progress.encode(STEP)
    for wrong in (b"", b"x", data[:-1], data + b"x", zstandard.ZstdCompressor().compress(b"[]")):
        with pytest.raises(DamagedError):
            progress.parse(wrong, "it")

"""Compression: where it pays, and unpacking within bounds."""

from __future__ import annotations

import pytest
import zstandard
from blake3 import blake3

from drystone.backup.format.codec import Codec, Compressor, decompress, unpack_frame
from drystone.base.errors import DamagedError

TEXT = b"a text that shrinks " * 5000


def test_unpacking_makes_no_more_than_it_was_told() -> None:
    bomb = Compressor().compress(memoryview(bytes(1 << 20)))[1]
    with pytest.raises(DamagedError):
        decompress(Codec.ZSTD, memoryview(bomb), 1000)
    for payload in (b"", b"nonsense", bytes(bomb)[:-3], bytes(bomb) + b"more"):
        with pytest.raises(DamagedError):
            decompress(Codec.ZSTD, memoryview(payload), 1 << 20)
    with pytest.raises(DamagedError, match="codec 7"):
        decompress(7, memoryview(b"x"), 1)


def test_a_frame_is_read_whole_and_within_its_bound() -> None:
    frame = zstandard.compress(TEXT)
    assert unpack_frame(frame, len(TEXT), "it") == TEXT
    stream = zstandard.ZstdCompressor().compressobj()
    silent = stream.compress(TEXT) + stream.flush()
    wrong = (b"", b"nonsense", frame[:-3], frame + b"more", silent, zstandard.compress(b""))
    for data, most in ((frame, len(TEXT) - 1), *((each, 1 << 20) for each in wrong)):
        with pytest.raises(DamagedError, match=r"^it "):
            unpack_frame(data, most, "it")


def test_a_long_record_that_does_not_shrink_is_known_by_a_look() -> None:
    noise = blake3(b"long").digest(1 << 20)
    assert Compressor().compress(memoryview(noise))[0] is Codec.PLAIN
    assert Compressor().compress(memoryview(TEXT * 10))[0] is Codec.ZSTD

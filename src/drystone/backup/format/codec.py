"""Compression of one record: zstd where it pays, and unpacking that never makes more than it was told to."""

from __future__ import annotations

from enum import IntEnum

import zstandard

from drystone.base.errors import DamagedError

LEVEL = 1
"""zstd's level: 140 MB/s a core on text where level 3 makes 90, for a few percent of size."""

_LOOKS = 8
_LOOK = 4096
_PAYS = 0.97
"""A look at the data, or the data, must shrink below this part of itself to be stored compressed."""


class Codec(IntEnum):
    """How a payload is stored."""

    PLAIN = 0
    ZSTD = 1


class Compressor:
    """Compresses records; for one thread (zstd's state is kept from one to the next)."""

    def __init__(self, level: int = LEVEL) -> None:
        self._frames = zstandard.ZstdCompressor(level=level, write_checksum=False)

    def compress(self, plain: memoryview) -> tuple[Codec, bytes | memoryview]:
        """The codec and the payload: `plain` itself when compressing it does not pay.

        A long record is looked at in eight places first; random data is known after 3% of the work.
        """
        if len(plain) >= 4 * _LOOKS * _LOOK:
            step = len(plain) // _LOOKS
            look = b"".join(plain[at * step : at * step + _LOOK] for at in range(_LOOKS))
            if len(self._frames.compress(look)) > len(look) * _PAYS:
                return Codec.PLAIN, plain
        packed = self._frames.compress(plain)
        return (Codec.ZSTD, packed) if len(packed) < len(plain) * _PAYS else (Codec.PLAIN, plain)


def unpack_frame(data: bytes, most: int, what: str) -> bytes:
    """The content of a zstd frame, `most` bytes of it at most; `what` names it in errors.

    :raises DamagedError: it is no such frame. No more than `most` is ever made.
    """
    try:
        # What it tells is asked first: zstd would reserve memory for it.
        size = zstandard.frame_content_size(data)
        if not 0 < size <= most:
            raise DamagedError(f"{what} tells {size} bytes")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedError(f"{what} is damaged: {error}") from error


def decompress(codec: int, payload: memoryview, length: int) -> bytes | memoryview:
    """The plain bytes, exactly `length` of them.

    :raises DamagedError: an unknown codec, a broken frame, or another length; no more than `length` is ever made.
    """
    if codec == Codec.PLAIN:
        plain: bytes | memoryview = payload
    elif codec == Codec.ZSTD:
        try:
            # A frame that names another size is refused unread: zstd would reserve memory for what the frame claims.
            if zstandard.frame_content_size(payload) != length:
                raise DamagedError(f"a record's frame is not of {length} bytes")
            plain = zstandard.ZstdDecompressor().decompress(payload, max_output_size=length, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise DamagedError(f"a record does not unpack: {error}") from error
    else:
        raise DamagedError(f"a record has codec {codec}, which is unknown")
    if len(plain) != length:
        raise DamagedError(f"a record unpacks to {len(plain)} bytes, not {length}")
    return plain

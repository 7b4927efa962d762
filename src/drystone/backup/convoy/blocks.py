"""The blocks of a Convoy backup: fetched, unpacked to exactly 2 MiB, and checked against their sums."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable

import numpy as np

from drystone.backup.convoy.documents import BLOCK, BlockMap
from drystone.backup.convoy.layout import Folder
from drystone.base.errors import DamagedError, NotFoundError
from drystone.store import Store

_GZIP = 16 + zlib.MAX_WBITS
_NOTHING = bytes(BLOCK)


class ConvoyBlocks:
    """The `Chunks` of an image in a Convoy store.

    :param size: bytes of the image. :param what: names the backup in errors.
    """

    def __init__(self, store: Store, folder: Folder, blocks: BlockMap, size: int, what: str) -> None:
        self._store = store
        self._folder = folder
        self._map = blocks
        self._size = size
        self._what = what

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self._size

    @property
    def chunk_size(self) -> int:
        """2 MiB."""
        return BLOCK

    def stored(self, first: int, last: int) -> list[int]:
        """The blocks of [first, last) that the backup names."""
        begin, end = np.searchsorted(self._map.offsets, [first * BLOCK, last * BLOCK])
        found: list[int] = (self._map.offsets[begin:end] // BLOCK).tolist()
        return found

    def matches(self, number: int, data: memoryview) -> bool:
        """Whether these are the bytes of a block that the backup names."""
        at = int(np.searchsorted(self._map.offsets, number * BLOCK))
        found = hashlib.sha512(data)
        found.update(_NOTHING[len(data) :])
        return found.hexdigest()[:64].encode() == bytes(self._map.sums[at])

    def fetch(
        self,
        numbers: list[int],
        take: Callable[[int, bytes | memoryview], None],
        fail: Callable[[int, DamagedError], None],
    ) -> None:
        """A request a block."""
        for number in numbers:
            try:
                plain = self.read_block(number)
            except DamagedError as error:
                fail(number, error)
            else:
                take(number, plain)

    def read_block(self, number: int) -> bytes | memoryview:
        """The plain bytes of a block that the backup names; the last one of the image is cut.

        :raises DamagedError: the block is missing or wrong; the fact `offset` is its place in the image.
        """
        offset = number * BLOCK
        at = int(np.searchsorted(self._map.offsets, offset))
        checksum = bytes(self._map.sums[at]).decode()
        try:
            try:
                plain = unpack(self._store.get(self._folder.block_key(checksum)), checksum)
            except NotFoundError as error:
                raise DamagedError(f"block {checksum} is missing") from error
            length = min(BLOCK, self._size - offset)
            if length < BLOCK and plain[length:] != _NOTHING[length:]:
                raise DamagedError(f"block {checksum} goes beyond the image's end at {self._size}")
        except DamagedError as error:
            raise DamagedError(
                f"{self._what} is damaged at byte {offset} of the image: {error.message}",
                hint="another backup of the volume may be whole",
                volume=self._folder.volume,
                block=checksum,
                offset=offset,
            ) from error
        return plain if length == BLOCK else memoryview(plain)[:length]


def unpack(data: bytes, checksum: str) -> bytes:
    """The 2 MiB that `data` is the gzip of.

    :raises DamagedError: it is of another length, no gzip, or has another sum. No more than 2 MiB are ever made.
    """
    unzip = zlib.decompressobj(_GZIP)
    try:
        plain = unzip.decompress(data, BLOCK)
        # The end and the sum of gzip's own may be left to read.
        more = unzip.decompress(unzip.unconsumed_tail, 1) if not unzip.eof else b""
    except zlib.error as error:
        raise DamagedError(f"block {checksum} does not unpack: {error}") from error
    if more or len(plain) != BLOCK or not unzip.eof or unzip.unused_data:
        raise DamagedError(f"block {checksum} is not the gzip of {BLOCK} bytes")
    if hashlib.sha512(plain).hexdigest()[:64] != checksum:
        raise DamagedError(f"block {checksum} has other bytes than its sum says")
    return plain

"""From a batch of the source to chunks: read, look for zeros, hash, look up, compress. Run by several threads."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.codec import Compressor
from drystone.backup.format.digest import NOTHING
from drystone.backup.format.manifest import Shape
from drystone.backup.format.pack import Kind, Place, Record, make_record
from drystone.backup.format.segment import Segment
from drystone.backup.reading.zeros import is_zero
from drystone.backup.source import Source
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.backup.writing.index import ChunkIndex
from drystone.backup.writing.spoilt import Spoilt
from drystone.kernel.blockdev import aligned_buffer


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks [first, first + count) of the image, all of one segment; `base` is that segment of the base.

    :ivar buffer: of `Chunker.take_buffer`, where the chunks were read already: its first `size` bytes.
    """

    segment: int
    first: int
    count: int
    base: Segment | None
    buffer: NDArray[np.uint8] | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of a chunk: the leaf NOTHING for zeros; a place when it is stored; else a record to store."""

    slot: int
    leaf: bytes
    place: Place | None = None
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Chunked:
    """A batch's chunks in order; `size` bytes were read. Records may point into `buffer`."""

    batch: Batch
    chunks: list[Chunk]
    size: int
    buffer: NDArray[np.uint8]


class Chunker:
    """Turns batches of `source` into chunks; `chunk` may be called by several threads at once."""

    def __init__(
        self, vault: Vault, source: Source | None, shape: Shape, index: ChunkIndex, spoilt: Spoilt, tuning: Tuning
    ) -> None:
        self._spoilt = spoilt
        self._digest = vault.hasher.digest
        self._encrypted = vault.encrypted
        self._source = source
        self._shape = shape
        self._index = index
        self._level = tuning.level
        self._length = max(tuning.batch_size, shape.chunk_size)
        self._buffers: queue.SimpleQueue[NDArray[np.uint8]] = queue.SimpleQueue()
        self._own = threading.local()

    def chunk(self, batch: Batch) -> Chunked:
        """Read a batch. Its buffer goes to `give_back` when its records are copied."""
        shape = self._shape
        begin = batch.first * shape.chunk_size
        if batch.buffer is not None:
            buffer, size = batch.buffer, batch.size
        else:
            size = min(shape.size, (batch.first + batch.count) * shape.chunk_size) - begin
            assert self._source is not None, "what a stream gives is in the batch"
            buffer = self.take_buffer()
            self._source.read_into(begin, buffer[:size])
        chunks = []
        for at in range(batch.count):
            slot = batch.first + at - batch.segment * shape.slots
            data = buffer[at * shape.chunk_size : min(size, (at + 1) * shape.chunk_size)]
            chunks.append(self._make_chunk(batch.base, slot, data))
        return Chunked(batch, chunks, size, buffer)

    def give_back(self, buffer: NDArray[np.uint8]) -> None:
        """Nothing points into the buffer any more: the next batch may have it."""
        self._buffers.put(buffer)

    def take_buffer(self) -> NDArray[np.uint8]:
        """A buffer for a batch, of any content."""
        try:
            return self._buffers.get_nowait()
        except queue.Empty:
            return aligned_buffer(self._length)

    def _make_chunk(self, base: Segment | None, slot: int, data: NDArray[np.uint8]) -> Chunk:
        if is_zero(data):
            return Chunk(slot, NOTHING)
        leaf = self._digest(data.data)
        if base is not None and base.leaf(slot) == leaf:
            place = base.place(slot)
            if place is not None and not self._spoilt.has(place):
                return Chunk(slot, leaf, place)
        place = self._index.find(leaf)
        if place is not None:
            return Chunk(slot, leaf, place)
        if not hasattr(self._own, "compressor"):
            self._own.compressor = Compressor(self._level)
        codec, payload = self._own.compressor.compress(data.data)
        record = make_record(Kind.CHUNK, codec, leaf, payload, len(data), encrypted=self._encrypted)
        return Chunk(slot, leaf, record=record)

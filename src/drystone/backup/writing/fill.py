"""Filling packs and a map from a source: read, hash, compress, pack and put at the same time, within bounds.

Threads take batches of the source and turn them into chunks. One thread takes their results in order, fills packs and
map segments; two more put full packs. What a killed run had done is taken over first (resume.py).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from drystone.backup.format.digest import NOTHING
from drystone.backup.format.keys import pack_writer
from drystone.backup.format.manifest import Manifest, Shape
from drystone.backup.format.pack import Place
from drystone.backup.format.segment import Segment
from drystone.backup.pipeline import Progress, ordered
from drystone.backup.ranges import Ranges, Runs, chunk_runs
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.segments import read_segment
from drystone.backup.source import Source
from drystone.backup.state.operations import forget
from drystone.backup.stream import Stream
from drystone.backup.tuning import Tuning
from drystone.backup.writing.chunker import Batch, Chunked, Chunker
from drystone.backup.writing.commit import Draft
from drystone.backup.writing.index import ChunkIndex
from drystone.backup.writing.known import load_known
from drystone.backup.writing.mapping import MapMaker, Tables
from drystone.backup.writing.presence import Presence
from drystone.backup.writing.resume import Dead, Done, Recorder, read_done, take_over
from drystone.backup.writing.sample import check_sample, choose_sample
from drystone.backup.writing.spoilt import Spoilt
from drystone.backup.writing.writer import PackWriter
from drystone.base.errors import DamagedError, UsageError

_KNOWN = 64
_LEAST_KNOWN = 1 << 16
"""Entries of the repository's indexes that are looked at: so many for each chunk to be read, and so many at least. A
small backup does not pay for a large repository."""

_LEAST_OBJECTS = 16
"""Indexes that are read at least, and one more for so many chunks to be read. A prune makes few of many small ones."""


@dataclass(frozen=True, slots=True)
class Job:
    """One backup's fixed facts.

    :ivar extents: what is to be read. :ivar anew: refer to nothing that is stored. :ivar past: a dead run whose writers
        were announced with this one.
    """

    locator: Locator
    source: Source | Stream
    extents: Ranges
    shape: Shape
    base: Manifest | None
    tuning: Tuning
    progress: Progress
    draft: Draft
    anew: bool
    past: Dead | None


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of it: the map's tables, bytes read and stored, and the image's shape."""

    tables: Tables
    read: int
    stored: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class _Begun:
    """Where to begin: behind what a dead run had done, or at 0."""

    index: ChunkIndex
    maker: MapMaker
    done: Done | None

    @property
    def segment(self) -> int:
        """The first segment that is not done."""
        return 0 if self.done is None else self.done.end

    @property
    def read(self) -> int:
        """Bytes that need not be read again."""
        return 0 if self.done is None else self.done.read

    def stored(self, tables: Tables) -> int:
        """Bytes of the dead run's packs that the backup needs."""
        sizes = {} if self.done is None else self.done.sizes
        return sum(sizes.get(bytes(each), 0) for each in tables.packs["id"])


def fill(job: Job, writer: PackWriter) -> Filled:
    """Read the source into packs and a map, all of them put and durable, the indexes too."""
    source = job.source
    all_runs = chunk_runs(job.extents, job.shape.chunk_size)
    total = _bytes_of(all_runs, job.shape)
    spoilt = Spoilt(job.locator.state)
    begun = _begin(job, writer, spoilt, total)
    index, maker = begun.index, begun.maker
    recorder = _make_recorder(job, begun)
    own_source = None if isinstance(source, Stream) else source
    chunker = Chunker(job.locator.vault, own_source, job.shape, index, spoilt, job.tuning)
    done = begun.read
    new: Segment | None = None
    old: Segment | None = None
    job.progress(done, total)
    with ThreadPoolExecutor(job.tuning.workers, thread_name_prefix="chunk") as pool:
        runs = _behind(all_runs, begun.segment * job.shape.slots)
        batches = (
            _stream_batches(job, source, chunker) if isinstance(source, Stream) else _batches(job, runs, index, spoilt)
        )
        results = ordered(pool, chunker.chunk, batches, job.tuning.batches_of(job.shape.chunk_size))
        with contextlib.closing(results):
            for result in results:
                if new is None or new.number != result.batch.segment:
                    if new is not None:
                        recorder.add(new.number, *maker.replace(old, new))
                    if recorder.is_due(done):
                        writer.flush()
                        recorder.record(result.batch.segment, done)
                    old = result.batch.base
                    new = _begin_segment(job, result.batch)
                _place_chunks(result, new, writer, index)
                job.draft.put_indexes(index.finished())
                chunker.give_back(result.buffer)
                done += result.size
                job.progress(done, total)
        _prove(job, all_runs, pool)
    shape = replace(job.shape, size=done) if isinstance(source, Stream) else job.shape
    if new is not None:
        maker.replace(old, _fit(new, shape))
    tables = maker.finish(shape)
    writer.flush()
    job.draft.put_indexes(index.finished(last=True))
    return Filled(tables, done, writer.stored + begun.stored(tables), shape)


def _begin(job: Job, writer: PackWriter, spoilt: Spoilt, total: int) -> _Begun:
    """Take over what a dead run had done, where all of that is whole."""
    most = job.tuning.own_entries
    chunks = total // job.shape.chunk_size
    wanted = min(most, max(_LEAST_KNOWN, _KNOWN * chunks))
    known = () if job.anew else load_known(job.locator, spoilt, wanted, _LEAST_OBJECTS + chunks // _KNOWN)
    presence = Presence(job.locator.vault)

    def begin(done: Done | None) -> _Begun:
        index = ChunkIndex(most, job.tuning.index_spill, known, presence)
        maker = MapMaker(job.locator, spoilt, writer, job.base, relative=is_relative(job.source))
        if done is not None:
            _adopt(job, done, index, maker)
        return _Begun(index, maker, done)

    done = None if job.past is None else take_over(job.locator, job.past, job.shape)
    if done is not None:
        with contextlib.suppress(DamagedError):
            return begin(done)
    return begin(None)


def _adopt(job: Job, done: Done, index: ChunkIndex, maker: MapMaker) -> None:
    relative = is_relative(job.source)
    with contextlib.closing(read_done(job.locator, done, job.shape, job.tuning.workers)) as segments:
        for number, row, segment in segments:
            maker.adopt(number, row, _base_segment(job, number) if relative else None, segment)
            for leaf, pack, offset, length in segment.stored() if segment is not None else ():
                if pack_writer(pack) in done.writers:
                    index.add(leaf, Place(pack, offset, length))
            job.draft.put_indexes(index.finished())


def _make_recorder(job: Job, begun: _Begun) -> Recorder:
    recorder = Recorder(job.locator.vault, job.draft.announced, job.shape, job.tuning.checkpoint)
    if begun.done is not None:
        # At once: whoever goes on after this run needs this run's steps only.
        for number, row in begun.done.rows.items():
            recorder.add(number, *row)
        recorder.record(begun.done.end, begun.done.read)
        if recorder.put and job.past is not None:
            forget(job.locator.vault, job.past.key)
    return recorder


def _behind(runs: Runs, first: int) -> Runs:
    """What is left of runs from chunk `first` on."""
    left = runs[runs[:, 1] > first]
    return np.stack((np.maximum(left[:, 0], first), left[:, 1]), axis=1)


def is_relative(source: Source | Stream) -> bool:
    """Whether only changes since the base are told."""
    return not isinstance(source, Stream) and source.relative


def _prove(job: Job, runs: Runs, pool: Executor) -> None:
    """Look at some of what a source of changes says to be as it was. :raises DamagedError: it is not."""
    base, source = job.base, job.source
    if base is None or isinstance(source, Stream) or not source.relative:
        return
    seed = int.from_bytes(os.urandom(8)) if job.tuning.seed is None else job.tuning.seed
    sample = choose_sample(runs, job.shape.chunks, seed)
    hasher = job.locator.vault.hasher
    check_sample(source, job.shape, lambda number: read_segment(job.locator, base, number), hasher, sample, pool)


def _bytes_of(runs: Runs, shape: Shape) -> int:
    """Bytes of runs of chunks; the image's last chunk may be short."""
    chunks = int((runs[:, 1] - runs[:, 0]).sum())
    short = shape.chunks * shape.chunk_size - shape.size if len(runs) and runs[-1, 1] == shape.chunks else 0
    return chunks * shape.chunk_size - short


def _batches(job: Job, runs: Runs, index: ChunkIndex, spoilt: Spoilt) -> Iterator[Batch]:
    """Runs cut at segments and at what a thread reads at once; the base's segments are fetched on the way."""
    shape = job.shape
    at_once = max(1, job.tuning.batch_size // shape.chunk_size)
    number = -1
    base: Segment | None = None
    for first, last in runs.tolist():
        at = first
        while at < last:
            if at // shape.slots != number:
                number = at // shape.slots
                base = _base_segment(job, number)
                if base is not None and is_relative(job.source):
                    index.add_segment(base, spoilt)
            count = min(at_once, last - at, (number + 1) * shape.slots - at)
            yield Batch(number, at, count, base)
            at += count


def _stream_batches(job: Job, stream: Stream, chunker: Chunker) -> Iterator[Batch]:
    """What a stream gives, read here and in order. :raises UsageError: more than an image can have."""
    shape = job.shape
    at_once = max(1, job.tuning.batch_size // shape.chunk_size)
    at, ended = 0, False
    number = -1
    base: Segment | None = None
    while not ended:
        if at == shape.chunks:
            raise UsageError(f"the stream has more than the {shape.size} bytes that an image can have")
        count = min(at_once, (at // shape.slots + 1) * shape.slots - at)
        buffer = chunker.take_buffer()
        size = stream.fill(buffer[: count * shape.chunk_size])
        ended = size < count * shape.chunk_size
        if not size:
            return
        if at // shape.slots != number:
            number = at // shape.slots
            base = _base_segment(job, number)
        yield Batch(number, at, -(-size // shape.chunk_size), base, buffer, size)
        at += count


def _base_segment(job: Job, number: int) -> Segment | None:
    """The base's segment as one of the new image: an image that grew or shrank has another last segment."""
    if job.base is None or number >= job.base.shape.segments:
        return None
    segment = read_segment(job.locator, job.base, number)
    return None if segment is None else _fit(segment, job.shape)


def _fit(segment: Segment, shape: Shape) -> Segment:
    slots = shape.slots_of(segment.number)
    return segment if len(segment.leaves) == slots else segment.resized(slots)


def _begin_segment(job: Job, batch: Batch) -> Segment:
    """The new segment before its chunks are put: the base's where the source tells changes only, else zeros."""
    if is_relative(job.source) and batch.base is not None:
        return batch.base.copy()
    return Segment.empty(batch.segment, job.shape.slots_of(batch.segment))


def _place_chunks(result: Chunked, segment: Segment, writer: PackWriter, index: ChunkIndex) -> None:
    """Store the batch's new chunks and enter all of them in the segment."""
    for chunk in result.chunks:
        if chunk.leaf == NOTHING:
            segment.clear(chunk.slot)
            continue
        # Another thread may have met the same bytes at the same time: the first one's record serves both.
        place = chunk.place or index.find(chunk.leaf)
        if place is None:
            assert chunk.record is not None
            place = writer.add(chunk.record)
            index.add(chunk.leaf, place)
        segment.put(chunk.slot, chunk.leaf, place)

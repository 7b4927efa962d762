"""Making a backup: read, hash, compress, pack and put at the same time, within bounds.

Threads take batches of the source and turn them into chunks. One thread takes their results in order, fills packs and
map segments; two more put full packs. Cost: for a source that knows what changed, that of the changed chunks, of the
map segments that they lie in, and of one manifest. Memory is bounded by Tuning, whatever the image's size.
The order of writes, and why a kill at any point does no harm: docs/reference/backup-format.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format import manifest as manifests
from drystone.backup.format.digest import NOTHING
from drystone.backup.format.keys import manifest_key, new_writer, pack_key
from drystone.backup.format.manifest import Head, Manifest, Shape, check_shape
from drystone.backup.format.segment import Segment
from drystone.backup.objects import put_own, read_manifest, read_segment
from drystone.backup.operations import announced, describe, living, still_announced
from drystone.backup.pipeline import Progress, ordered
from drystone.backup.source import Source, chunk_runs
from drystone.backup.tuning import Tuning
from drystone.backup.writing.bases import check_packs
from drystone.backup.writing.chunker import Batch, Chunked, Chunker
from drystone.backup.writing.index import ChunkIndex
from drystone.backup.writing.mapping import MapMaker, Tables
from drystone.backup.writing.writer import PackWriter
from drystone.base.clock import Clock
from drystone.base.errors import BusyError, DrystoneError, ExistsError, MismatchError, NotFoundError, UsageError
from drystone.base.names import new_uuid
from drystone.store import Store


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """What to back up as what.

    :ivar volume: UUID of the volume that the backup belongs to.
    :ivar source_name: for people, in lists.
    :ivar base: UUID of the backup that a relative source is relative to, or that another is compared with; "" for none.
    :ivar about: kept with the backup, as it stands.
    :ivar backup: its UUID; "" makes one.
    """

    volume: str
    source_name: str
    base: str = ""
    about: dict[str, str] = field(default_factory=dict)
    backup: str = ""


@dataclass(frozen=True, slots=True)
class _Job:
    """One backup's fixed facts."""

    store: Store
    source: Source
    shape: Shape
    base: Manifest | None
    tuning: Tuning
    progress: Progress


def create_backup(
    store: Store, source: Source, request: BackupRequest, *, tuning: Tuning, clock: Clock, progress: Progress
) -> Manifest:
    """Back `source` up. When this returns the backup is durable; when it raises there is none, or a whole one.

    :raises NotFoundError: the base is not there. :raises MismatchError: the base is of another size.
    :raises ExistsError: there is a backup of that UUID. :raises BusyError: the base is being deleted, or the backup
        was taken for dead by somebody who cleaned up. :raises DamagedError: the base is damaged.
    """
    backup = request.backup or new_uuid()
    key = manifest_key(request.volume, backup)
    if source.relative and not request.base:
        raise UsageError("a source of changes needs the backup that they are relative to")
    name = new_writer()
    with announced(store, describe("backup", request.volume, backup, request.base, name)) as operation:
        _check_nobody(store, request, backup, operation)
        base = _read_base(store, request)
        _check_absent(store, key, backup)
        job = _Job(store, source, _shape(source, base, tuning), base, tuning, progress)
        writer = PackWriter(store, name, tuning.pack_size)
        created = clock.now().astimezone(UTC).isoformat(timespec="microseconds")
        try:
            with writer:
                tables, read = _fill(job, writer)
            head = _head(request, backup, created, job, tables, read=read, stored=writer.stored)
            manifest = Manifest(head, tables.segments, tables.packs)
            data = manifests.encode(manifest)
        except BaseException:
            _remove_packs(store, writer.packs)
            raise
        # From here on the manifest may be there, whatever the store answers: the packs stay, `sweep` finds them.
        put_own(store, key, data)
        if not still_announced(store, operation):
            store.delete(key)
            raise BusyError(f"backup {backup} was taken for dead while it ran, and is withdrawn", hint="make it again")
    return manifest


def _check_nobody(store: Store, request: BackupRequest, backup: str, own: str) -> None:
    """Nobody makes the same backup, or deletes the base. :raises BusyError: somebody does."""
    for key, other in living(store).items():
        if key == own or other.volume != request.volume:
            continue
        if other.backup == backup:
            raise BusyError(f"backup {backup} is being made or deleted by another process", pid=other.pid)
        if request.base and other.operation == "delete" and other.backup == request.base:
            raise BusyError(f"backup {request.base}, the base, is being deleted", pid=other.pid)


def _read_base(store: Store, request: BackupRequest) -> Manifest | None:
    """The base, all packs of which are there. :raises DamagedError: they are not."""
    if not request.base:
        return None
    base = read_manifest(store, request.volume, request.base)
    check_packs(store, base)
    return base


def _check_absent(store: Store, key: str, backup: str) -> None:
    with contextlib.suppress(NotFoundError):
        store.get(key)
        raise ExistsError(f"there is a backup {backup} already")


def _shape(source: Source, base: Manifest | None, tuning: Tuning) -> Shape:
    """How to cut the image: as the base was, so that its chunks can be compared."""
    if base is not None:
        shape = Shape(source.size, base.head.chunk_size, base.head.segment_slots)
        if source.relative and base.head.size != source.size:
            raise MismatchError(
                f"the base has {base.head.size} bytes and the source {source.size}", hint="make a full backup"
            )
    else:
        shape = Shape(source.size, tuning.chunk_size, tuning.segment_slots)
    check_shape(shape)
    return shape


def _fill(job: _Job, writer: PackWriter) -> tuple[Tables, int]:
    """Read the source into packs and a map, all of them put; the map's tables, and the bytes read."""
    index = ChunkIndex(job.tuning.index_entries)
    if job.base is not None and not job.source.relative:
        _remember(job.store, job.base, index)
    chunker = Chunker(job.source, job.shape, index, job.tuning)
    maker = MapMaker(job.shape, writer, job.base, relative=job.source.relative)
    runs = chunk_runs(job.source.extents(), job.shape.chunk_size)
    total = _bytes_of(runs, job.shape)
    done = 0
    new: Segment | None = None
    old: Segment | None = None
    job.progress(0, total)
    with ThreadPoolExecutor(job.tuning.workers, thread_name_prefix="chunk") as pool:
        results = ordered(pool, chunker.chunk, _batches(job, runs, index), job.tuning.batches)
        with contextlib.closing(results):
            for result in results:
                if new is None or new.number != result.batch.segment:
                    if new is not None:
                        maker.replace(old, new)
                    old = result.batch.base
                    new = _begin_segment(job, result.batch)
                _place_chunks(result, new, writer, index)
                chunker.give_back(result.buffer)
                done += result.size
                job.progress(done, total)
    if new is not None:
        maker.replace(old, new)
    tables = maker.finish()
    writer.flush()
    return tables, done


def _bytes_of(runs: NDArray[np.int64], shape: Shape) -> int:
    """Bytes of runs of chunks; the image's last chunk may be short."""
    chunks = int((runs[:, 1] - runs[:, 0]).sum())
    short = shape.chunks * shape.chunk_size - shape.size if len(runs) and runs[-1, 1] == shape.chunks else 0
    return chunks * shape.chunk_size - short


def _remember(store: Store, base: Manifest, index: ChunkIndex) -> None:
    """Put all of the base's chunks in the index, so that data which moved is found."""
    for number in base.segments["number"].tolist():
        segment = read_segment(store, base, number)
        if segment is not None:
            index.add_segment(segment)


def _batches(job: _Job, runs: NDArray[np.int64], index: ChunkIndex) -> Iterator[Batch]:
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
                if base is not None and job.source.relative:
                    index.add_segment(base)
            count = min(at_once, last - at, (number + 1) * shape.slots - at)
            yield Batch(number, at, count, base)
            at += count


def _base_segment(job: _Job, number: int) -> Segment | None:
    """The base's segment as one of the new image: an image that grew or shrank has another last segment."""
    if job.base is None or number >= job.base.shape.segments:
        return None
    segment = read_segment(job.store, job.base, number)
    slots = job.shape.slots_of(number)
    return segment if segment is None or len(segment.leaves) == slots else segment.resized(slots)


def _begin_segment(job: _Job, batch: Batch) -> Segment:
    """The new segment before its chunks are put: the base's where the source tells changes only, else zeros."""
    if job.source.relative and batch.base is not None:
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


def _head(
    request: BackupRequest, backup: str, created: str, job: _Job, tables: Tables, *, read: int, stored: int
) -> Head:
    return Head(
        backup=backup,
        volume=request.volume,
        parent=request.base,
        created=created,
        source=request.source_name,
        size=job.shape.size,
        chunk_size=job.shape.chunk_size,
        segment_slots=job.shape.slots,
        root=tables.root.hex(),
        chunks=tables.chunks,
        read=read,
        stored=stored,
        about=request.about,
    )


def _remove_packs(store: Store, packs: list[bytes]) -> None:
    """What a failed backup put; a store that fails here too leaves them to `sweep`."""
    for pack in packs:
        with contextlib.suppress(DrystoneError):
            store.delete(pack_key(pack))

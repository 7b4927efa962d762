"""Making a backup: from the announcement to the change of state that makes it one.

Cost: for a source that knows what changed, that of the changed chunks, of the map segments that they lie in, and of one
manifest. Memory is bounded by Tuning, whatever the image's size. The order of writes, and why a kill at any point does
no harm: docs/reference/backup-format.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from drystone.backup.format.digest import checksum
from drystone.backup.format.keys import manifest_key, new_writer
from drystone.backup.format.manifest import MOST_SEGMENTS, SMALLEST_CHUNK, Head, Manifest, Shape, check_shape
from drystone.backup.pipeline import Progress
from drystone.backup.ranges import Ranges, chunk_runs, whole
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator
from drystone.backup.source import Identified, Source
from drystone.backup.state.operations import Announced, announced, is_there, read_operations
from drystone.backup.stream import Stream
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.backup.writing.bases import check_packs
from drystone.backup.writing.commit import Draft
from drystone.backup.writing.fill import Filled, Job, fill, is_relative
from drystone.backup.writing.index import index_size
from drystone.backup.writing.resume import find_dead
from drystone.backup.writing.writer import PackWriter
from drystone.base.clock import Clock, format_instant
from drystone.base.errors import BusyError, ExistsError, MismatchError, UsageError
from drystone.base.names import new_uuid

_LONG_STREAM = 16 << 40
"""Bytes of a stream whose chunks are all in an index; those of the rest may be stored twice one day."""


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """What to back up as what.

    :ivar volume: UUID of the volume that the backup belongs to.
    :ivar source_name: for people, in lists.
    :ivar base: UUID of the backup that a relative source is relative to, or that another is compared with; "" for none.
    :ivar about: kept with the backup, as it stands.
    :ivar backup: its UUID; "" makes one. A UUID is used once, also when the backup was deleted or was never finished.
    :ivar anew: store everything again, also what the repository has: for when that may be damaged. Needs no base.
    """

    volume: str
    source_name: str
    base: str = ""
    about: dict[str, str] = field(default_factory=dict)
    backup: str = ""
    anew: bool = False


def create_backup(
    vault: Vault, source: Source | Stream, request: BackupRequest, *, tuning: Tuning, clock: Clock, progress: Progress
) -> Head:
    """Back `source` up. When this returns the backup is durable; when it raises there is none, or a whole one.

    :raises NotFoundError: the base is not there. :raises MismatchError: the base is of another size.
    :raises ExistsError: there is a backup of that UUID, or what is left of one.
    :raises BusyError: the same backup is being made, or this one was taken for dead by somebody who cleaned up.
    :raises DamagedError: the base is damaged.
    """
    backup = request.backup or new_uuid()
    key = manifest_key(request.volume, backup)
    if is_relative(source) and not request.base:
        raise UsageError("a source of changes needs the backup that they are relative to")
    if request.anew and request.base:
        raise UsageError("a backup that stores everything anew builds upon no other")
    extents = whole(0) if isinstance(source, Stream) else source.extents()
    identity = _identify(source, extents)
    past = None if request.anew else find_dead(vault, request.volume, request.base, identity)
    names = [new_writer() for _ in range(1 + _index_names(source, extents, tuning))]
    own_names = tuple(each.hex() for each in names)
    writers = own_names + (past.operation.writers if past is not None else ())
    since = None if past is None else past.operation.generation
    with announced(
        vault, "backup", request.volume, backup, base=request.base, writers=writers, identity=identity, since=since
    ) as own:
        _check_nobody(vault, request, backup, own)
        locator = Locator(vault, own.state)
        _check_absent(vault, key, backup)
        base = read_entry(locator, request.volume, request.base) if request.base else None
        if base is not None:
            check_packs(locator, base)
        draft = Draft(vault, own, list(own_names[1:]))
        shape = _shape(source, base, tuning)
        job = Job(locator, source, extents, shape, base, tuning, progress, draft, request.anew, past)
        created = format_instant(clock.now())
        writer = PackWriter(vault, names[0], tuning)
        try:
            with writer:
                filled = fill(job, writer)
            head = _head(request, backup, created, filled)
            made = draft.commit(Manifest(head, filled.tables.segments, filled.tables.packs))
        except BaseException:
            draft.take_back(writer.packs)
            raise
    return made.head()


def _identify(source: Source | Stream, extents: Ranges) -> str:
    """What a run that goes on with this one must have as well; "" when nobody can."""
    known = source.identity if isinstance(source, Identified) else ""
    if not known:
        return ""
    return checksum(f"{known}/{is_relative(source)}/".encode() + extents.tobytes()).hex()


def _index_names(source: Source | Stream, extents: Ranges, tuning: Tuning) -> int:
    """How many indexes the backup may have to put: their names are announced with it.

    Only what is read can be new. How it is cut is the base's, which is not known yet.
    """
    read = whole(_LONG_STREAM) if isinstance(source, Stream) else extents
    chunks = int(np.diff(chunk_runs(read, SMALLEST_CHUNK)).sum())
    return 2 + chunks // index_size(tuning.own_entries, tuning.index_spill)


def _check_nobody(vault: Vault, request: BackupRequest, backup: str, own: Announced) -> None:
    """Nobody makes the same backup. :raises BusyError: somebody does."""
    for key, other in read_operations(vault, []).items():
        if key != own.key and other.operation == "backup" and (other.volume, other.backup) == (request.volume, backup):
            raise BusyError(f"backup {backup} is being made by another process", pid=other.pid)


def _check_absent(vault: Vault, key: str, backup: str) -> None:
    if is_there(vault, key):
        raise ExistsError(f"there is a backup {backup} already, or what was left of it", hint="take another UUID")


def _shape(source: Source | Stream, base: Manifest | None, tuning: Tuning) -> Shape:
    """How to cut the image: as the base was, so that its chunks can be compared. A stream's is as large as can be."""
    cut = Shape(0, tuning.chunk_size, tuning.segment_slots) if base is None else base.shape
    if isinstance(source, Stream):
        shape = replace(cut, size=MOST_SEGMENTS * cut.slots * cut.chunk_size)
    else:
        shape = replace(cut, size=source.size)
        if source.relative and shape != cut:
            raise MismatchError(
                f"the base has {cut.size} bytes and the source {source.size}", hint="make a full backup"
            )
    check_shape(shape)
    return shape


def _head(request: BackupRequest, backup: str, created: str, filled: Filled) -> Head:
    return Head(
        backup=backup,
        volume=request.volume,
        parent=request.base,
        created=created,
        source=request.source_name,
        size=filled.shape.size,
        chunk_size=filled.shape.chunk_size,
        segment_slots=filled.shape.slots,
        root=filled.tables.root.hex(),
        chunks=filled.tables.chunks,
        read=filled.read,
        stored=filled.stored,
        about=request.about,
    )

"""Repairing what a scrub found: from another copy in the store, or from a source that still has the same bytes.

What is whole again goes to new packs, and `moved` says of the old packs that their records are there now: no map and no
manifest is changed. A source may be the snapshot or device that was backed up, or any other: its bytes are taken where
their digest is the one that is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from drystone.backup.collecting.collect import Job
from drystone.backup.collecting.compact import IndexRows
from drystone.backup.collecting.hits import Hit, Loss
from drystone.backup.collecting.index_objects import index_packs, put_index
from drystone.backup.collecting.scrub import Findings
from drystone.backup.format import segment as segments
from drystone.backup.format.codec import Compressor
from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import Kind, Place, make_record
from drystone.backup.format.segment import Segment
from drystone.backup.objects import pack_sizes
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator, read_index
from drystone.backup.reading.segments import read_segment
from drystone.backup.source import Source
from drystone.backup.state.document import Doom, State
from drystone.backup.state.generations import change_state
from drystone.backup.tuning import Tuning
from drystone.backup.writing.writer import PackWriter
from drystone.base.errors import DamagedError


@dataclass(slots=True)
class Mended:
    """What a repair brings.

    :ivar moved: pack to the packs where its records are found again.
    :ivar places: that are good again, wherever they are. :ivar indexes: names of new ones.
    """

    chunks: int = 0
    segments: int = 0
    moved: dict[bytes, list[bytes]] = field(default_factory=dict)
    places: set[tuple[bytes, int]] = field(default_factory=set)
    indexes: list[str] = field(default_factory=list)
    whole_packs: set[bytes] = field(default_factory=set)

    def move(self, loss: Loss, packs: list[bytes]) -> None:
        """A loss is found again in these packs."""
        for place in loss.places:
            targets = self.moved.setdefault(place.pack, [])
            targets += [pack for pack in packs if pack not in targets and pack != place.pack]
            self.places.add((place.pack, place.offset))


class Mender:
    """Makes lost records again, into packs of its own.

    Those of map segments that are made again stay outside the indexes: no other map may refer to them, as their
    references are in no manifest's table. See `_store_all`.
    """

    def __init__(self, locator: Locator, source: Source | None, writer: PackWriter) -> None:
        self._locator = locator
        self._source = source
        self._writer = writer
        self._encrypted = locator.vault.encrypted
        self._compressor = Compressor()
        self._hasher = locator.vault.hasher
        self._read: tuple[str, str, Manifest] | None = None
        self.rows = IndexRows()
        self.mended = Mended()

    def mend_chunk(self, loss: Loss) -> bool:
        """Whether the chunk is stored again."""
        plain = self._find_plain(loss)
        if plain is None:
            return False
        self.mended.move(loss, [self._store_chunk(loss.digest, plain).pack])
        self.mended.chunks += 1
        return True

    def _find_plain(self, loss: Loss) -> bytes | memoryview | None:
        for place in loss.places:
            try:
                return self._locator.read(place, loss.digest, Kind.CHUNK)
            except DamagedError:
                continue
        for offset, length in dict.fromkeys((hit.offset, hit.length) for hit in loss.hits):
            data = self._read_source(offset, length)
            if data is not None and self._hasher.digest(data) == loss.digest:
                return data
        return None

    def _read_source(self, offset: int, length: int) -> memoryview | None:
        if self._source is None or offset + length > self._source.size:
            return None
        buffer = np.empty(length, dtype=np.uint8)
        self._source.read_into(offset, buffer)
        return buffer.data

    def _store_chunk(self, name: bytes, plain: bytes | memoryview) -> Place:
        place = self._store(Kind.CHUNK, name, plain)
        self.rows.add(name, place)
        return place

    def _store(self, kind: Kind, name: bytes, plain: bytes | memoryview) -> Place:
        codec, payload = self._compressor.compress(memoryview(plain))
        return self._writer.add(make_record(kind, codec, name, payload, len(plain), encrypted=self._encrypted))

    def mend_segment(self, loss: Loss) -> bool:
        """Whether the map segment is stored again."""
        for hit in loss.hits:
            segment = self._remake(self._manifest(hit), hit, loss)
            if segment is not None:
                place = self._store(Kind.SEGMENT, loss.digest, segments.encode(segment))
                # With the chunks' packs, which no manifest names: so that they count as needed.
                self.mended.move(loss, [place.pack, *segment.packs])
                self.mended.segments += 1
                return True
        return False

    def copy_segment(self, loss: Loss) -> bool:
        """Store a segment again that can be read, but whose pack is wrong."""
        for hit in loss.hits:
            try:
                manifest = self._manifest(hit)
                shape = manifest.shape
                segment = read_segment(self._locator, manifest, hit.offset // (shape.slots * shape.chunk_size))
            except DamagedError:
                continue
            assert segment is not None
            place = self._store(Kind.SEGMENT, loss.digest, segments.encode(segment))
            # Maps that have it in several places may name other packs for the same chunks.
            several = len(set(loss.places)) > 1
            self.mended.move(loss, [place.pack, *(segment.packs if several else ())])
            self.mended.segments += 1
            return True
        return False

    def _manifest(self, hit: Hit) -> Manifest:
        """Of the backup that is hit; losses come by backups, so the last one is kept."""
        if self._read is None or self._read[:2] != (hit.volume, hit.backup):
            self._read = hit.volume, hit.backup, read_entry(self._locator, hit.volume, hit.backup)
        return self._read[2]

    def _remake(self, manifest: Manifest, hit: Hit, loss: Loss) -> Segment | None:
        """The segment out of the source's bytes; None when they are others than those that were backed up."""
        shape = manifest.shape
        number = hit.offset // (shape.slots * shape.chunk_size)
        slots = shape.slots_of(number)
        segment = Segment.empty(number, slots)
        first = number * shape.slots
        for slot in range(slots):
            data = self._read_source((first + slot) * shape.chunk_size, shape.length_of(first + slot))
            if data is None:
                return None
            if np.frombuffer(data, np.uint8).any():
                segment.leaves[slot] = np.frombuffer(self._hasher.digest(data), np.uint8)
        if segment.digest(self._hasher) != loss.digest:
            return None
        return self._store_all(segment, first, manifest)

    def _store_all(self, segment: Segment, first: int, manifest: Manifest) -> Segment | None:
        """Store all chunks of a segment that is made again, in packs of its own, and outside the indexes.

        Nobody knows how often its manifests counted which packs for it. So it refers to packs that no manifest names:
        then a backup that is built upon one of these knows which references were never counted.
        """
        shape = manifest.shape
        self._writer.flush()
        for slot in np.flatnonzero(segment.leaves.any(axis=1)).tolist():
            data = self._read_source((first + slot) * shape.chunk_size, shape.length_of(first + slot))
            leaf = segment.leaf(slot)
            if data is None or self._hasher.digest(data) != leaf:
                return None  # the source has changed since a moment ago
            segment.put(slot, leaf, self._store(Kind.CHUNK, leaf, data))
        self._writer.flush()
        return segment


def mend(job: Job, state: State, findings: Findings, source: Source | None, tuning: Tuning) -> Mended:
    """Repair what can be repaired of the findings. When this returns, the state says so.

    :raises BusyError: somebody took this operation for dead: try again.
    """
    locator = Locator(job.vault, state)
    left: list[Loss] = []
    # A name of its own each time: packs are counted from 0.
    with PackWriter(job.vault, bytes.fromhex(job.names.take()), tuning) as writer:
        mender = Mender(locator, source, writer)
        for loss in findings.losses:
            if loss.kind is Kind.CHUNK:
                done = mender.mend_chunk(loss)
            else:
                done = mender.copy_segment(loss) or (not loss.mended and mender.mend_segment(loss))
            if not done:
                left.append(loss)
        writer.flush()
    mended = mender.mended
    if mender.rows.places:
        mended.indexes = [put_index(job.vault, job.names, each) for each in mender.rows.indexes()]
    if not findings.manifests and all(loss.kind is Kind.CHUNK for loss in left):
        unmended = {place.pack for loss in left for place in loss.places}
        mended.whole_packs = findings.checked.bad_packs.keys() - unmended
    mended.indexes += _index_again(job, state, findings)
    known = {(each.volume, each.backup, each.manifest) for each in state.backups}
    change_state(job.vault, lambda newest: _mended_state(job, newest, findings, mended, known))
    return mended


def _index_again(job: Job, state: State, findings: Findings) -> list[str]:
    """Indexes in the place of damaged ones, over the packs that manifests name: see `Mender` for why over no others."""
    if not findings.indexes:
        return []
    covered: set[bytes] = set()
    for name in state.indexes:
        if name not in findings.indexes:
            index = read_index(job.vault, name)
            covered |= set(index.packs) if index is not None else set()
    left_out = covered | state.going() | findings.bad_packs
    sizes = {pack: size for pack, size in pack_sizes(job.vault).items() if pack in findings.named - left_out}
    return index_packs(job.vault, job.names, sizes)


def _mended_state(
    job: Job, state: State, findings: Findings, mended: Mended, known: set[tuple[str, str, str]]
) -> State:
    if not (mended.moved or mended.indexes or findings.indexes or mended.whole_packs):
        return state
    job.check_announced()
    moved = {pack: list(new) for pack, new in state.moved.items()}
    for old, new in mended.moved.items():
        # In front: a reader takes the first that it finds, and the damaged one may be in a pack that is named already.
        targets = moved.get(old.hex(), [])
        moved[old.hex()] = [*(pack.hex() for pack in new if pack.hex() not in targets), *targets]
    damaged = {
        pack: tuple(each for each in offsets if (bytes.fromhex(pack), each) not in mended.places)
        for pack, offsets in state.damaged.items()
    }
    indexes = tuple(name for name in state.indexes if name not in findings.indexes)
    new_backups = any((each.volume, each.backup, each.manifest) not in known for each in state.backups)
    doomed = set() if new_backups else mended.whole_packs - state.going()
    return msgspec.structs.replace(
        state,
        moved={pack: tuple(new) for pack, new in sorted(moved.items()) if new},
        damaged={pack: offsets for pack, offsets in damaged.items() if offsets},
        indexes=(*indexes, *(name for name in mended.indexes if name not in indexes)),
        doomed=(*state.doomed, *(Doom(pack.hex(), state.number + 1) for pack in sorted(doomed))),
    )

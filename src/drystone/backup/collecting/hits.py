"""What damage hits: the backups, volumes and offsets that cannot be read because of it.

All maps are gone through, each distinct segment once. What refers to a record or a pack that a scrub found wrong is
read as a restore would read it: what can be had elsewhere is no hit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import Kind, Place
from drystone.backup.format.segment import Segment
from drystone.backup.reading.locate import Locator, reach
from drystone.backup.reading.segments import find_segment
from drystone.base.errors import DamagedError


@dataclass(frozen=True, slots=True)
class Hit:
    """A stretch of a backup's image: offset and length in bytes."""

    volume: str
    backup: str
    offset: int
    length: int

    def to_document(self) -> dict[str, object]:
        """As JSON."""
        return {"volume": self.volume, "backup": self.backup, "offset": self.offset, "length": self.length}


@dataclass(slots=True)
class Loss:
    """A chunk or a map segment that cannot be read anywhere, or (`mended`) not where its map says.

    :ivar whole: its bytes are as they were, only its pack is not. :ivar places: where maps say that it is.
    """

    kind: Kind
    digest: bytes
    message: str
    mended: bool
    whole: bool = False
    places: list[Place] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)

    def to_document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "kind": "chunk" if self.kind is Kind.CHUNK else "segment",
            "digest": self.digest.hex(),
            "message": self.message,
            "mended": self.mended,
            "places": [{"pack": each.pack.hex(), "offset": each.offset, "length": each.length} for each in self.places],
            "hits": [each.to_document() for each in self.hits],
        }


_Key = tuple[bytes, int]
_WHOLE_SEGMENT = -1
_IN_BAD_PACK = "it is whole, in a pack whose index or trailer is not"


class Hits:
    """Collects losses, manifest by manifest.

    :param digests: of records that were found wrong. :param packs: that are missing, or wrong as a whole.
    :ivar losses: by kind, digest, and the number of a segment (-1 for a chunk).
    """

    def __init__(self, locator: Locator, digests: Iterable[bytes], packs: set[bytes]) -> None:
        self._locator = locator
        self._digests = set(digests)
        firsts = [int.from_bytes(each[:8], "little") for each in self._digests]
        self._firsts = np.array(sorted(firsts), dtype=np.uint64)
        self._bad = packs
        self._packs = packs | {
            old for old in map(bytes.fromhex, locator.state.moved) if not packs.isdisjoint(reach(locator.state, [old]))
        }
        self._seen: dict[_Key, list[tuple[int, Loss]]] = {}
        self._tried: dict[tuple[bytes, bytes, int], Loss | None] = {}
        self.losses: dict[tuple[Kind, bytes, int], Loss] = {}

    def add(self, manifest: Manifest) -> None:
        """Look at one backup's map."""
        shape, head = manifest.shape, manifest.head
        width = shape.slots * shape.chunk_size
        for number in manifest.segments["number"].tolist():
            entry = manifest.find_segment(number)
            assert entry is not None
            _, place = entry
            key = (place.pack, place.offset)
            if key not in self._seen:
                self._seen[key] = self._look(manifest, number)
            for slot, loss in self._seen[key]:
                if slot == _WHOLE_SEGMENT:
                    offset, length = number * width, min(width, shape.size - number * width)
                else:
                    chunk = number * shape.slots + slot
                    offset, length = chunk * shape.chunk_size, shape.length_of(chunk)
                loss.hits.append(Hit(head.volume, head.backup, offset, length))

    def _look(self, manifest: Manifest, number: int) -> list[tuple[int, Loss]]:
        """The losses in a segment, each with its slot."""
        entry = manifest.find_segment(number)
        assert entry is not None
        name, place = entry
        try:
            read = find_segment(self._locator, manifest, number)
        except DamagedError as error:
            loss = self._enter(Kind.SEGMENT, name, place, error.message, mended=False, number=number)
            return [(_WHOLE_SEGMENT, loss)]
        assert read is not None
        segment = read[0]
        found: list[tuple[int, Loss]] = []
        why = self._why_segment(self._locator.locate(place, name, Kind.SEGMENT), name)
        if why:
            loss = self._enter(Kind.SEGMENT, name, place, why, mended=True, number=number)
            loss.whole = why == _IN_BAD_PACK
            found.append((_WHOLE_SEGMENT, loss))
        for slot in self._candidates(segment).tolist():
            loss_or_none = self._try(segment, slot)
            if loss_or_none is not None:
                found.append((slot, loss_or_none))
        return found

    def _why_segment(self, place: Place, name: bytes) -> str:
        """What is wrong with where a reader looks first for a segment that can be read; "" for nothing."""
        if place.pack in self._bad:
            return _IN_BAD_PACK
        if name in self._digests:
            try:
                self._locator.read_at(place, name, Kind.SEGMENT)
            except DamagedError:
                return "another copy of it is found elsewhere"
        return ""

    def _candidates(self, segment: Segment) -> NDArray[np.intp]:
        """Slots whose chunk was found wrong, or is in a pack that was."""
        present = segment.present()
        firsts = np.ascontiguousarray(segment.leaves[present]).view("<u8").reshape(-1, 4)[:, 0]
        wrong = np.array([pack in self._packs for pack in segment.packs], dtype=bool)
        chosen = np.isin(firsts, self._firsts)
        if len(wrong):
            chosen |= wrong[segment.pack[present]]
        slots: NDArray[np.intp] = present[chosen]
        return slots

    def _try(self, segment: Segment, slot: int) -> Loss | None:
        place, leaf = segment.place(slot), segment.leaf(slot)
        assert place is not None
        key = (leaf, place.pack, place.offset)
        if key in self._tried:
            return self._tried[key]
        loss: Loss | None = None
        first = self._locator.locate(place, leaf, Kind.CHUNK)
        if not self._is_whole(first, leaf):
            try:
                self._locator.read(place, leaf, Kind.CHUNK)
                loss = self._enter(Kind.CHUNK, leaf, place, "an equal chunk is found elsewhere", mended=True)
            except DamagedError as error:
                loss = self._enter(Kind.CHUNK, leaf, place, error.message, mended=False)
        elif first.pack in self._bad:
            loss = self._enter(Kind.CHUNK, leaf, place, _IN_BAD_PACK, mended=True)
            loss.whole = True
        self._tried[key] = loss
        return loss

    def _is_whole(self, place: Place, leaf: bytes) -> bool:
        try:
            self._locator.read_at(place, leaf, Kind.CHUNK)
        except DamagedError:
            return False
        return True

    def _enter(self, kind: Kind, name: bytes, place: Place, message: str, *, mended: bool, number: int = -1) -> Loss:
        loss = self.losses.get((kind, name, number))
        if loss is None:
            loss = self.losses[kind, name, number] = Loss(kind, name, message, mended)
        elif loss.mended and not mended:
            loss.mended, loss.message = False, message
        loss.places.append(place)
        return loss

"""The chunks of a backup in a repository, found by its map and checked down from the manifest's root."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from drystone.backup.format.digest import DIGEST
from drystone.backup.format.manifest import Manifest
from drystone.backup.format.segment import Leaves, Segment
from drystone.backup.reading.chunk_cache import Plain
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.segments import read_segment
from drystone.backup.reading.walk import read_stretch, stretches
from drystone.base.errors import DamagedError

_SEGMENTS = 8 << 20
"""Bytes of map segments that are kept, about."""

_SLOT = 44
"""Bytes of a slot of a segment in memory."""


class BackupChunks:
    """The `Chunks` of one backup."""

    def __init__(self, locator: Locator, manifest: Manifest) -> None:
        self.locator = locator
        self.manifest = manifest
        self._shape = manifest.shape
        self._segments: OrderedDict[int, Segment | None] = OrderedDict()
        self._kept = max(2, _SEGMENTS // (manifest.shape.slots * _SLOT))
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self._shape.size

    @property
    def chunk_size(self) -> int:
        """Bytes of a chunk."""
        return self._shape.chunk_size

    def segment(self, number: int) -> Segment | None:
        """A segment of the map; None for zeros. :raises DamagedError: it is damaged."""
        with self._lock:
            if number in self._segments:
                self._segments.move_to_end(number)
                return self._segments[number]
        found = read_segment(self.locator, self.manifest, number)
        with self._lock:
            self._segments[number] = found
            while len(self._segments) > self._kept:
                self._segments.popitem(last=False)
        return found

    def stored(self, first: int, last: int) -> list[int]:
        """The chunks of [first, last) that are not zeros."""
        slots = self._shape.slots
        found: list[int] = []
        for number in range(first // slots, -(-last // slots)):
            segment = self.segment(number)
            if segment is not None:
                present = segment.present() + number * slots
                found += present[(present >= first) & (present < last)].tolist()
        return found

    def leaves(self, first: int, last: int) -> Leaves:
        """The leaves of the chunks [first, last). :raises DamagedError: the map is damaged."""
        slots = self._shape.slots
        found = np.zeros((last - first, DIGEST), dtype=np.uint8)
        for number in range(first // slots, -(-last // slots)):
            segment = self.segment(number)
            if segment is not None:
                begin, end = max(first, number * slots), min(last, number * slots + len(segment.leaves))
                found[begin - first : end - first] = segment.leaves[begin - number * slots : end - number * slots]
        return found

    def matches(self, number: int, data: memoryview) -> bool:
        """Whether these are the bytes of a chunk that is stored."""
        segment = self.segment(number // self._shape.slots)
        assert segment is not None
        return self.locator.vault.hasher.digest(data) == segment.leaf(number % self._shape.slots)

    def fetch(
        self, numbers: list[int], take: Callable[[int, Plain], None], fail: Callable[[int, DamagedError], None]
    ) -> None:
        """Chunks whose records are neighbours come by one request."""
        slots, size = self._shape.slots, self._shape.chunk_size
        done: set[int] = set()

        def pass_on(offset: int, plain: Plain) -> None:
            done.add(offset // size)
            take(offset // size, plain)

        for number, own in itertools.groupby(numbers, lambda chunk: chunk // slots):
            segment = self.segment(number)
            assert segment is not None
            for stretch in stretches(segment, self.locator, [chunk % slots for chunk in own]):
                try:
                    read_stretch(self.locator, self.manifest, stretch, pass_on)
                except DamagedError:
                    for slot in stretch.slots:
                        if number * slots + slot not in done:
                            self._fetch_alone(segment, slot, pass_on, fail)

    def _fetch_alone(
        self,
        segment: Segment,
        slot: int,
        take: Callable[[int, Plain], None],
        fail: Callable[[int, DamagedError], None],
    ) -> None:
        """A chunk whose neighbour may be the damaged one."""
        for stretch in stretches(segment, self.locator, [slot]):
            try:
                read_stretch(self.locator, self.manifest, stretch, take)
            except DamagedError as error:
                fail(segment.number * self._shape.slots + slot, error)

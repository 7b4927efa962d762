"""Restoring and verifying: from the manifest's root down to every byte, nothing is taken on trust.

The root was checked against the segment digests when the manifest was read; each segment of the map is checked against
its digest, each chunk against its leaf. So what is written is what was backed up, or an error says where it is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from drystone.backup.format.keys import pack_key
from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import HEADER, TRAILER, index_length, parse_index
from drystone.backup.format.segment import Segment
from drystone.backup.objects import read_segment
from drystone.backup.pipeline import Progress, ordered
from drystone.backup.reading.target import Target
from drystone.backup.reading.walk import FETCH, Stretch, Take, read_stretch, stretches
from drystone.backup.tuning import Tuning
from drystone.backup.writing.bases import pack_sizes
from drystone.base.errors import DamagedError
from drystone.store import Store

_NAMED = 100
"""Damages that verify names; the rest is counted."""


def restore_backup(store: Store, manifest: Manifest, target: Target, *, tuning: Tuning, progress: Progress) -> None:
    """Write the image to `target`, which is flushed when this returns.

    :raises DamagedError: stored bytes are wrong; nothing of the chunk in question was written.
    """
    total = manifest.head.chunks * manifest.head.chunk_size
    done = 0
    progress(0, total)
    with target, ThreadPoolExecutor(tuning.workers, thread_name_prefix="restore") as pool:
        fetch = partial(_fetch, store, manifest, target.write)
        results = ordered(pool, fetch, _restored(store, manifest, target), _ahead(tuning))
        with contextlib.closing(results):
            for size in results:
                done += size
                progress(min(done, total), total)
        progress(total, total)


def _fetch(store: Store, manifest: Manifest, take: Take, stretch: Stretch) -> int:
    return read_stretch(store, manifest, stretch, take)


def _ahead(tuning: Tuning) -> int:
    """Stretches under way at once: each holds what was fetched, and a chunk or two unpacked."""
    return max(1, min(2 * tuning.workers, tuning.memory // (2 * FETCH)))


def _restored(store: Store, manifest: Manifest, target: Target) -> Iterator[Stretch]:
    """Every stretch of the image; what lies between is zeroed on the way."""
    shape = manifest.shape
    hole = 0
    for number in manifest.segments["number"].tolist():
        segment = read_segment(store, manifest, number)
        assert segment is not None
        first = number * shape.slots
        for begin, end in _present_runs(segment):
            at = (first + begin) * shape.chunk_size
            if at > hole:
                target.zero(hole, at - hole)
            hole = min(shape.size, (first + end) * shape.chunk_size)
        yield from stretches(segment)
    if hole < shape.size:
        target.zero(hole, shape.size - hole)


def _present_runs(segment: Segment) -> list[tuple[int, int]]:
    """Runs of slots that are not zero: first, and one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], segment.length != 0, [False])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def verify_backup(store: Store, manifest: Manifest, *, tuning: Tuning, progress: Progress) -> None:
    """Read every record and every pack index that the backup needs, and check them.

    :raises DamagedError: something is wrong; the fact `damages` lists messages of up to 100 places.
    """
    damages = _check_packs(store, manifest)
    total = manifest.head.chunks * manifest.head.chunk_size
    done = 0
    progress(0, total)
    with ThreadPoolExecutor(tuning.workers, thread_name_prefix="verify") as pool:
        work = partial(_check_stretch, store, manifest)
        results = ordered(pool, work, _checked(store, manifest, damages), _ahead(tuning))
        with contextlib.closing(results):
            for size, found in results:
                damages += found
                done += size
                progress(min(done, total), total)
    progress(total, total)
    if damages:
        raise DamagedError(
            damages[0] if len(damages) == 1 else f"{damages[0]}, and {len(damages) - 1} more places",
            hint="make a new one with `drystone backup create --full`; other backups may share the damage",
            backup=manifest.head.backup,
            damages=damages[:_NAMED],
        )


def _check_stretch(store: Store, manifest: Manifest, stretch: Stretch) -> tuple[int, list[str]]:
    """Bytes gone through, and what is wrong: every slot is looked at alone when the stretch has a damage."""
    try:
        return read_stretch(store, manifest, stretch, lambda _offset, _plain: None), []
    except DamagedError:
        found = []
    for slot in stretch.slots:
        place = stretch.segment.place(slot)
        assert place is not None
        try:
            read_stretch(store, manifest, Stretch(stretch.segment, [slot], place), lambda _offset, _plain: None)
        except DamagedError as error:
            found.append(error.message)
    return len(stretch.slots) * manifest.head.chunk_size, found


def _checked(store: Store, manifest: Manifest, damages: list[str]) -> Iterator[Stretch]:
    """Every stretch of every segment that can be read; the others are added to `damages`."""
    for number in manifest.segments["number"].tolist():
        try:
            segment = read_segment(store, manifest, number)
        except DamagedError as error:
            damages.append(error.message)
            continue
        assert segment is not None
        yield from stretches(segment)


def _check_packs(store: Store, manifest: Manifest) -> list[str]:
    """What is wrong with the headers, indexes and trailers of the packs that the backup needs."""
    sizes = pack_sizes(store)
    damages = []
    for pack in sorted(manifest.pack_ids()):
        size = sizes.get(pack)
        try:
            if size is None:
                raise DamagedError(f"pack {pack.hex()} is missing")
            if size < HEADER + TRAILER:
                raise DamagedError(f"pack {pack.hex()} has {size} bytes")
            key = pack_key(pack)
            length = index_length(store.get_range(key, size - TRAILER, TRAILER), size, pack)
            parse_index(store.get_range(key, 0, HEADER), store.get_range(key, size - length, length), size, pack)
        except DamagedError as error:
            damages.append(error.message)
    return damages

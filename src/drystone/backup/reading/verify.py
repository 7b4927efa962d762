"""Verifying: reading all that a restore would read, or a sample of it, and comparing it with a source if there is one.

The root was checked against the segment digests when the manifest was read; every segment of the map is checked against
its digest, also where only a sample of the chunks is read.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from drystone.backup.format.manifest import Manifest
from drystone.backup.format.segment import Segment
from drystone.backup.objects import pack_sizes
from drystone.backup.pipeline import Progress, ordered
from drystone.backup.reading.damage import NAMED, Damage, raise_damages
from drystone.backup.reading.locate import Locator, reach, read_pack_index
from drystone.backup.reading.segments import read_segment
from drystone.backup.reading.walk import Stretch, read_slots, read_stretch, stretches
from drystone.backup.source import Source
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError, MismatchError, UsageError

_ZEROS = 64
"""Chunks of zeros that are compared with the source at once."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Which chunks are looked at: so many percent, by chance.

    :raises UsageError: not above 0, or above 100.
    """

    percent: float = 100.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.percent <= 100:
            raise UsageError(f"a sample of {self.percent:g} percent", hint="more than 0, and up to 100")

    def choose(self, slots: int, generator: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """For each slot of a segment whether it is looked at; one of them at least."""
        if self.percent == 100:
            return np.ones(slots, dtype=bool)
        chosen = np.zeros(slots, dtype=bool)
        count = max(1, math.floor(slots * self.percent / 100 + generator.random()))
        chosen[generator.choice(slots, min(slots, count), replace=False)] = True
        return chosen


@dataclass(slots=True)
class Verified:
    """What was looked at and what is wrong: chunks that were read, stretches of zeros that were compared, in bytes.

    :ivar root: hex hash of the whole image, from which all was checked down.
    :ivar differs: (offset, length) in bytes of what the source has other than the backup.
    """

    root: str = ""
    size: int = 0
    damages: list[Damage] = field(default_factory=list)
    differs: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch to read; or chunks [first, first + count) of zeros, to be compared with the source."""

    stretch: Stretch | None
    first: int = 0
    count: int = 0


def verify_backup(
    locator: Locator,
    manifest: Manifest,
    *,
    tuning: Tuning,
    progress: Progress,
    sample: Sample | None = None,
    source: Source | None = None,
) -> Verified:
    """Check the map, the packs' own indexes, and the chunks of the sample; compare these with the source.

    :param source: entered; what should have the same bytes, such as the snapshot that was backed up.

    :raises DamagedError: something is wrong; the fact `damages` lists messages of up to 100 places.
    :raises MismatchError: all is whole, but the source differs, or is of another size; the fact `ranges` says where.
    """
    sample = sample or Sample()
    if source is not None and source.size != manifest.head.size:
        raise MismatchError(f"the source has {source.size} bytes and the backup {manifest.head.size}")
    verified = Verified(manifest.head.root, damages=_check_packs(locator, manifest))
    of = manifest.head.size if source is not None else manifest.head.chunks * manifest.head.chunk_size
    total = round(of * sample.percent / 100)
    progress(0, total)

    def check(part: _Part) -> Verified:
        if part.stretch is None:
            return _check_zeros(manifest, part, source)
        return _check_stretch(locator, manifest, part.stretch, source)

    ahead = tuning.fetches
    with ThreadPoolExecutor(tuning.workers, thread_name_prefix="verify") as pool:
        parts = _parts(locator, manifest, sample, verified.damages, zeros=source is not None)
        results = ordered(pool, check, parts, ahead)
        with contextlib.closing(results):
            for each in results:
                verified.damages += each.damages
                verified.differs += each.differs
                verified.size += each.size
                progress(min(verified.size, total), total)
    progress(total, total)
    _raise(verified, manifest)
    return verified


def _raise(verified: Verified, manifest: Manifest) -> None:
    raise_damages(
        verified.damages,
        hint="make a new one with `drystone backup create --full`; `drystone backup scrub` names what else is hit",
        backup=manifest.head.backup,
    )
    if verified.differs:
        offset, _ = verified.differs[0]
        more = f", and {len(verified.differs) - 1} more places" if len(verified.differs) > 1 else ""
        raise MismatchError(
            f"the source differs from backup {manifest.head.backup} at byte {offset}{more}",
            hint="the backup is whole; it was made of other bytes than these",
            backup=manifest.head.backup,
            ranges=verified.differs[:NAMED],
        )


def _parts(
    locator: Locator, manifest: Manifest, sample: Sample, damages: list[Damage], *, zeros: bool
) -> Iterator[_Part]:
    """What to look at, in the order of the image; map segments that cannot be read are added to `damages`."""
    generator = np.random.default_rng(sample.seed)
    shape = manifest.shape
    stored = set(manifest.segments["number"].tolist())
    for number in range(shape.segments) if zeros else sorted(stored):
        slots, first = shape.slots_of(number), number * shape.slots
        segment = Segment.empty(number, slots)
        if number in stored:
            try:
                found = read_segment(locator, manifest, number)
            except DamagedError as error:
                size = shape.slots * shape.chunk_size
                damages.append(Damage(number * size, min(size, shape.size - number * size), error.message))
                continue
            assert found is not None
            segment = found
        chosen = sample.choose(slots, generator)
        present = segment.length != 0
        for stretch in stretches(segment, locator, np.flatnonzero(chosen & present).tolist()):
            yield _Part(stretch)
        if zeros:
            yield from _zero_parts(first, np.flatnonzero(chosen & ~present).tolist())


def _zero_parts(first: int, slots: list[int]) -> Iterator[_Part]:
    """Runs of neighbouring slots."""
    begin = 0
    for at in range(1, len(slots) + 1):
        if at == len(slots) or slots[at] != slots[at - 1] + 1 or at - begin == _ZEROS:
            yield _Part(None, first + slots[begin], at - begin)
            begin = at


def _check_zeros(manifest: Manifest, part: _Part, source: Source | None) -> Verified:
    shape = manifest.shape
    found = Verified()
    for chunk in range(part.first, part.first + part.count):
        offset, length = chunk * shape.chunk_size, shape.length_of(chunk)
        if source is not None and _read(source, offset, length).any():
            found.differs.append((offset, length))
        found.size += length
    return found


def _read(source: Source, offset: int, length: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    buffer = np.empty(length, dtype=np.uint8)
    source.read_into(offset, buffer)
    return buffer


def _check_stretch(locator: Locator, manifest: Manifest, stretch: Stretch, source: Source | None) -> Verified:
    """Every slot is looked at alone when the stretch has a damage."""
    found = Verified(size=len(stretch.slots) * manifest.shape.chunk_size)

    def take(offset: int, plain: bytes | memoryview) -> None:
        if source is not None and _read(source, offset, len(plain)).data != memoryview(plain):
            found.differs.append((offset, len(plain)))

    try:
        read_stretch(locator, manifest, stretch, take)
    except DamagedError:
        found.differs.clear()
        found.damages = read_slots(locator, manifest, stretch, take)
    return found


def _check_packs(locator: Locator, manifest: Manifest) -> list[Damage]:
    """What is wrong with the headers, indexes and trailers of the packs that the backup needs."""
    sizes = pack_sizes(locator.vault)
    moved, doomed = locator.state.moved, locator.state.refused()
    damages = []
    for pack in sorted(reach(locator.state, manifest.pack_ids())):
        if pack.hex() in moved and (pack not in sizes or pack.hex() in doomed):
            continue  # all that is needed of it is elsewhere
        try:
            if pack not in sizes:
                raise DamagedError(f"pack {pack.hex()} is missing")
            read_pack_index(locator.vault, pack, sizes[pack])
        except DamagedError as error:
            damages.append(Damage(0, 0, error.message))
    return damages

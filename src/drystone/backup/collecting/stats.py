"""What a repository holds: how large its backups are, what is stored for them, and what it saved.

Counted by the maps, as a collection does, so that a record which many backups share counts once.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from drystone.backup.collecting.choice import PackUse
from drystone.backup.collecting.mark import Mark
from drystone.backup.collecting.places import PlaceSet
from drystone.backup.format.keys import OPEN, ROOT, parse_pack_key
from drystone.backup.format.pack import HEAD, Kind
from drystone.backup.pipeline import ordered
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import read_pack_index
from drystone.backup.state.document import State
from drystone.backup.state.operations import reading
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError


@dataclass(frozen=True, slots=True)
class VolumeStats:
    """A volume's backups. Sizes in bytes.

    :ivar logical: of the images together. :ivar data: without zeros. :ivar stored: of the records that they need, each
        once; other volumes may need some of them too.
    """

    volume: str
    source: str
    backups: int
    oldest: str
    newest: str
    logical: int
    data: int
    stored: int


@dataclass(frozen=True, slots=True)
class Stats:
    """A repository. Sizes in bytes.

    :ivar logical: of all images. :ivar data: without zeros. :ivar unique: of the distinct chunks among them, as they
        were read. :ivar payload: of these as they are stored. :ivar stored: of all packs. :ivar unused: in them.
    :ivar objects: how many, without those that tell of operations under way. :ivar other: bytes of those that are no
        packs. :ivar damages: what could not be counted.
    """

    backups: int
    volumes: tuple[VolumeStats, ...]
    logical: int
    data: int
    unique: int
    payload: int
    packs: int
    stored: int
    unused: int
    objects: int
    other: int
    doomed: int
    generation: int
    damages: tuple[str, ...]

    @property
    def dedupe(self) -> float:
        """How many times a byte that is not zero is used: data / unique; 1 when there is none."""
        return self.data / self.unique if self.unique else 1.0

    @property
    def compression(self) -> float:
        """Bytes before / after compression (and encryption); 1 when there is none."""
        return self.unique / self.payload if self.payload else 1.0

    def to_document(self) -> dict[str, object]:
        """As JSON, with the ratios."""
        document = asdict(self)
        document["volumes"] = [asdict(each) for each in self.volumes]
        document["damages"] = list(self.damages)
        share = self.unused / self.stored if self.stored else 0.0
        return {
            **document,
            "dedupe_ratio": round(self.dedupe, 3),
            "compression_ratio": round(self.compression, 3),
            "unused_share": round(share, 4),
        }


def measure(vault: Vault, *, tuning: Tuning) -> Stats:
    """Count. Reads the manifests, each distinct map segment, and the index at the end of each pack."""
    with reading(vault) as state:
        listed = [each for each in vault.store.list(ROOT) if not each[0].startswith(f"{OPEN}/")]
        sizes = {pack: size for key, size in listed if (pack := parse_pack_key(key)) is not None}
        damages: list[str] = []
        chunks, segments = PlaceSet(), PlaceSet()
        volumes = []
        for volume in dict.fromkeys(each.volume for each in state.backups):
            mark = _mark_volume(vault, state, volume, tuning, damages)
            volumes.append(_volume(state, volume, mark))
            chunks.update(mark.chunks)
            segments.update(mark.segments)
        unique, payload, unused = _count(vault, sizes, chunks, segments, tuning, damages)
        stored = sum(sizes.values())
        return Stats(
            backups=len(state.backups),
            volumes=tuple(volumes),
            logical=sum(each.logical for each in volumes),
            data=sum(each.data for each in volumes),
            unique=unique,
            payload=payload,
            packs=len(sizes),
            stored=stored,
            unused=unused,
            objects=len(listed),
            other=sum(size for _, size in listed) - stored,
            doomed=len(state.doomed),
            generation=state.number,
            damages=tuple(damages),
        )


def _mark_volume(vault: Vault, state: State, volume: str, tuning: Tuning, damages: list[str]) -> Mark:
    mark = Mark(vault, state, tuning.workers)
    for entry in state.backups:
        if entry.volume == volume:
            try:
                mark.add(read_entry(mark.locator, volume, entry.backup))
            except DamagedError as error:
                damages.append(error.message)
    damages += [each.message for each in mark.damages]
    return mark


def _volume(state: State, volume: str, mark: Mark) -> VolumeStats:
    mine = sorted((each for each in state.backups if each.volume == volume), key=lambda each: each.created)
    return VolumeStats(
        volume=volume,
        source=mine[-1].source,
        backups=len(mine),
        oldest=mine[0].created,
        newest=mine[-1].created,
        logical=sum(each.size for each in mine),
        data=sum(min(each.size, each.chunks * each.chunk_size) for each in mine),
        stored=sum(mark.used(pack)[1] for pack in mark.packs()),
    )


def _count(
    vault: Vault, sizes: dict[bytes, int], chunks: PlaceSet, segments: PlaceSet, tuning: Tuning, damages: list[str]
) -> tuple[int, int, int]:
    """(bytes of the distinct chunks, bytes of their payloads, bytes in packs that nobody needs)."""
    unique = payload = unused = 0

    def plain(pack: bytes) -> int | DamagedError:
        try:
            rows = read_pack_index(vault, pack, sizes[pack])
        except DamagedError as error:
            return error
        return int(rows["plain"][np.isin(rows["offset"], chunks.of(pack)[0])].sum(dtype=np.int64))

    with ThreadPoolExecutor(tuning.workers, thread_name_prefix="stats") as pool:
        used = sorted(chunks.packs() & sizes.keys())
        for pack, result in zip(used, ordered(pool, plain, used, 4 * tuning.workers), strict=True):
            if isinstance(result, DamagedError):
                damages.append(result.message)
                continue
            records, length = chunks.sums(pack)
            unique += result
            payload += length - records * HEAD
    for use in _uses(sizes, chunks, segments):
        unused += use.unused if use.records else use.size
    return unique, payload, unused


def _uses(sizes: dict[bytes, int], chunks: PlaceSet, segments: PlaceSet) -> Iterator[PackUse]:
    for pack, size in sizes.items():
        pairs = chunks.sums(pack), segments.sums(pack)
        yield PackUse(pack, Kind.CHUNK, size, pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1])

"""Compaction: what is needed of some packs is copied to new ones, record by record, as it was compressed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drystone.backup.collecting.choice import PackUse
from drystone.backup.collecting.collect import Job, Moves
from drystone.backup.collecting.index_objects import put_index
from drystone.backup.collecting.index_rows import joined
from drystone.backup.collecting.mark import Mark
from drystone.backup.collecting.records import RANGE, Run, copy_record, runs
from drystone.backup.format.digest import DIGEST
from drystone.backup.format.index_object import Index
from drystone.backup.format.pack import Kind, Place, Record
from drystone.backup.objects import read_place
from drystone.backup.pipeline import Progress, ordered
from drystone.backup.reading.locate import read_pack_index
from drystone.backup.tuning import Tuning
from drystone.backup.writing.writer import PackWriter
from drystone.base.errors import DamagedError


@dataclass(slots=True)
class IndexRows:
    """Rows of an index that is to be made of records while they are placed."""

    digests: list[bytes] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def add(self, name: bytes, place: Place) -> None:
        """A chunk, and where it is now."""
        self.digests.append(name)
        self.places.append(place)

    def indexes(self) -> Iterator[Index]:
        """As few indexes as can hold them."""
        packs = sorted({place.pack for place in self.places})
        numbers = {pack: number for number, pack in enumerate(packs)}
        columns = [
            np.array(column, dtype=np.uint32)
            for column in (
                [numbers[place.pack] for place in self.places],
                [place.offset for place in self.places],
                [place.length for place in self.places],
            )
        ]
        digests = np.frombuffer(b"".join(self.digests), np.uint8).reshape(-1, DIGEST)
        yield from joined([Index(packs, digests, *columns)])


@dataclass(slots=True)
class Copied:
    """What was copied: for each old pack the new ones and how many records; and packs that could not be."""

    moved: dict[bytes, list[bytes]] = field(default_factory=dict)
    records: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    damages: list[DamagedError] = field(default_factory=list)


def move_packs(job: Job, chosen: list[PackUse], mark: Mark, tuning: Tuning, progress: Progress) -> tuple[Moves, Copied]:
    """Copy what is needed of the chosen packs; all of it is durable when this returns, and nothing refers to it yet.

    A pack of which a record is damaged stays as it is.
    """
    copied = Copied()
    rows = IndexRows()
    wrong: set[bytes] = set()
    total, done = sum(each.used for each in chosen), 0
    progress(0, total)
    with PackWriter(job.vault, job.writer, tuning) as writer:
        ahead = max(1, min(job.threads + 1, tuning.memory // (4 * RANGE)))
        with ThreadPoolExecutor(job.threads, thread_name_prefix="copy") as pool:

            def read(run: Run) -> list[Record] | DamagedError:
                return _read(job, run)

            todo = list(_runs(job, chosen, mark, copied, wrong))
            for run, result in zip(todo, ordered(pool, read, todo, ahead), strict=True):
                if isinstance(result, DamagedError):
                    copied.damages.append(result)
                    wrong.add(run.pack)
                    continue
                for record in result:
                    place = writer.add(record)
                    if record.kind is Kind.CHUNK:
                        rows.add(record.digest, place)
                    new = copied.moved.setdefault(run.pack, [])
                    if place.pack not in new:
                        new.append(place.pack)
                    copied.records[run.pack] += 1
                done += int(run.rows["length"].sum(dtype=np.int64))
                progress(done, total)
        writer.flush()
    for pack in wrong:
        copied.moved.pop(pack, None)
    names = tuple(put_index(job.vault, job.names, index) for index in rows.indexes()) if copied.moved else ()

    def holds(pack: bytes) -> bool:
        return pack not in mark.uncertain and mark.used(pack)[0] == copied.records[pack]

    def needed(pack: bytes) -> bool:
        return pack in mark.uncertain or mark.used(pack)[0] > 0

    return Moves(copied.moved, names, holds, needed), copied


def _runs(job: Job, chosen: list[PackUse], mark: Mark, copied: Copied, wrong: set[bytes]) -> Iterator[Run]:
    for use in chosen:
        try:
            rows = _needed(read_pack_index(job.vault, use.pack, use.size), use.pack, mark)
        except DamagedError as error:
            copied.damages.append(error)
            wrong.add(use.pack)
            continue
        yield from runs(use.pack, rows)


def _needed(entries: NDArray[np.void], pack: bytes, mark: Mark) -> NDArray[np.void]:
    """The rows of a pack's index that are marked. :raises DamagedError: a map tells of a record that it has not."""
    offsets, lengths = (mark.segments if mark.kind_of(pack) is Kind.SEGMENT else mark.chunks).of(pack)
    rows = entries[np.isin(entries["offset"], offsets)]
    rows = rows[np.argsort(rows["offset"], kind="stable")]
    if len(rows) != len(offsets) or (rows["length"] != lengths).any():
        raise DamagedError(f"the index of pack {pack.hex()} and the maps of backups do not agree", pack=pack.hex())
    return rows


def _read(job: Job, run: Run) -> list[Record] | DamagedError:
    try:
        data = read_place(job.vault, run.place)
        return [copy_record(job.vault, run.pack, row, run.cut(data, row)) for row in run.rows]
    except DamagedError as error:
        return DamagedError(error.message, pack=run.pack.hex())

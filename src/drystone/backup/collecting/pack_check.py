"""Reading packs whole: headers, records, indexes and trailers, by threads, in long ranges."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drystone.backup.collecting.records import RANGE, Run, runs
from drystone.backup.format import segment as segments
from drystone.backup.format.pack import HEADER, INDEX, TRAILER, Kind, Place, parse_record
from drystone.backup.objects import read_place
from drystone.backup.pipeline import Progress, ordered
from drystone.backup.reading.locate import read_pack_index
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError

Prints = NDArray[np.uint64]
"""A number for each record, made of its digest, offset and length."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that is not as it was written: where, its digest, and what is wrong."""

    place: Place
    kind: int
    digest: bytes
    message: str


@dataclass(slots=True)
class Checked:
    """What was read, and what is wrong with it.

    :ivar packs: that were read. :ivar size: bytes of them. :ivar bad_packs: by a pack's id, what is wrong with its
        header, index or trailer; its records may be whole. :ivar prints: of every record, by pack, ascending.
    """

    packs: int = 0
    records: int = 0
    size: int = 0
    bad_records: list[BadRecord] = field(default_factory=list)
    bad_packs: dict[bytes, str] = field(default_factory=dict)
    prints: dict[bytes, Prints] = field(default_factory=dict)


def print_records(digests: NDArray[np.uint8], offset: NDArray[np.uint32], length: NDArray[np.uint32]) -> Prints:
    """A number for each record. Digests have shape (n, 32)."""
    first = np.ascontiguousarray(digests).view("<u8").reshape(-1, 4)[:, 0]
    place = (offset.astype(np.uint64) << np.uint64(32)) | length.astype(np.uint64)
    prints: Prints = first ^ (place * _SPREAD)
    return prints


def check_packs(vault: Vault, packs: dict[bytes, int], *, tuning: Tuning, progress: Progress) -> Checked:
    """Read packs (id to size in bytes) and check every record: sum, tag, digest; and that the index tells of all."""
    checked = Checked(packs=len(packs))
    total = sum(packs.values())
    progress(0, total)
    with ThreadPoolExecutor(tuning.workers, thread_name_prefix="scrub") as pool:
        todo = _runs(vault, packs, checked)
        ahead = max(1, min(tuning.workers + 1, tuning.memory // (4 * RANGE)))

        def check(run: Run) -> tuple[Run, list[BadRecord]]:
            return run, _check_run(vault, run)

        for run, bad in ordered(pool, check, todo, ahead):
            checked.records += len(run.rows)
            checked.size += run.end - run.begin
            checked.bad_records += bad
            progress(min(checked.size, total), total)
    progress(total, total)
    return checked


def _runs(vault: Vault, packs: dict[bytes, int], checked: Checked) -> Iterator[Run]:
    for pack, size in sorted(packs.items()):
        try:
            rows = read_pack_index(vault, pack, size)
            _check_cover(rows, size, pack)
        except DamagedError as error:
            checked.bad_packs[pack] = error.message
            continue
        digests = np.frombuffer(rows["digest"].tobytes(), np.uint8).reshape(-1, 32)
        checked.prints[pack] = np.sort(print_records(digests, rows["offset"], rows["length"]))
        yield from runs(pack, rows)


def _check_cover(rows: NDArray[np.void], size: int, pack: bytes) -> None:
    """Records follow one another from the header to the index. :raises DamagedError: they do not."""
    order = np.argsort(rows["offset"], kind="stable")
    begins = rows["offset"][order].astype(np.int64)
    ends = begins + rows["length"][order]
    last = size - TRAILER - len(rows) * INDEX.itemsize
    if not np.array_equal(np.append(begins, last), np.concatenate(([HEADER], ends))):
        raise DamagedError(f"the index of pack {pack.hex()} does not tell of all that is in it")


def _check_run(vault: Vault, run: Run) -> list[BadRecord]:
    try:
        data: memoryview | None = read_place(vault, run.place)
    except DamagedError:
        data = None
    bad = []
    for row in run.rows:
        place = Place(run.pack, int(row["offset"]), int(row["length"]))
        try:
            check_record(vault, place, row, read_place(vault, place) if data is None else run.cut(data, row))
        except DamagedError as error:
            bad.append(BadRecord(place, int(row["kind"]), bytes(row["digest"]), error.message))
    return bad


def check_record(vault: Vault, place: Place, row: np.void, data: memoryview) -> None:
    """:raises DamagedError: the record at a place is not the one that the pack's index tells of (dtype INDEX)."""
    try:
        kind = Kind(row["kind"])
    except ValueError as error:
        raise DamagedError(f"a record is of kind {row['kind']}, which nobody knows") from error
    name = bytes(row["digest"])
    plain = parse_record(data, kind, name, vault.hasher, vault.opener(place))
    if len(plain) != int(row["plain"]):
        raise DamagedError(f"a record has {len(plain)} bytes, and the pack's index tells {row['plain']}")
    if kind is Kind.SEGMENT:
        number, slots = (int.from_bytes(plain[at : at + 4], "little") for at in (0, 4))
        if segments.parse(plain, number, slots).digest(vault.hasher) != name:
            raise DamagedError("the leaves of a map segment do not have its digest")

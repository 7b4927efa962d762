"""Where a record is: the map's place, the packs that it was moved to, or on damage another copy that an index knows.

docs/reference/backup-format.md, Where a record is.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format import index_object
from drystone.backup.format.digest import DIGEST
from drystone.backup.format.index_object import Index
from drystone.backup.format.keys import index_key, pack_key
from drystone.backup.format.pack import (
    HEADER,
    LARGEST_PACK,
    TRAILER,
    Kind,
    Place,
    index_length,
    parse_index,
    parse_record,
)
from drystone.backup.objects import pack_sizes, read_place
from drystone.backup.pipeline import ordered
from drystone.backup.state.document import State
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError, NotFoundError

_KEPT = 64
"""Pack indexes that are kept: 48 bytes a record, some 1,000 records a pack."""


_AHEAD = 2
"""Indexes that are fetched at once."""
_ENTRIES = 1 << 18
"""Entries of the repository's indexes that are kept: 12 MiB."""


class Locator:
    """Finds and reads records by (place in the map, digest, kind). Used by several threads.

    What it read of moved packs' indexes is kept, and of the repository's, both within bounds. These are asked for
    records that are damaged, and by writers.
    """

    def __init__(self, vault: Vault, state: State) -> None:
        self.vault = vault
        self.state = state
        self._indexes: dict[bytes, NDArray[np.void]] = {}
        self._read: dict[str, Index] = {}
        self._lock = threading.Lock()

    def is_moved(self, pack: bytes) -> bool:
        """Whether records of the pack may be somewhere else."""
        return pack.hex() in self.state.moved

    def locate(self, place: Place, name: bytes, kind: Kind) -> Place:
        """Where to read the chunk whose place in the map is `place`, and whose digest is `name`."""
        return next(self.candidates(place, name, kind))

    def candidates(self, place: Place, name: bytes, kind: Kind) -> Iterator[Place]:
        """Where a record of that digest is to be looked for, the likeliest place first, the map's own last.

        Any of a chunk will do. The digest of a map segment does not hold its number: which of them it is, is seen when
        it is read (segments.py).
        """
        for target in moved_to(self.state, place.pack):
            yield from self._in_pack(target, name, kind)
        yield place

    def read(self, place: Place, name: bytes, kind: Kind) -> bytes | memoryview:
        """The plain bytes of the record, checked by CRC, tag and digest (a segment's digest is its reader's to check).

        :raises DamagedError: it is wrong or missing where it should be, and nowhere else.
        """
        first: DamagedError | None = None
        for each in itertools.chain(self.candidates(place, name, kind), self._indexed(place, name, kind)):
            try:
                return self.read_at(each, name, kind)
            except DamagedError as error:
                first = first or error
        assert first is not None
        raise first

    def read_at(self, place: Place, name: bytes, kind: Kind) -> bytes | memoryview:
        """The record at this very place. :raises DamagedError: it is not there, or wrong."""
        return parse_record(read_place(self.vault, place), kind, name, self.vault.hasher, self.vault.opener(place))

    def _indexed(self, place: Place, name: bytes, kind: Kind) -> Iterator[Place]:
        """Where the indexes know the chunk again."""
        if kind is not Kind.CHUNK:
            return
        with contextlib.closing(self.indexes()) as indexes:
            for index in indexes:
                for found in find_in(index, name):
                    if found != place:
                        yield found

    def indexes(self, most: int | None = None) -> Generator[Index, None, None]:
        """The indexes that count, newest first, `most` of them; those that cannot be read are left out. Close it."""
        names = self.state.indexes[::-1][:most]
        with ThreadPoolExecutor(_AHEAD, thread_name_prefix="index") as pool:
            for found in ordered(pool, self._read_index, names, _AHEAD):
                if found is not None:
                    yield found

    def _read_index(self, name: str) -> Index | None:
        with self._lock:
            kept = self._read.get(name)
        if kept is not None:
            return kept
        found = read_index(self.vault, name)
        if found is None:
            return None
        with self._lock:
            if sum(len(each.digests) for each in self._read.values()) + len(found.digests) <= _ENTRIES:
                self._read[name] = found
        return found

    def _in_pack(self, pack: bytes, name: bytes, kind: Kind) -> list[Place]:
        """The records of a digest in a pack, by the index at its end; none when that cannot be read."""
        with self._lock:
            entries = self._indexes.get(pack)
        if entries is None:
            try:
                entries = read_pack_index(self.vault, pack)
            except (DamagedError, NotFoundError):
                return []
            with self._lock:
                while len(self._indexes) >= _KEPT:
                    self._indexes.pop(next(iter(self._indexes)))
                self._indexes[pack] = entries
        wanted = np.frombuffer(name, dtype="V32")[0]
        rows = entries[(entries["digest"] == wanted) & (entries["kind"] == kind)]
        return [Place(pack, int(row["offset"]), int(row["length"])) for row in rows]


def moved_to(state: State, pack: bytes) -> list[bytes]:
    """The packs that the records of a pack were moved to, and those of these, in the order in which a reader looks."""
    found: dict[str, None] = {}

    def follow(each: str) -> None:
        for target in state.moved.get(each, ()):
            if target not in found:
                found[target] = None
                follow(target)

    follow(pack.hex())
    return [bytes.fromhex(each) for each in found]


def reach(state: State, packs: Iterable[bytes]) -> set[bytes]:
    """Packs, and all that they were moved to, and what that was moved to."""
    found = set(packs)
    waiting = [pack for pack in found if pack.hex() in state.moved]
    while waiting:
        for name in state.moved[waiting.pop().hex()]:
            pack = bytes.fromhex(name)
            if pack not in found:
                found.add(pack)
                if name in state.moved:
                    waiting.append(pack)
    return found


def read_index(vault: Vault, name: str) -> Index | None:
    """An index of the repository; None when it is missing or damaged."""
    key = index_key(name)
    try:
        return index_object.parse(vault.get(key), key)
    except (NotFoundError, DamagedError):
        return None


def read_pack_index(vault: Vault, pack: bytes, size: int = -1) -> NDArray[np.void]:
    """The index (dtype pack.INDEX) at the end of a pack of `size` bytes (-1: looked up), with its header checked.

    :raises DamagedError: the pack is missing or wrong.
    """
    key = pack_key(pack)
    if size < 0:
        size = pack_sizes(vault, f"{pack.hex()[:2]}").get(pack, -1)
    if size < 0:
        raise DamagedError(f"pack {pack.hex()} is missing", pack=pack.hex())
    if not HEADER + TRAILER <= size <= LARGEST_PACK:
        raise DamagedError(f"pack {pack.hex()} has {size} bytes", pack=pack.hex())
    try:
        length = index_length(vault.store.get_range(key, size - TRAILER, TRAILER), size, pack)
        end = vault.store.get_range(key, size - length, length)
        return parse_index(vault.store.get_range(key, 0, HEADER), end, size, pack)
    except NotFoundError as error:
        raise DamagedError(f"pack {pack.hex()} is missing", pack=pack.hex()) from error


def find_in(index: Index, name: bytes) -> Iterator[Place]:
    """The places of a digest in an index."""
    words = index.digests.view(">u8").reshape(-1, DIGEST // 8)
    first = int.from_bytes(name[:8], "big")
    begin, end = (int(np.searchsorted(words[:, 0], np.uint64(first), side)) for side in ("left", "right"))
    for at in range(begin, end):
        if index.digests[at].tobytes() == name:
            yield Place(index.packs[index.pack[at]], int(index.offset[at]), int(index.length[at]))

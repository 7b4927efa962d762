"""The repository's index objects, while packs go: those that name them are written anew without them.

Small ones are put together on that occasion, so that there are few. Memory: one index, or some small ones, at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from drystone.backup.collecting.index_rows import index_of_pack, joined, without
from drystone.backup.format import index_object
from drystone.backup.format.index_object import MOST_ENTRIES, Index
from drystone.backup.format.keys import PACK_ID, index_key
from drystone.backup.reading.locate import read_index, read_pack_index
from drystone.backup.vault import Vault
from drystone.base.errors import BusyError, DamagedError, NotFoundError

TOGETHER = MOST_ENTRIES // 4
"""Rows that are put together at most: 11 MB."""
MANY = 16
"""Small indexes are put together when there are so many."""

_FRONT = struct.Struct("<8sIIII")


class Names:
    """Names for new indexes, announced before they are used."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = iter(names)

    def take(self) -> str:
        """The next one. :raises BusyError: there are more indexes than when the operation began."""
        name = next(self._names, None)
        if name is None:
            raise BusyError("others added many indexes meanwhile", hint="try again")
        return name


def put_index(vault: Vault, names: Names, index: Index) -> str:
    """Its name. Durable when this returns."""
    name = names.take()
    vault.put(index_key(name), index_object.encode(index))
    return name


def index_packs(vault: Vault, names: Names, packs: dict[bytes, int]) -> list[str]:
    """Put indexes over the chunks of packs (id to size in bytes), from the indexes at their ends; the names.

    A pack whose own index is damaged is left out.
    """
    made: list[str] = []
    waiting: list[Index] = []
    rows = 0
    for pack, size in sorted(packs.items()):
        try:
            part = index_of_pack(pack, read_pack_index(vault, pack, size))
        except DamagedError:
            continue
        if rows + len(part.digests) > MOST_ENTRIES:
            made += [put_index(vault, names, each) for each in joined(waiting)]
            waiting, rows = [], 0
        waiting.append(part)
        rows += len(part.digests)
    return made + [put_index(vault, names, each) for each in joined(waiting)]


class IndexRewriter:
    """Makes the indexes of a next state. What it has looked at and written is remembered from one try to the next."""

    def __init__(self, vault: Vault, names: Names) -> None:
        self._vault = vault
        self._names = names
        self._made: dict[tuple[tuple[str, ...], frozenset[bytes]], tuple[str, ...]] = {}
        self._packs: dict[str, frozenset[bytes] | None] = {}

    def rewrite(self, indexes: tuple[str, ...], gone: set[bytes], sizes: dict[str, int]) -> tuple[str, ...]:
        """Names of indexes that hold the same rows but for those in packs that go.

        Those that cannot be read are left out: nobody can use them. Indexes that name no such pack stay, unless there
        are many small ones.

        :param sizes: bytes of the index objects by name, as far as they are known.
        """
        rows = {name: sizes.get(name, 0) // 44 for name in indexes}
        small = [name for name in indexes if rows[name] < TOGETHER // MANY]
        merge = set(small) if len(small) >= MANY else set()
        stays = [name for name in indexes if name not in merge and self._is_free(name, gone)]
        rest = tuple(name for name in indexes if name not in stays)
        if not rest:
            return indexes
        key = (rest, frozenset(gone))
        if key not in self._made:
            self._made[key] = tuple(put_index(self._vault, self._names, each) for each in self._joined(rest, gone))
        return (*stays, *self._made[key])

    def _joined(self, names: tuple[str, ...], gone: set[bytes]) -> Iterator[Index]:
        """The rows of some indexes, put together as far as memory allows."""
        waiting: list[Index] = []
        for name in names:
            index = read_index(self._vault, name)
            if index is None:
                continue
            index = without(index, gone)
            if waiting and sum(len(each.digests) for each in waiting) + len(index.digests) > TOGETHER:
                yield from joined(waiting)
                waiting = []
            waiting.append(index)
        yield from joined(waiting)

    def _is_free(self, name: str, gone: set[bytes]) -> bool:
        """Whether an index names none of the packs that go; False as well when it cannot be read."""
        if name not in self._packs:
            self._packs[name] = self._read_packs(name)
        packs = self._packs[name]
        return packs is not None and packs.isdisjoint(gone)

    def _read_packs(self, name: str) -> frozenset[bytes] | None:
        """The packs that an index names: where nothing is sealed, without reading all of it."""
        if self._vault.encrypted:
            index = read_index(self._vault, name)
            return None if index is None else frozenset(index.packs)
        key = index_key(name)
        try:
            count = _FRONT.unpack(self._vault.store.get_range(key, 0, _FRONT.size))[3]
            if count > MOST_ENTRIES:
                return None
            packs = self._vault.store.get_range(key, _FRONT.size, count * PACK_ID)
        except (NotFoundError, DamagedError):
            return None
        return frozenset(packs[at : at + PACK_ID] for at in range(0, len(packs), PACK_ID))

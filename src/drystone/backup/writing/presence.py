"""Whether packs are there: by listings, of those folders only in which they would be."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from drystone.backup.format.pack import Place
from drystone.backup.objects import pack_sizes
from drystone.backup.vault import Vault

_ALL = 16
"""Folders from which on one listing of all is quicker: they are 256."""


class Presence:
    """Whether records are in packs that are there: a folder is listed when it is asked for first. For threads."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._folders: dict[bytes, dict[bytes, int]] = {}
        self._lock = threading.Lock()

    def has(self, place: Place) -> bool:
        """Whether the pack is there, and long enough."""
        folder = place.pack[:1]
        with self._lock:
            if folder not in self._folders:
                self._folders[folder] = pack_sizes(self._vault, folder.hex())
            return place.offset + place.length <= self._folders[folder].get(place.pack, 0)


def sizes_of(vault: Vault, packs: Iterable[bytes]) -> dict[bytes, int]:
    """Bytes of every one of `packs` that is there. A run's packs share a folder, so the cost is that of few folders."""
    wanted = set(packs)
    return {pack: size for pack, size in sizes_beside(vault, wanted).items() if pack in wanted}


def sizes_beside(vault: Vault, names: Iterable[bytes]) -> dict[bytes, int]:
    """Bytes of all packs in the folders of packs, or of writers, with these names."""
    folders = {name[:1].hex() for name in names}
    if len(folders) >= _ALL:
        return pack_sizes(vault)
    return {pack: size for folder in sorted(folders) for pack, size in pack_sizes(vault, folder).items()}

"""Which packs the backups of a state name, by the pack tables of their manifests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.manifest import Manifest
from drystone.backup.objects import read_manifest
from drystone.backup.pipeline import ordered
from drystone.backup.state.document import Entry, State
from drystone.backup.state.generations import read_state
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError, NotFoundError

_Key = tuple[str, str, str]


class Needs:
    """The packs that backups name. A manifest is read once; of each, 4 bytes a pack are kept.

    :param visit: is handed every manifest that is read, in the caller's thread.
    """

    def __init__(self, vault: Vault, threads: int, visit: Callable[[Manifest], None] | None = None) -> None:
        self._vault = vault
        self._threads = threads
        self._visit = visit
        self._numbers: dict[bytes, int] = {}
        self._packs: list[bytes] = []
        self._named: dict[_Key, NDArray[np.uint32]] = {}

    def read(self, state: State) -> None:
        """Read the manifests of the state's backups that are not known yet.

        One that was deleted since counts as needing nothing: a change that is made from such a state does not hold.

        :raises DamagedError: one is missing or wrong, so what it needs is not known; the facts name the backup.
        """
        unknown = [entry for entry in state.backups if _key(entry) not in self._named]
        with ThreadPoolExecutor(self._threads, thread_name_prefix="manifest") as pool:
            for entry, manifest in zip(unknown, ordered(pool, self._get, unknown, 2 * self._threads), strict=True):
                if manifest is None:
                    continue
                self._named[_key(entry)] = self._enter(manifest)
                if self._visit is not None:
                    self._visit(manifest)

    def _get(self, entry: Entry) -> Manifest | None:
        try:
            return read_manifest(self._vault, entry.volume, entry.backup, entry.manifest)
        except (NotFoundError, DamagedError) as error:
            if read_state(self._vault).find(entry.volume, entry.backup) is None:
                return None
            message = error.message if isinstance(error, DamagedError) else "its manifest is missing"
            raise DamagedError(
                f"backup {entry.backup} of volume {entry.volume} is damaged, so nobody knows what it needs: {message}",
                hint="delete that backup, then try again; `drystone backup scrub` tells of all that is damaged",
                backup=entry.backup,
                volume=entry.volume,
            ) from error

    def _enter(self, manifest: Manifest) -> NDArray[np.uint32]:
        numbers = []
        for each in manifest.packs["id"]:
            pack = bytes(each)
            if pack not in self._numbers:
                self._numbers[pack] = len(self._packs)
                self._packs.append(pack)
            numbers.append(self._numbers[pack])
        return np.array(numbers, dtype=np.uint32)

    def named(self, state: State) -> set[bytes]:
        """The packs that the state's backups name. `read` was called with this state."""
        marks = np.zeros(len(self._packs), dtype=bool)
        for entry in state.backups:
            if _key(entry) in self._named:
                marks[self._named[_key(entry)]] = True
        return {self._packs[number] for number in np.flatnonzero(marks)}


def _key(entry: Entry) -> _Key:
    return entry.volume, entry.backup, entry.manifest

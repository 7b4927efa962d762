"""The moment at which a backup comes to be: a change of the repository's state.

docs/reference/backup-format.md, Making a backup, step 5.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

import msgspec

from drystone.backup.format import index_object
from drystone.backup.format import manifest as manifests
from drystone.backup.format.index_object import Index
from drystone.backup.format.keys import index_key, manifest_key, pack_key
from drystone.backup.format.manifest import Manifest
from drystone.backup.reading.locate import reach
from drystone.backup.state.document import Entry, State
from drystone.backup.state.generations import change_state
from drystone.backup.state.operations import Announced, is_there
from drystone.backup.vault import Vault
from drystone.backup.writing.presence import sizes_of
from drystone.base.errors import BusyError, DrystoneError


@dataclass(slots=True)
class Draft:
    """What a backup that is being made has put, or may have: to be taken back when it fails.

    :ivar names: of indexes that it may put. :ivar indexes: those that it put.
    """

    vault: Vault
    announced: Announced
    names: list[str]
    indexes: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    committing: bool = False

    def put_indexes(self, found: Iterator[Index]) -> None:
        """Put indexes. What has no name left is not put: its chunks may be stored twice one day."""
        for index in found:
            if len(self.indexes) == len(self.names):
                return
            name = self.names[len(self.indexes)]
            self.keys.append(index_key(name))
            self.vault.put(index_key(name), index_object.encode(index))
            self.indexes.append(name)

    def commit(self, manifest: Manifest) -> Entry:
        """Put the manifest and add the backup to the state: durable when this returns.

        :raises BusyError: somebody took this writer for dead, and what it refers to is going.
        """
        head = manifest.head
        key = manifest_key(head.volume, head.backup)
        self.keys.append(key)
        stored = self.vault.put(key, manifests.encode(manifest))
        entry = Entry.of(head, stored)

        def add(state: State) -> State:
            found = state.find(head.volume, head.backup)
            if found is not None:
                return state
            changed = self._added(state, manifest, entry)
            self.committing = True
            return changed

        change_state(self.vault, add)
        return entry

    def _added(self, state: State, manifest: Manifest, entry: Entry) -> State:
        removed = set(state.removed)
        packs = needed(state, manifest.pack_ids(), reached_sizes(self.vault, state, manifest.pack_ids()))
        sound = is_there(self.vault, self.announced.key) and packs is not None and removed.isdisjoint(self.keys)
        if self.committing:
            # A put before this one may have held, and the backup may have been deleted since, with what was put for it.
            sound = sound and all(is_there(self.vault, key) for key in self.keys)
        if packs is None or not sound:
            raise BusyError(
                f"backup {entry.backup} was overtaken: what it refers to is being removed", hint="make it again"
            )
        return msgspec.structs.replace(
            state,
            backups=(*state.backups, entry),
            indexes=(*state.indexes, *self.indexes),
            doomed=tuple(each for each in state.doomed if bytes.fromhex(each.pack) not in packs),
        )

    def take_back(self, packs: list[bytes]) -> None:
        """Delete what was put, unless the change may have taken effect, or may do so. Errors leave it to `prune`.

        Once a change was put, all of it stays, also when a later try is refused: it may have held for a while, and
        another backup may refer to these packs by the indexes that came with it.

        Packs stay where progress was put down: who takes this writer for dead may refer to them already.
        """
        if self.committing:
            return
        own = [] if self.announced.keep else [pack_key(pack) for pack in packs]
        for key in [*reversed(self.keys), *own]:
            with contextlib.suppress(DrystoneError):
                self.vault.store.delete(key)


def reached_sizes(vault: Vault, state: State, packs: set[bytes]) -> dict[bytes, int]:
    """Bytes of those of `packs`, and of what they were moved to, that are there. A listing made now."""
    return sizes_of(vault, reach(state, packs))


def needed(state: State, packs: set[bytes], listed: Container[bytes]) -> set[bytes] | None:
    """What must stay for `packs` to be readable: they, and what they were moved to; None: something is going or gone.

    A pack that is gone, or going, will do when its records were moved and all that it was moved to will do.
    """
    found = reach(state, packs)
    stays = {pack for pack in found - state.removed_packs() if pack in listed}
    waiting = {
        pack: {bytes.fromhex(each) for each in state.moved[pack.hex()]}
        for pack in found - stays
        if state.moved.get(pack.hex())
    }
    while ready := {pack for pack, targets in waiting.items() if targets <= stays}:
        stays |= ready
        for pack in ready:
            del waiting[pack]
    return found if packs <= stays else None

"""Repositories of backups under test: what a backup gives back, and what is left when everything was deleted."""

from __future__ import annotations

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.collect import Collected
from drystone.backup.collecting.prune import Wish
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.keys import REPOSITORY, SLOTS, STATE
from drystone.backup.pipeline import silent
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.restore import restore_backup
from drystone.backup.repository import Repository
from drystone.backup.state.generations import read_state
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault, open_vault
from drystone.store import Store
from drystone.testing.sources import MemoryTarget


def read_back(vault: Vault | Store, volume: str, backup: str, tuning: Tuning | None = None) -> bytes:
    """The image of a backup, restored into memory that was full of other bytes.

    :raises: as a restore does.
    """
    opened = vault if isinstance(vault, Vault) else open_vault(vault)
    locator = Locator(opened, read_state(opened))
    manifest = read_entry(locator, volume, backup)
    target = MemoryTarget(b"\xaa" * manifest.head.size)
    restore_backup(locator, manifest, target, tuning=tuning or Tuning(), progress=silent)
    assert target.flushed
    return bytes(target.data)


def left_over(store: Store) -> list[str]:
    """What there is beside the repository's document, key slots and generations."""
    kept = (SLOTS, STATE)
    keys = sorted(key for key, _ in store.list(""))
    return [key for key in keys if key != REPOSITORY and not key.startswith(tuple(f"{each}/" for each in kept))]


def collect_garbage(vault: Vault, *, tuning: Tuning, force: bool = False) -> Collected:
    """A prune that deletes no backup and rewrites no pack: what killed operations left goes.

    :raises: as `Repository.prune`.
    """
    return _collect(Repository(vault, tuning=tuning), force=force)


def sweep(repository: Repository, *, force: bool = False) -> tuple[int, int]:
    """As `collect_garbage`: the packs and bytes that went."""
    collected = _collect(repository, force=force)
    return collected.packs, collected.bytes


def _collect(repository: Repository, *, force: bool) -> Collected:
    collected = repository.prune(Wish(Policy(), Limits(max_unused=1, merge=False)), force=force).collected
    assert collected is not None
    return collected

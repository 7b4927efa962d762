"""Deleting backups: a change of state takes them out, and what only they needed is collected."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from drystone.backup.collecting.collect import Collected, begin, doom, remove
from drystone.backup.collecting.needs import Needs
from drystone.backup.format.keys import manifest_key
from drystone.backup.state.document import State
from drystone.backup.state.generations import change_state
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError, NotFoundError


def delete_backups(
    vault: Vault, backups: Iterable[tuple[str, str]], *, tuning: Tuning, force: bool = False
) -> Collected:
    """Delete backups, each named by (volume, backup), and the packs that no other backup needs.

    Any backup can go, whatever was built upon it; packs that an operation under way may refer to wait for the next
    collection. One whose manifest is damaged can be deleted too. When this returns, the backups are gone for good.

    :param force: take every operation under way for dead.

    :raises NotFoundError: there is no such backup; none was deleted.
    :raises DamagedError: the backups are deleted, but another one's manifest is damaged, so nothing was collected.
    """
    names = list(backups)
    with begin(vault, tuning.workers, force=force) as job:
        take_out(vault, names)
        needs = Needs(vault, job.threads)
        try:
            return remove(job, needs, doom(job, needs))
        except DamagedError as error:
            raise DamagedError(
                f"what was to be deleted is, but its packs stay, as they may be needed: {error.message}",
                hint="delete the damaged backup too",
                **error.facts,
            ) from error


def take_out(vault: Vault, backups: Iterable[tuple[str, str]], *, missing_is_fine: bool = False) -> None:
    """Change the state to one without these backups, and with their manifests under `removed`.

    :raises NotFoundError: one is not there, and nobody said that this is fine.
    """
    goes = dict.fromkeys(backups)
    tried = missing_is_fine

    def compute(state: State) -> State:
        nonlocal tried
        there = [name for name in goes if state.find(*name) is not None]
        if not tried and len(there) < len(goes):
            volume, backup = next(name for name in goes if name not in there)
            raise NotFoundError(f"there is no backup {backup} of volume {volume}", backup=backup, volume=volume)
        # A second time: somebody else may have taken one out meanwhile.
        tried = True
        if not there:
            return state
        keys = {manifest_key(*name) for name in there}
        left = tuple(each for each in state.backups if (each.volume, each.backup) not in goes)
        return msgspec.structs.replace(state, backups=left, removed=tuple(sorted({*state.removed, *keys})))

    change_state(vault, compute)

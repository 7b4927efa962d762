"""The key slots of an encrypted repository: added, listed, removed. The last one cannot go.

A slot that goes is named under `removed` in the state before its object is deleted: so of two who remove the last two
slots at the same time, the second sees what the first did.
"""

from __future__ import annotations

import msgspec

from drystone.backup.format import slot as slots
from drystone.backup.format.cipher import Keyring
from drystone.backup.format.keys import slot_key
from drystone.backup.format.slot import Credential, Hardness, Slot
from drystone.backup.state.document import State
from drystone.backup.state.generations import change_state, read_state
from drystone.backup.vault import Vault, put_own, read_slots
from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import NotFoundError, RefusedError, UsageError
from drystone.base.names import find_by_reference


def find_keys(vault: Vault) -> Keyring:
    """What the slots lead to. :raises UsageError: the repository is not encrypted."""
    if vault.ring is None:
        raise UsageError("the repository is not encrypted, so it has no keys")
    return vault.ring


def list_slots(vault: Vault) -> list[Slot]:
    """The slots, oldest first; none where nothing is encrypted."""
    return _remaining(vault, read_state(vault)) if vault.encrypted else []


def add_slot(
    vault: Vault,
    credential: Credential,
    label: str = "",
    *,
    clock: Clock | None = None,
    hardness: Hardness | None = None,
) -> Slot:
    """A further passphrase or key file that opens the repository; durable when this returns.

    :raises UsageError: the repository is not encrypted.
    """
    made = slots.make_slot(find_keys(vault), credential, label, (clock or SystemClock()).now(), hardness)
    put_own(vault.store, slot_key(made.slot), slots.encode(made))
    return made


def remove_slot(vault: Vault, reference: str) -> Slot:
    """Remove a slot, named by its UUID, the beginning of it, or its label. Whoever knows the master key still has it.

    :raises NotFoundError: there is none such. :raises UsageError: several have that label.
    :raises RefusedError: it is the last one.
    """
    removed: Slot | None = None

    def compute(state: State) -> State:
        nonlocal removed
        there = _remaining(vault, state)
        name = find_by_reference(reference, [(each.slot, each.label) for each in there], "key slot", shared=True)
        removed = next(each for each in there if each.slot == name)
        if len(there) == 1:
            raise RefusedError("it is the last key slot: nobody could open the repository", hint="add another before")
        return msgspec.structs.replace(state, removed=(*state.removed, slot_key(name)))

    find_keys(vault)
    change_state(vault, compute)
    assert removed is not None
    key = slot_key(removed.slot)
    vault.store.delete(key)
    change_state(vault, lambda state: _without(state, key))
    return removed


def change_slot(
    vault: Vault,
    old: Credential,
    new: Credential,
    *,
    label: str | None = None,
    clock: Clock | None = None,
    hardness: Hardness | None = None,
) -> Slot:
    """Put `new` in the place of the slot that `old` opens: the new one first. A cut leaves both.

    :param label: None: that of the old one.
    :raises NotFoundError: `old` opens none.
    """
    found = next((each for each in list_slots(vault) if slots.open_slot(each, old) is not None), None)
    if found is None:
        raise NotFoundError("the old passphrase or key file fits none of the repository's key slots")
    made = add_slot(vault, new, found.label if label is None else label, clock=clock, hardness=hardness)
    remove_slot(vault, found.slot)
    return made


def _remaining(vault: Vault, state: State) -> list[Slot]:
    """The slots that are there and are not being removed."""
    removed = set(state.removed)
    found = [each for each in read_slots(vault) if slot_key(each.slot) not in removed]
    return sorted(found, key=lambda each: (each.created, each.slot))


def _without(state: State, key: str) -> State:
    left = tuple(each for each in state.removed if each != key)
    return state if len(left) == len(state.removed) else msgspec.structs.replace(state, removed=left)

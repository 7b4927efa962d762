"""Copies of key slots: put back where they are from, and nowhere else."""

from __future__ import annotations

import msgspec
import pytest

from drystone.backup.format.keys import SLOTS
from drystone.backup.format.slot import Hardness, Passphrase
from drystone.backup.key_copy import copy_slots, put_slots_back
from drystone.backup.vault import create_vault, open_vault
from drystone.base.errors import DamagedError, MismatchError, UnsupportedError, UsageError
from drystone.testing.stores import MemoryStore

QUICK = Hardness(memory=64, iterations=1, lanes=1)
WORD = Passphrase(b"word")


def test_lost_slots_are_put_back() -> None:
    store = MemoryStore()
    copy = copy_slots(create_vault(store, WORD, label="home", hardness=QUICK))
    assert put_slots_back(store, copy) == []
    (key,) = [key for key, _ in store.list(SLOTS)]
    whole = store.objects.pop(key)
    assert [each.label for each in put_slots_back(store, copy)] == ["home"]
    assert store.objects[key] == whole
    open_vault(store, WORD)


def test_a_copy_of_something_else_is_refused_and_changes_nothing() -> None:
    store, other = MemoryStore(), MemoryStore()
    copy = copy_slots(create_vault(other, WORD, hardness=QUICK))
    vault = create_vault(store, WORD, hardness=QUICK)
    before = dict(store.objects)
    with pytest.raises(MismatchError, match="those of repository"):
        put_slots_back(store, copy)
    forged = {**msgspec.json.decode(copy), "repository": vault.document.id}
    with pytest.raises(MismatchError, match="another repository's key"):
        put_slots_back(store, msgspec.json.encode(forged))
    for change, error in (({"format": "x"}, DamagedError), ({"version": 2}, UnsupportedError)):
        with pytest.raises(error):
            put_slots_back(store, msgspec.json.encode({**forged, **change}))
    with pytest.raises(DamagedError):
        put_slots_back(store, b"{}")
    assert store.objects == before


def test_what_is_not_encrypted_has_no_copy() -> None:
    with pytest.raises(UsageError):
        copy_slots(create_vault(MemoryStore()))

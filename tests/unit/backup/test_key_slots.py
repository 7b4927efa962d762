"""Passphrases and key files of an encrypted repository."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from drystone.backup.format import slot as slots
from drystone.backup.format.cipher import Keyring
from drystone.backup.format.keys import REPOSITORY, SLOTS, slot_key
from drystone.backup.format.slot import Hardness, KeyFile, Passphrase
from drystone.backup.key_slots import add_slot, change_slot, list_slots, remove_slot
from drystone.backup.state.generations import read_state
from drystone.backup.vault import Vault, create_vault, open_vault
from drystone.base.clock import SystemClock
from drystone.base.errors import DamagedError, NotFoundError, RefusedError, UnsupportedError, UsageError
from drystone.store.abc import Data
from drystone.testing.stores import MemoryStore

QUICK = Hardness(memory=64, iterations=1, lanes=1)
FIRST, SECOND = Passphrase(b"first"), Passphrase("zweites Wört".encode())
FILE = KeyFile(bytes(range(64)))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def vault(store: MemoryStore) -> Vault:
    return create_vault(store, FIRST, label="home", hardness=QUICK)


def test_every_slot_opens_the_same_repository(store: MemoryStore, vault: Vault) -> None:
    vault.put("drystone-backup/x", b"bytes")
    add_slot(vault, SECOND, "work", hardness=QUICK)
    add_slot(vault, FILE, "vault")
    for credential in (FIRST, SECOND, FILE):
        assert open_vault(store, credential).get("drystone-backup/x") == b"bytes"
    assert {each.label for each in list_slots(vault)} == {"home", "work", "vault"}
    for wrong in (Passphrase(b"first "), KeyFile(b"first" * 10), None):
        with pytest.raises(UsageError):
            open_vault(store, wrong)


def test_no_slot_holds_the_key_or_the_passphrase(store: MemoryStore, vault: Vault) -> None:
    assert vault.ring is not None
    stored = b"".join(store.objects.values())
    assert vault.ring.master not in stored
    assert vault.ring.master.hex().encode() not in stored
    assert b"first" not in stored


def test_a_removed_slot_opens_nothing(store: MemoryStore, vault: Vault) -> None:
    add_slot(vault, SECOND, "work", hardness=QUICK)
    remove_slot(vault, "home")
    with pytest.raises(UsageError):
        open_vault(store, FIRST)
    open_vault(store, SECOND)
    assert read_state(vault).removed == ()
    with pytest.raises(RefusedError, match="last"):
        remove_slot(vault, "work")
    with pytest.raises(NotFoundError):
        remove_slot(vault, "home")


def test_the_last_two_are_not_removed_by_two_at_once(store: MemoryStore) -> None:
    class Meanwhile(MemoryStore):
        """Another one removes the other slot just before a generation is put."""

        armed = False

        def put_if_absent(self, key: str, data: Data) -> bool:
            if self.armed and "/state/" in key:
                self.armed = False
                remove_slot(open_vault(self, FIRST), "work")
            return super().put_if_absent(key, data)

    both = Meanwhile()
    vault = create_vault(both, FIRST, label="home", hardness=QUICK)
    add_slot(vault, SECOND, "work", hardness=QUICK)
    both.armed = True
    with pytest.raises(RefusedError):
        remove_slot(vault, "home")
    assert [each.label for each in list_slots(vault)] == ["home"]


def test_a_passphrase_is_changed(store: MemoryStore, vault: Vault) -> None:
    made = change_slot(vault, FIRST, SECOND, hardness=QUICK)
    assert [each.slot for each in list_slots(vault)] == [made.slot]
    assert made.label == "home"
    open_vault(store, SECOND)
    with pytest.raises(UsageError):
        open_vault(store, FIRST)
    with pytest.raises(NotFoundError):
        change_slot(vault, FIRST, FILE)


def test_a_slot_moved_or_changed_opens_nothing_else(store: MemoryStore, vault: Vault) -> None:
    (slot,) = list_slots(vault)
    other = "00000000-0000-4000-8000-000000000000"
    moved = store.objects[slot_key(slot.slot)]
    store.objects[slot_key(other)] = moved
    open_vault(store, FIRST)
    assert list_slots(vault) == [slot]
    with pytest.raises(DamagedError, match="says that it is"):
        open_vault(store, SECOND)
    store.objects[slot_key(other)] = moved.replace(slot.slot.encode(), other.encode())
    del store.objects[slot_key(slot.slot)]
    with pytest.raises(UsageError, match="none"):
        open_vault(store, FIRST)


@pytest.mark.parametrize(("field", "value"), [("memory", 1 << 23), ("iterations", 65), ("lanes", 1000), ("lanes", 0)])
def test_a_slot_that_asks_for_too_much_is_refused(store: MemoryStore, vault: Vault, field: str, value: int) -> None:
    (slot,) = list_slots(vault)
    key = slot_key(slot.slot)
    old = f'"{field}":{getattr(slot, field)}'.encode()
    assert old in store.objects[key]
    store.objects[key] = store.objects[key].replace(old, f'"{field}":{value}'.encode())
    with pytest.raises(DamagedError):
        open_vault(store, FIRST)


def test_of_two_who_make_a_repository_one_wins_and_the_other_leaves_no_slot() -> None:
    class Raced(MemoryStore):
        raced = False

        def put_if_absent(self, key: str, data: Data) -> bool:
            if key == REPOSITORY and not self.raced:
                self.raced = True
                create_vault(self, SECOND, hardness=QUICK)
            return super().put_if_absent(key, data)

    store = Raced()
    with pytest.raises(UsageError):
        create_vault(store, FIRST, hardness=QUICK)
    open_vault(store, SECOND)
    assert len(list(store.list(SLOTS))) == 1


def test_what_is_not_encrypted_has_no_keys(store: MemoryStore) -> None:
    vault = create_vault(store)
    assert list_slots(vault) == []
    with pytest.raises(UsageError):
        add_slot(vault, FIRST)
    with pytest.raises(UsageError):
        remove_slot(vault, "x")
    with pytest.raises(RefusedError):
        create_vault(store, FIRST)
    open_vault(store, FIRST)


@pytest.mark.parametrize("change", [{"version": 9}, {"kdf": "newer"}, {"salt": "zz"}, {"wrapped": "zz"}])
def test_a_slot_that_cannot_be_used_keeps_nobody_out(vault: Vault, change: dict[str, object]) -> None:
    """Whichever is listed first."""
    made = add_slot(vault, SECOND, "work", hardness=QUICK)
    key = slot_key(made.slot)
    objects = dict(vault.store.objects) if isinstance(vault.store, MemoryStore) else {}
    objects[key] = slots.encode(msgspec.structs.replace(made, **change))
    for order in (sorted(objects), sorted(objects, key=lambda each: each != key), sorted(objects, reverse=True)):
        store = MemoryStore()
        store.objects.update({each: objects[each] for each in order})
        open_vault(store, FIRST)
        with pytest.raises((DamagedError, UnsupportedError)):
            open_vault(store, SECOND)


@pytest.mark.parametrize(("change", "text"), [({"salt": "00"}, "salt"), ({"check": "00" * 32}, "another key")])
def test_a_slot_whose_parts_do_not_fit_is_damaged(change: dict[str, object], text: str) -> None:
    made = slots.make_slot(Keyring(bytes(32)), FIRST, "", SystemClock().now(), QUICK)
    with pytest.raises(DamagedError, match=text):
        slots.open_slot(msgspec.structs.replace(made, **change), FIRST)


def test_a_slot_of_another_master_key_counts_for_nothing(store: MemoryStore, vault: Vault) -> None:
    other = slots.make_slot(Keyring(bytes(32)), SECOND, "other", SystemClock().now(), QUICK)
    store.put_if_absent(slot_key(other.slot), slots.encode(other))
    assert [each.label for each in list_slots(vault)] == ["home"]
    with pytest.raises(UsageError, match="none"):
        open_vault(store, SECOND)
    with pytest.raises(RefusedError, match="last"):
        remove_slot(vault, "home")


def test_a_slot_that_needs_more_memory_than_there_is_says_so() -> None:
    """In a process of its own, which may have a gigabyte."""
    code = """
import resource
from drystone.backup.format import slot as slots
from drystone.backup.format.cipher import Keyring
from drystone.base.clock import SystemClock
from drystone.base.errors import ExhaustedError
import msgspec
made = slots.make_slot(Keyring(bytes(32)), slots.Passphrase(b"p"), "", SystemClock().now(), slots.Hardness(64, 1, 1))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    slots.open_slot(msgspec.structs.replace(made, memory=slots.MOST_MEMORY), slots.Passphrase(b"p"))
except ExhaustedError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "4.0 GiB" in done.stdout


def test_nothing_that_is_printed_holds_a_key() -> None:
    ring = Keyring(b"secretsecretsecretsecretsecret!!")
    for each in (ring, ring.hasher(), Passphrase(b"secret"), KeyFile(b"secret" * 6)):
        assert "secret" not in repr(each)
    assert "key" not in repr(ring.hasher())

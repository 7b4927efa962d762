"""Announcements: put, looked at, taken for dead, and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from drystone.backup.format.keys import OPEN, PROGRESS, operation_key, parse_operation_key, progress_key
from drystone.backup.state.generations import change_state, read_state
from drystone.backup.state.operations import (
    announced,
    dead,
    describe,
    forget,
    is_there,
    living,
    read_operations,
    reading,
)
from drystone.backup.vault import Vault, create_vault
from drystone.base.errors import BusyError, DamagedError, DrystoneError, RefusedError, UnsupportedError
from drystone.base.names import new_uuid
from drystone.store.abc import Data
from drystone.testing.repositories import left_over
from drystone.testing.stores import MemoryStore

VOLUME = "11111111-1111-4111-8111-111111111111"
WRITER = "0123456789abcdef01234567"


@pytest.fixture
def vault() -> Vault:
    return create_vault(MemoryStore())


def test_it_is_there_while_it_runs_and_gone_afterwards(vault: Vault) -> None:
    backup = new_uuid()
    with announced(vault, "backup", VOLUME, backup, base="b", writers=(WRITER,), identity="i") as own:
        assert is_there(vault, own.key)
        (found,) = read_operations(vault).values()
        assert found == own.operation
        assert (found.operation, found.volume, found.backup, found.base) == ("backup", VOLUME, backup, "b")
        assert (found.writers, found.identity, found.generation) == ((WRITER,), "i", own.state.number)
        assert own.state == read_state(vault)
        assert list(living(vault)) == [own.key]
        assert dead(vault) == {}
    assert left_over(vault.store) == []


def test_the_state_to_go_by_is_the_one_after_the_announcement() -> None:
    class Changing(MemoryStore):
        def put_if_absent(self, key: str, data: Data) -> bool:
            done = super().put_if_absent(key, data)
            if key.startswith(OPEN):
                change_state(create_vault(self), msgspec.structs.replace)
            return done

    with announced(create_vault(Changing()), "collect") as own:
        assert own.state.number == own.operation.generation + 1


def test_one_that_failed_may_be_kept_with_its_progress(vault: Vault) -> None:
    def run(*, keep: bool) -> str:
        with announced(vault, "backup") as own:
            vault.store.put_if_absent(progress_key(own.name, 0), b"so far")
            own.keep = keep
            raise RefusedError("it fails")

    with pytest.raises(RefusedError):
        run(keep=False)
    assert left_over(vault.store) == []
    with pytest.raises(RefusedError):
        run(keep=True)
    (key,) = dead(vault)
    assert len(list(vault.store.list(PROGRESS))) == 1
    assert living(vault) == {}
    assert not is_there(vault, key)
    assert left_over(vault.store) == []


def test_one_that_succeeded_is_not_kept(vault: Vault) -> None:
    with announced(vault, "backup") as own:
        own.keep = True
    assert left_over(vault.store) == []


def test_reading_asks_for_nothing_that_a_store_refuses(vault: Vault) -> None:
    class ReadOnly(MemoryStore):
        def put_if_absent(self, key: str, data: Data) -> bool:
            raise RefusedError("read-only")

        def delete(self, key: str) -> None:
            raise RefusedError("read-only")

    assert isinstance(vault.store, MemoryStore)
    change_state(vault, msgspec.structs.replace)
    with reading(vault, VOLUME, new_uuid()) as state:
        assert state == read_state(vault)
        (found,) = read_operations(vault).values()
        assert found.operation == "read"
    assert left_over(vault.store) == []
    store = ReadOnly()
    store.objects = vault.store.objects
    with reading(Vault(store, vault.document)) as again:
        assert again == state


def test_what_tells_nothing_stops_unless_it_is_forced(vault: Vault) -> None:
    key = operation_key(new_uuid())
    vault.store.put_if_absent(key, b"{}")
    with pytest.raises(DamagedError, match=key):
        living(vault)
    damaged: list[DamagedError] = []
    assert read_operations(vault, damaged) == {}
    assert [each.facts["key"] for each in damaged] == [key]
    with announced(vault, "collect") as own:
        assert list(living(vault, force=True, own=own.key)) == [own.key]
    assert not is_there(vault, key)


@pytest.mark.parametrize("change", [{"version": 3}, {"writers": ["x"]}, {"pid": "x"}, {"writers": [WRITER.upper()]}])
def test_wrong_ones_are_told_by_name(vault: Vault, change: dict[str, object]) -> None:
    value = msgspec.structs.asdict(describe("backup", 1))
    key = operation_key(new_uuid())
    vault.store.put_if_absent(key, msgspec.json.encode({**value, **change}))
    with pytest.raises((DamagedError, UnsupportedError), match=key) as caught:
        living(vault)
    assert isinstance(caught.value, DrystoneError)


def test_forgetting(vault: Vault) -> None:
    key = operation_key(new_uuid())
    name = parse_operation_key(key)
    assert name is not None
    vault.store.put_if_absent(key, b"x")
    for number in range(3):
        vault.store.put_if_absent(progress_key(name, number), b"x")
    forget(vault, key)
    assert left_over(vault.store) == []


def test_one_that_is_taken_over_while_operations_are_read_is_not_missed() -> None:
    """Its object goes between the listing and its reading; the one that went on with it was not listed yet."""

    class TakenOver(MemoryStore):
        after = ""

        def get(self, key: str) -> bytes:
            if self.after and key.startswith(OPEN):
                self.objects[self.after] = self.objects.pop(key)
                self.after = ""
            return super().get(key)

    store = TakenOver()
    vault = create_vault(store)
    with announced(vault, "backup", VOLUME, new_uuid()):
        store.after = taken = operation_key(new_uuid())
        assert list(read_operations(vault)) == [taken]
        store.delete(taken)
        assert read_operations(vault) == {}


def test_a_listing_that_shows_what_is_not_there_is_no_answer() -> None:
    class Wrong(MemoryStore):
        def list(self, prefix: str) -> Iterator[tuple[str, int]]:
            return iter([(operation_key(VOLUME), 9)]) if prefix == OPEN else super().list(prefix)

    with pytest.raises(BusyError):
        read_operations(create_vault(Wrong()))

"""Changes of the state, one after the other and against each other."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
import zstandard

from drystone.backup.format.digest import checksum
from drystone.backup.format.keys import (
    REPOSITORY,
    STATE,
    VOLUMES,
    index_key,
    manifest_key,
    pack_key,
    slot_key,
    state_key,
)
from drystone.backup.format.slot import Hardness, KeyFile
from drystone.backup.state import document
from drystone.backup.state.document import Doom, State
from drystone.backup.state.generations import KEPT, begin_state, change_state, read_state, replace_state
from drystone.backup.vault import Vault, create_vault
from drystone.base.errors import DamagedError, RefusedError, UnavailableError, UnsupportedError
from drystone.base.names import new_uuid
from drystone.store.abc import Data
from drystone.testing.stores import FaultyStore, MemoryStore

NAME = "11111111-1111-4111-8111-111111111111"


def add(state: State, name: str) -> State:
    return state if name in state.indexes else msgspec.structs.replace(state, indexes=(*state.indexes, name))


def numbers(store: MemoryStore) -> list[str]:
    return sorted(key for key, _ in store.list(STATE))


@pytest.fixture(params=["plain", "encrypted"])
def vault(request: pytest.FixtureRequest) -> Vault:
    credential = KeyFile(b"k" * 32) if request.param == "encrypted" else None
    return create_vault(MemoryStore(), credential, hardness=Hardness(64, 1, 1))


def test_generations_follow_one_another(vault: Vault) -> None:
    assert read_state(vault) == State()
    for turn in range(1, 40):
        made = change_state(vault, lambda state, turn=turn: add(state, f"{turn}"))  # type: ignore[misc]
        assert made == read_state(vault)
        assert made.number == turn
        before = vault.store.get(state_key(turn - 1)) if turn > 1 else b""
        assert made.previous == (checksum(before).hex() if before else "")
    assert read_state(vault).indexes == tuple(f"{turn}" for turn in range(1, 40))
    assert isinstance(vault.store, MemoryStore)
    assert numbers(vault.store) == [state_key(1), *(state_key(each) for each in range(39 - KEPT, 40))]


def test_no_wish_puts_nothing(vault: Vault) -> None:
    begin_state(vault)
    before = read_state(vault)
    assert change_state(vault, lambda state: state) == before
    assert read_state(vault) == before


def test_all_fields_are_kept(vault: Vault) -> None:
    a, b, c, d = ("0a" * 16, "0b" * 16, "0c" * 16, "0d" * 16)
    wanted = State(
        indexes=("a",),
        doomed=(Doom("00" * 16, 3),),
        removed=(pack_key(bytes(16)), index_key("00" * 12), slot_key(NAME), manifest_key(NAME, NAME)),
        moved={a: (b, c)},
        damaged={d: (1, 2)},
    )
    made = change_state(vault, lambda _: wanted)
    assert msgspec.structs.replace(made, number=0, previous="") == wanted
    assert read_state(vault) == made


UNSOUND = {
    "doomed": State(doomed=(Doom("nothing", 1),)),
    "moved": State(moved={"0a" * 15: ()}),
    "moved to": State(moved={"0a" * 16: ("0B" * 16,)}),
    "damaged": State(damaged={"": ()}),
    "an offset": State(damaged={"0a" * 16: (-1,)}),
    "the repository removed": State(removed=(REPOSITORY,)),
    "a generation removed": State(removed=(state_key(1),)),
    "anything removed": State(removed=("../x",)),
}


@pytest.mark.parametrize("state", UNSOUND.values(), ids=UNSOUND)
def test_what_can_be_no_state_is_refused(state: State) -> None:
    with pytest.raises(DamagedError, match="generation 0"):
        document.parse(document.encode(state), 0)


def test_a_generation_of_great_depth_is_refused() -> None:
    deep = b'{"version":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(DamagedError, match="generation 0"):
        document.parse(zstandard.compress(deep), 0)


class Racing(MemoryStore):
    """Before the first put of a generation somebody else does something."""

    def __init__(self) -> None:
        super().__init__()
        self.rivals = 0

    def put_if_absent(self, key: str, data: Data) -> bool:
        if key.startswith(STATE) and self.rivals:
            count, self.rivals = self.rivals, 0
            other = create_vault(self)
            for turn in range(count):
                change_state(other, lambda state, turn=turn: add(state, f"rival {turn}"))  # type: ignore[misc]
        return super().put_if_absent(key, data)


@pytest.mark.parametrize("rivals", [1, 2, KEPT, KEPT + 1, KEPT + 2, KEPT + 3, 3 * KEPT])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_change_that_was_overtaken_is_made_upon_the_newest(rivals: int, number: int) -> None:
    store = Racing()
    vault = create_vault(store)
    for turn in range(number):
        change_state(vault, lambda state, turn=turn: add(state, f"{turn}"))  # type: ignore[misc]
    store.rivals = rivals
    made = change_state(vault, lambda state: add(state, "mine"))
    assert made.number == number + rivals + 1
    assert len(made.indexes) == number + rivals + 1
    assert made == read_state(vault)
    listed = numbers(store)
    assert listed[-1] == state_key(made.number)
    assert all(each == state_key(1) or each >= state_key(made.number - KEPT) for each in listed), (
        "no stray object is left"
    )


class Meanwhile(MemoryStore):
    """At some operations on generations somebody else makes changes.

    :ivar changes: how many "before a put", after one that has "won" or "lost", "before a get"; each once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, int] = {}

    def put_if_absent(self, key: str, data: Data) -> bool:
        if not key.startswith(STATE):
            return super().put_if_absent(key, data)
        self.go_on("before a put")
        won = super().put_if_absent(key, data)
        self.go_on("won" if won else "lost")
        return won

    def get(self, key: str) -> bytes:
        if key.startswith(STATE):
            self.go_on("before a get")
        return super().get(key)

    def go_on(self, moment: str) -> None:
        for turn in range(self.changes.pop(moment, 0)):
            change_state(create_vault(self), lambda state, turn=turn: add(state, f"{moment} {turn}"))  # type: ignore[misc]


def make_meanwhile(number: int) -> tuple[Meanwhile, Vault]:
    store = Meanwhile()
    vault = create_vault(store)
    for turn in range(number):
        change_state(vault, lambda state, turn=turn: add(state, f"{turn}"))  # type: ignore[misc]
    return store, vault


@pytest.mark.parametrize("others", [1, 2, KEPT, KEPT + 1, KEPT + 2, 3 * KEPT])
def test_a_change_upon_which_others_built_at_once_holds(others: int) -> None:
    store, vault = make_meanwhile(4)
    store.changes = {"won": others}
    made = change_state(vault, lambda state: add(state, "mine"))
    assert not store.changes
    assert read_state(vault).indexes.count("mine") == 1
    assert read_state(vault).number == 5 + others, "it is put once"
    if others <= KEPT:
        assert made.number == 5
        assert state_key(5) in numbers(store), "and stays in the row"


def test_a_number_that_another_took_and_that_was_tidied_away_meanwhile() -> None:
    store, vault = make_meanwhile(4)
    store.changes = {"before a put": 1, "lost": 3 * KEPT}
    made = change_state(vault, lambda state: add(state, "mine"))
    assert made == read_state(vault)
    assert made.number == 4 + 1 + 3 * KEPT + 1


def test_a_generation_that_goes_between_its_listing_and_its_reading() -> None:
    store, vault = make_meanwhile(4)
    store.changes = {"before a get": 3 * KEPT}
    assert read_state(vault).number == 4 + 3 * KEPT


def test_a_stray_object_goes_also_when_the_next_try_is_refused() -> None:
    store, vault = make_meanwhile(4)
    store.changes = {"before a put": 3 * KEPT}
    tries: list[int] = []

    def compute(state: State) -> State:
        tries.append(state.number)
        if len(tries) > 1:
            raise RefusedError("not any more")
        return add(state, "mine")

    with pytest.raises(RefusedError):
        change_state(vault, compute)
    assert tries == [4, 4 + 3 * KEPT]
    assert state_key(5) not in numbers(store)


def test_a_first_backup_that_is_made_while_the_state_is_read_is_no_lost_state() -> None:
    class First(MemoryStore):
        armed = False

        def list(self, prefix: str) -> Iterator[tuple[str, int]]:
            if self.armed and prefix == VOLUMES:
                self.armed = False
                begin_state(create_vault(self))
                self.put_if_absent(manifest_key(NAME, NAME), b"a manifest")
            return super().list(prefix)

    store = First()
    vault = create_vault(store)
    store.armed = True
    assert read_state(vault) == State(), "as it was when the reading began"
    assert read_state(vault).number == 1


def test_a_lost_answer_is_an_error_and_the_next_try_sees_what_was_done() -> None:
    store = MemoryStore()
    begin_state(create_vault(store))
    recorded = FaultyStore(store)
    change_state(create_vault(recorded), lambda state: add(state, "first"))
    at = next(number for number, call in enumerate(recorded.calls) if call == f"put {state_key(2)}")
    with pytest.raises(UnavailableError):
        change_state(create_vault(FaultyStore(store, "R" * at + "L")), lambda state: add(state, "mine"))
    before = read_state(create_vault(store))
    assert before.indexes == ("first", "mine")
    assert change_state(create_vault(store), lambda state: add(state, "mine")) == before


def test_a_damaged_generation_stops_everything_but_a_replacement(vault: Vault) -> None:
    change_state(vault, lambda state: add(state, "a"))
    assert isinstance(vault.store, MemoryStore)
    key = state_key(1)
    vault.store.objects[key] = vault.store.objects[key][:-1]
    with pytest.raises(DamagedError):
        read_state(vault)
    with pytest.raises(DamagedError):
        change_state(vault, lambda state: add(state, "b"))
    seen: list[State | None] = []

    def compute(state: State | None) -> State:
        seen.append(state)
        return State(indexes=("new",))

    made = replace_state(vault, compute)
    assert seen == [None]
    assert (made.number, made.indexes) == (2, ("new",))
    assert read_state(vault) == made


def test_a_store_that_lists_nothing_is_not_taken_for_a_new_repository() -> None:
    class Blind(MemoryStore):
        blind = False

        def list(self, prefix: str) -> Iterator[tuple[str, int]]:
            return iter(()) if self.blind else super().list(prefix)

    store = Blind()
    vault = create_vault(store)
    begin_state(vault)
    store.blind = True
    with pytest.raises(UnavailableError, match="lists nothing"):
        read_state(vault)
    with pytest.raises(UnavailableError, match="lists nothing"):
        change_state(vault, lambda state: add(state, "x"))


def test_backups_without_a_generation_are_a_state_that_is_lost(vault: Vault) -> None:
    vault.store.put_if_absent(manifest_key(new_uuid(), new_uuid()), b"a manifest")
    with pytest.raises(DamagedError, match="no generation"):
        read_state(vault)
    with pytest.raises(DamagedError, match="no generation"):
        begin_state(vault)


def test_newer_and_wrong_generations_are_refused() -> None:
    state = State(number=7)
    data = document.encode(state)
    assert document.parse(data, 7) == state
    with pytest.raises(DamagedError, match="number 7"):
        document.parse(data, 8)
    with pytest.raises(UnsupportedError, match="version 3"):
        document.parse(document.encode(msgspec.structs.replace(state, version=3)), 7)
    for wrong in (b"", b"x", data[:-1], data + b"x"):
        with pytest.raises(DamagedError):
            document.parse(wrong, 7)

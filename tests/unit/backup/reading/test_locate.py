"""Where a record is read: the map's place, where it was moved to, and on damage wherever else it is known."""

from __future__ import annotations

import pytest

from drystone.backup.format import index_object
from drystone.backup.format.codec import Codec
from drystone.backup.format.keys import index_key, pack_key
from drystone.backup.format.pack import LARGEST_PACK, Kind, PackBuilder, Place, make_record
from drystone.backup.format.slot import Hardness, KeyFile
from drystone.backup.reading.locate import Locator, read_pack_index
from drystone.backup.state.document import State
from drystone.backup.vault import Vault, create_vault
from drystone.backup.writing.index import make_index
from drystone.base.errors import DamagedError
from drystone.testing.stores import MemoryStore

A, B, C, D = (bytes([each]) * 16 for each in range(4))
PLAINS = [b"first " * 100, b"second" * 100, b"third"]


@pytest.fixture(params=["plain", "encrypted"])
def vault(request: pytest.FixtureRequest) -> Vault:
    credential = KeyFile(b"k" * 32) if request.param == "encrypted" else None
    return create_vault(MemoryStore(), credential, hardness=Hardness(64, 1, 1))


def test_a_pack_that_is_too_large_is_not_read(vault: Vault) -> None:
    """Its trailer may tell of an index of many gigabytes."""
    put(vault, A, PLAINS)
    with pytest.raises(DamagedError, match="bytes"):
        read_pack_index(vault, A, LARGEST_PACK + 1)


def put(vault: Vault, pack: bytes, plains: list[bytes]) -> list[Place]:
    builder = PackBuilder(pack, 1 << 20, vault.ring)
    places = [
        builder.add(
            make_record(Kind.CHUNK, Codec.PLAIN, vault.hasher.digest(each), each, len(each), encrypted=vault.encrypted)
        )
        for each in plains
    ]
    vault.store.put_if_absent(pack_key(pack), builder.finish())
    return places


def spoil(vault: Vault, place: Place) -> None:
    assert isinstance(vault.store, MemoryStore)
    data = bytearray(vault.store.objects[pack_key(place.pack)])
    data[place.offset + 50] ^= 1
    vault.store.objects[pack_key(place.pack)] = bytes(data)


def moved(**to: list[bytes]) -> State:
    names = {"a": A, "b": B, "c": C, "d": D}
    return State(moved={names[old].hex(): tuple(each.hex() for each in new) for old, new in to.items()})


def check(vault: Vault, state: State, places: list[Place]) -> None:
    locator = Locator(vault, state)
    for place, plain in zip(places, PLAINS, strict=True):
        assert bytes(locator.read(place, vault.hasher.digest(plain), Kind.CHUNK)) == plain


def test_the_maps_own_place(vault: Vault) -> None:
    places = put(vault, A, PLAINS)
    check(vault, State(), places)
    with pytest.raises(DamagedError):
        Locator(vault, State()).read(places[0], vault.hasher.digest(PLAINS[1]), Kind.CHUNK)
    with pytest.raises(DamagedError, match="missing"):
        Locator(vault, State()).read(Place(B, 32, 100), vault.hasher.digest(PLAINS[1]), Kind.CHUNK)


def test_moved_records_are_found_though_the_old_pack_is_gone(vault: Vault) -> None:
    places = put(vault, A, PLAINS)
    put(vault, B, [b"other", PLAINS[1]])
    put(vault, C, [PLAINS[2], PLAINS[0]])
    vault.store.delete(pack_key(A))
    check(vault, moved(a=[B, C]), places)


def test_moved_twice_and_in_a_ring(vault: Vault) -> None:
    places = put(vault, A, PLAINS)
    put(vault, D, PLAINS)
    vault.store.delete(pack_key(A))
    check(vault, moved(a=[B], b=[C, D], c=[A]), places)


def test_what_was_not_moved_is_in_the_old_pack(vault: Vault) -> None:
    places = put(vault, A, PLAINS)
    put(vault, B, PLAINS[:1])
    check(vault, moved(a=[B]), places)


def test_a_damaged_copy_leaves_the_old_place(vault: Vault) -> None:
    places = put(vault, A, PLAINS)
    copies = put(vault, B, PLAINS)
    spoil(vault, copies[1])
    check(vault, moved(a=[B]), places)
    vault.store.delete(pack_key(B))
    check(vault, moved(a=[B]), places)


def test_damage_is_mended_from_where_an_index_knows_the_chunk(vault: Vault) -> None:
    places = put(vault, A, PLAINS)
    others = put(vault, B, PLAINS)
    leaves = [vault.hasher.digest(each) for each in PLAINS]
    names = ("00" * 12, "11" * 12, "22" * 12)
    rows = {leaf: (place.pack, place.offset, place.length) for leaf, place in zip(leaves, others, strict=True)}
    old = {leaf: (place.pack, place.offset, place.length) for leaf, place in zip(leaves, places, strict=True)}
    for name, each in zip(names, (rows, old, {}), strict=True):
        vault.put(index_key(name), index_object.encode(make_index(each)))
    spoil(vault, places[0])
    with pytest.raises(DamagedError, match="checksum"):
        check(vault, State(), places)
    check(vault, State(indexes=names), places)
    check(vault, State(indexes=(names[0], "33" * 12)), places)
    vault.store.delete(pack_key(A))
    check(vault, State(indexes=names), places)
    spoil(vault, others[0])
    with pytest.raises(DamagedError, match="missing"):
        check(vault, State(indexes=names), places)


def test_a_packs_own_index(vault: Vault) -> None:
    places = put(vault, A, PLAINS)
    entries = read_pack_index(vault, A)
    assert [(int(row["offset"]), int(row["length"])) for row in entries] == [(p.offset, p.length) for p in places]
    with pytest.raises(DamagedError, match="missing"):
        read_pack_index(vault, B)
    vault.store.put_if_absent(pack_key(B), b"short")
    with pytest.raises(DamagedError, match="5 bytes"):
        read_pack_index(vault, B)


class Counting(MemoryStore):
    """Knows the keys that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get(self, key: str) -> bytes:
        self.read.append(key)
        return super().get(key)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        self.read.append(key)
        return super().get_range(key, offset, length)


def test_indexes_of_packs_are_kept_within_a_bound() -> None:
    store = Counting()
    vault = create_vault(store)
    name = vault.hasher.digest(PLAINS[0])
    olds, news = ([number.to_bytes(16, "big") for number in range(base, base + 100)] for base in (0, 1000))
    state = State(moved={old.hex(): (new.hex(),) for old, new in zip(olds, news, strict=True)})
    for new in news:
        put(vault, new, PLAINS[:1])
    locator = Locator(vault, state)
    for old in olds:
        locator.locate(Place(old, 32, 100), name, Kind.CHUNK)
    store.read.clear()
    locator.locate(Place(olds[-1], 32, 100), name, Kind.CHUNK)
    assert store.read == []
    locator.locate(Place(olds[0], 32, 100), name, Kind.CHUNK)
    assert set(store.read) == {pack_key(news[0])}


def test_an_index_of_the_repository_is_read_once() -> None:
    store = Counting()
    vault = create_vault(store)
    places = put(vault, A, PLAINS)
    others = put(vault, B, PLAINS)
    leaves = [vault.hasher.digest(each) for each in PLAINS]
    rows = {leaf: (place.pack, place.offset, place.length) for leaf, place in zip(leaves, others, strict=True)}
    key = index_key("00" * 12)
    vault.put(key, index_object.encode(make_index(rows)))
    for place in places:
        spoil(vault, place)
    store.read.clear()
    check(vault, State(indexes=("00" * 12,)), places)
    assert store.read.count(key) == 1

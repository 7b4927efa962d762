"""Records on their way from one pack to another."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from drystone.backup.collecting.index_objects import TOGETHER, IndexRewriter, Names
from drystone.backup.collecting.records import GAP, RANGE, copy_record, runs
from drystone.backup.format import index_object
from drystone.backup.format.codec import Codec
from drystone.backup.format.keys import index_key, new_writer
from drystone.backup.format.pack import INDEX, Kind, PackBuilder, make_record, parse_record
from drystone.backup.format.slot import Hardness, KeyFile
from drystone.backup.reading.locate import read_index
from drystone.backup.vault import Vault, create_vault
from drystone.backup.writing.index import make_index
from drystone.base.errors import DamagedError
from drystone.testing.stores import MemoryStore

A, B = (bytes([each]) * 16 for each in range(2))
PLAIN = b"plain bytes " * 20


@pytest.fixture(params=["plain", "encrypted"])
def vault(request: pytest.FixtureRequest) -> Vault:
    credential = KeyFile(b"k" * 32) if request.param == "encrypted" else None
    return create_vault(MemoryStore(), credential, hardness=Hardness(64, 1, 1))


def make(vault: Vault) -> tuple[memoryview, np.void]:
    """A record in pack A, and what the pack's index tells of it."""
    builder = PackBuilder(A, 1 << 20, vault.ring)
    name = vault.hasher.digest(PLAIN)
    place = builder.add(make_record(Kind.CHUNK, Codec.PLAIN, name, PLAIN, len(PLAIN), encrypted=vault.encrypted))
    data = memoryview(bytes(builder.finish()))[place.offset : place.offset + place.length]
    row = (name, place.offset, place.length, len(PLAIN), int(Kind.CHUNK), int(Codec.PLAIN), 0)
    return data, np.array([row], dtype=INDEX)[0]


def test_a_copy_is_the_same_in_another_pack(vault: Vault) -> None:
    data, row = make(vault)
    builder = PackBuilder(B, 1 << 20, vault.ring)
    place = builder.add(copy_record(vault, A, row, data))
    copied = memoryview(bytes(builder.finish()))[place.offset : place.offset + place.length]
    opener = vault.opener(place)
    assert bytes(parse_record(copied, Kind.CHUNK, bytes(row["digest"]), vault.hasher, opener)) == PLAIN
    if vault.encrypted:
        assert bytes(copied[48:]) != bytes(data[48:]), "encrypted for another place"


@pytest.mark.parametrize(("field", "value"), [("kind", 9), ("codec", 9), ("digest", b"x" * 32), ("plain", 1)])
def test_a_record_of_which_the_index_tells_otherwise_is_not_copied(
    vault: Vault, field: str, value: int | bytes
) -> None:
    data, row = make(vault)
    row[field] = value
    with pytest.raises(DamagedError):
        copy_record(vault, A, row, data)


def test_a_damaged_record_is_not_copied(vault: Vault) -> None:
    data, row = make(vault)
    wrong = bytearray(data)
    wrong[-1] ^= 1
    with pytest.raises(DamagedError):
        copy_record(vault, A, row, memoryview(bytes(wrong)))


def test_an_index_that_tells_of_too_many_packs_is_left_out() -> None:
    """Its front is read by itself, before anything of it is verified."""

    class Bounded(MemoryStore):
        def get_range(self, key: str, offset: int, length: int) -> bytes:
            assert length < 1 << 24, "what a damaged front told"
            return super().get_range(key, offset, length)

    store = Bounded()
    vault = create_vault(store)
    data = bytearray(index_object.encode(make_index({b"d" * 32: (A, 32, 100)})))
    data[16:20] = b"\xff" * 4
    name = new_writer().hex()
    store.put_if_absent(index_key(name), data)
    assert IndexRewriter(vault, Names([new_writer().hex()])).rewrite((name,), {A}, {name: len(data)}) == ()


@pytest.mark.parametrize(("count", "left"), [(15, 15), (16, 1)])
def test_many_small_indexes_become_one(count: int, left: int) -> None:
    vault = create_vault(MemoryStore())
    sizes = {}
    for number in range(count):
        name, digest = f"{number:024x}", number.to_bytes(32, "big")
        data = index_object.encode(make_index({digest: (A, 32 + 100 * number, 100)}))
        vault.put(index_key(name), data)
        sizes[name] = len(data)
    made = IndexRewriter(vault, Names([new_writer().hex()])).rewrite(tuple(sizes), set(), sizes)
    assert len(made) == left
    found = [index for name in made if (index := read_index(vault, name)) is not None]
    assert sum(len(each.digests) for each in found) == count


def test_runs_hold_every_record_once_and_are_bounded() -> None:
    rng = random.Random(9)
    rows, at = [], 32
    for _ in range(400):
        length = rng.choice([60, 5000, 70_000, 600_000])
        rows.append((b"d" * 32, at, length, 1, int(Kind.CHUNK), int(Codec.PLAIN), 0))
        at += length + rng.choice([0, 0, 0, GAP, GAP + 1, 9 * GAP])
    rows.append((b"d" * 32, at, RANGE + 1, 1, int(Kind.CHUNK), int(Codec.PLAIN), 0))
    shuffled = rng.sample(rows, len(rows))
    found = list(runs(A, np.array(shuffled, dtype=INDEX)))
    assert [int(row["offset"]) for run in found for row in run.rows] == [row[1] for row in rows]
    for run in found:
        assert run.end - run.begin <= RANGE or len(run.rows) == 1
        ends = run.rows["offset"].astype(int) + run.rows["length"]
        assert (run.rows["offset"][1:] - ends[:-1] <= GAP).all()
        assert (run.begin, run.end) == (int(run.rows["offset"][0]), int(ends[-1]))
    for left, right in itertools.pairwise(found):
        size = int(right.rows["offset"][0]) + int(right.rows["length"][0]) - left.begin
        assert right.begin - left.end > GAP or size > RANGE, "what could be read at once is"


def test_indexes_are_put_together_up_to_a_bound() -> None:
    vault = create_vault(MemoryStore())
    sizes = {}
    for number in range(3):
        rows = {(number << 20 | each).to_bytes(32, "big"): (A, 32 + each, 100) for each in range(TOGETHER // 2)}
        rows[bytes([255, number]) * 16] = (B, 32, 100)
        name = f"{number:024x}"
        data = index_object.encode(make_index(rows))
        vault.put(index_key(name), data)
        sizes[name] = len(data)
    names = Names(new_writer().hex() for _ in range(3))
    made = IndexRewriter(vault, names).rewrite(tuple(sizes), {B}, sizes)
    found = [index for name in made if (index := read_index(vault, name)) is not None]
    assert [len(each.digests) for each in found] == [TOGETHER, TOGETHER // 2]
    assert {pack for each in found for pack in each.packs} == {A}

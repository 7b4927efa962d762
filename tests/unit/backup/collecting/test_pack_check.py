"""Packs read whole: what the index at their end tells must be all that is in them, and true."""

from __future__ import annotations

import pytest

from drystone.backup.collecting.pack_check import Checked, check_packs
from drystone.backup.format.codec import Codec
from drystone.backup.format.keys import pack_key
from drystone.backup.format.pack import Kind, PackBuilder, make_record
from drystone.backup.format.slot import Hardness, KeyFile
from drystone.backup.pipeline import silent
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault, create_vault
from drystone.testing.stores import MemoryStore

PACK = bytes(16)
PLAINS = [b"first " * 100, b"second " * 100]
PLAIN_LENGTH, KIND = 3, 4
"""Columns of an index."""


@pytest.fixture(params=["plain", "encrypted"])
def vault(request: pytest.FixtureRequest) -> Vault:
    credential = KeyFile(b"k" * 32) if request.param == "encrypted" else None
    return create_vault(MemoryStore(), credential, hardness=Hardness(64, 1, 1))


def build(vault: Vault) -> PackBuilder:
    builder = PackBuilder(PACK, 1 << 20, vault.ring)
    for each in PLAINS:
        name = vault.hasher.digest(each)
        builder.add(make_record(Kind.CHUNK, Codec.PLAIN, name, each, len(each), encrypted=vault.encrypted))
    return builder


def check(vault: Vault, builder: PackBuilder) -> Checked:
    data = builder.finish()
    vault.store.put_if_absent(pack_key(PACK), data)
    return check_packs(vault, {PACK: len(data)}, tuning=Tuning(threads=1), progress=silent)


def test_a_whole_pack_is_whole(vault: Vault) -> None:
    checked = check(vault, build(vault))
    assert (checked.packs, checked.records, checked.bad_packs, checked.bad_records) == (1, 2, {}, [])


@pytest.mark.parametrize("left_out", [0, 1])
def test_a_record_that_the_index_does_not_tell_of(vault: Vault, left_out: int) -> None:
    builder = build(vault)
    del builder._index[left_out]
    assert "does not tell of all" in check(vault, builder).bad_packs[PACK]


@pytest.mark.parametrize(("column", "value", "words"), [(PLAIN_LENGTH, 1, "tells 1"), (KIND, 9, "nobody knows")])
def test_a_record_of_which_the_index_tells_otherwise(vault: Vault, column: int, value: int, words: str) -> None:
    builder = build(vault)
    row: list[object] = list(builder._index[1])
    row[column] = value
    builder._index[1] = tuple(row)  # type: ignore[assignment]
    checked = check(vault, builder)
    assert checked.bad_packs == {}
    (bad,) = checked.bad_records
    assert words in bad.message
    assert bad.digest == vault.hasher.digest(PLAINS[1])

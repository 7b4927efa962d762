"""Records that are known as damaged are stored again by the next backup that reads their chunks."""

from __future__ import annotations

import msgspec
import pytest
from blake3 import blake3

from drystone.backup.format.keys import PACKS, parse_pack_key
from drystone.backup.format.pack import HEADER
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.state.generations import change_state
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError
from drystone.testing.repositories import read_back
from drystone.testing.sources import MemorySource
from drystone.testing.stores import MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=3 * CHUNK, threads=2)
VOLUME = "11111111-1111-4111-8111-111111111111"
IMAGE = blake3(b"image").digest(9 * CHUNK)


@pytest.mark.parametrize(
    ("how", "what"), [("compared", "chunk"), ("relative", "chunk"), ("alone", "chunk"), ("alone", "segment")]
)
def test_what_is_known_as_damaged_is_stored_again(how: str, what: str) -> None:
    store = MemoryStore()
    repository = create_repository(store, tuning=TUNING)
    base = repository.create(MemorySource(IMAGE), BackupRequest(VOLUME, "s"))
    kind = 1 if what == "chunk" else 3
    key = next(key for key, _ in sorted(store.list(PACKS)) if store.objects[key][HEADER + 12] == kind)
    data = bytearray(store.objects[key])
    data[HEADER + 100] ^= 1
    store.objects[key] = bytes(data)
    with pytest.raises(DamagedError):
        repository.verify(VOLUME, base.backup)
    pack = parse_pack_key(key)
    assert pack is not None
    damaged = {pack.hex(): (HEADER,)}
    change_state(repository.vault, lambda state: msgspec.structs.replace(state, damaged=damaged))
    changed = [(0, len(IMAGE))] if how == "relative" else None
    request = BackupRequest(VOLUME, "s", "" if how == "alone" else base.backup)
    made = repository.create(MemorySource(IMAGE, changed), request)
    assert read_back(repository.vault, VOLUME, made.backup, TUNING) == IMAGE
    repository.verify(VOLUME, made.backup)
    if what == "chunk":
        assert read_back(repository.vault, VOLUME, base.backup, TUNING) == IMAGE, "and the older one has it back"
    assert made.stored < len(IMAGE) // 2

"""Records that are known as damaged are stored again by the next backup that reads their chunks."""

from __future__ import annotations

import msgspec
import pytest
from blake3 import blake3

from drystone.backup.format.keys import PACKS, parse_pack_key
from drystone.backup.format.pack import HEADER, Kind
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.segments import read_segment
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.state.generations import change_state, read_state
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError
from drystone.testing.repositories import read_back, sweep
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
    sweep(repository)
    assert read_back(repository.vault, VOLUME, made.backup, TUNING) == IMAGE, "what it relies on is what it names"


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("kind", [Kind.CHUNK, Kind.SEGMENT])
def test_nothing_new_refers_to_a_place_that_is_known_as_damaged(kind: Kind, *, relative: bool) -> None:
    """Also where the bytes there are whole by now."""
    store = MemoryStore()
    repository = create_repository(store, tuning=TUNING)
    base = repository.create(MemorySource(IMAGE), BackupRequest(VOLUME, "s"))
    key = next(key for key, _ in sorted(store.list(PACKS)) if store.objects[key][HEADER + 12] == kind)
    pack = parse_pack_key(key)
    assert pack is not None
    change_state(repository.vault, lambda state: msgspec.structs.replace(state, damaged={pack.hex(): (HEADER,)}))
    source = MemorySource(IMAGE, [(0, len(IMAGE))] if relative else None)
    made = repository.create(source, BackupRequest(VOLUME, "s", base.backup))
    locator = Locator(repository.vault, read_state(repository.vault))
    manifest = read_entry(locator, VOLUME, made.backup)
    places = set()
    for number in manifest.segments["number"].tolist():
        entry, segment = manifest.find_segment(number), read_segment(locator, manifest, number)
        assert entry is not None
        assert segment is not None
        places |= {(entry[1].pack, entry[1].offset)} | {(each[1], each[2]) for each in segment.stored()}
    assert len(places) > 9
    assert (pack, HEADER) not in places

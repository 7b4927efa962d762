"""Ranges that a restore fetches: neighbours by one request, and none longer than memory allows for."""

from __future__ import annotations

import random
from pathlib import Path

from drystone.backup.format.keys import PACKS
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.tuning import FETCH, Tuning
from drystone.testing.sources import MemorySource
from drystone.testing.stores import MemoryStore

CHUNK = 65536
VOLUME = "11111111-1111-4111-8111-111111111111"


class Ranges(MemoryStore):
    """Knows what was read of packs."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        if key.startswith(PACKS):
            self.lengths.append(length)
        return super().get_range(key, offset, length)


def test_neighbours_come_together_up_to_a_bound(tmp_path: Path) -> None:
    image = random.Random(8).randbytes(7 << 20)
    store = Ranges()
    repository = create_repository(store, tuning=Tuning(threads=1, chunk_size=CHUNK))
    made = repository.create(MemorySource(image), BackupRequest(VOLUME, "x"))
    store.lengths.clear()
    repository.restore(VOLUME, made.backup, str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == image
    assert len(store.lengths) < 10
    assert max(store.lengths) < FETCH + 2 * CHUNK

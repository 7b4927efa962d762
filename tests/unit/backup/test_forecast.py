"""What is forecast is held against what a backup then does, with bytes that cannot be compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.backup.forecast import Forecast, forecast
from drystone.backup.format.manifest import Shape
from drystone.backup.format.slot import Credential, Passphrase
from drystone.backup.ranges import Ranges
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.tuning import Tuning
from drystone.store.opening import open_store

VOLUME = "11111111-2222-3333-4444-555555555555"
CHUNK = 1 << 20
SIZE = 300 * CHUNK - 4096


class Noise:
    """An image of which some ranges hold noise, another one for each `seed`; the rest is zeros, or as it was."""

    def __init__(self, seed: int, ranges: list[tuple[int, int]], *, relative: bool) -> None:
        self.size = SIZE
        self.relative = relative
        self._seed = seed
        self._ranges: Ranges = np.array(ranges, dtype=np.uint64).reshape(-1, 2)
        self._looks: list[int] = []

    def extents(self) -> Ranges:
        return self._ranges

    @property
    def looked(self) -> int:
        """Bytes that were read, by all threads."""
        return sum(self._looks)

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        self._looks.append(len(buffer))
        buffer[:] = 0
        for begin, length in self._ranges.tolist():
            low, high = max(begin, offset), min(begin + length, offset + len(buffer))
            if low < high:
                noise = np.random.default_rng([self._seed, low]).integers(0, 256, high - low, dtype=np.uint8)
                buffer[low - offset : high - offset] = noise


@pytest.mark.parametrize("credential", [None, Passphrase(b"secret")], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    "ranges",
    [
        [],
        [(0, 4096)],
        [(CHUNK - 4096, 8192), (5 * CHUNK, CHUNK), (SIZE - 4096, 4096)],
        [(each * 7 * CHUNK + 4096, 64 << 10) for each in range(40)],
    ],
    ids=["nothing", "a block", "edges", "scattered"],
)
def test_what_is_forecast_is_what_is_read_and_no_less_than_is_written(
    tmp_path: Path, ranges: list[tuple[int, int]], credential: Credential | None
) -> None:
    repository = create_repository(open_store(f"vfs://{tmp_path}"), credential)
    source = Noise(1, ranges, relative=False)
    shape = Shape(SIZE, Tuning().chunk_size, Tuning().segment_slots)
    assert shape.chunk_size == CHUNK
    told = forecast(source.extents(), shape, relative=False)
    made = repository.create(source, BackupRequest(volume=VOLUME, source_name="v"))
    assert (told.read, told.sampled) == (made.read, 0)
    assert told.read == source.looked
    assert made.stored <= told.written
    assert told.written <= made.read * 1.01 + (256 << 10)


def test_a_delta_proves_the_rest_by_a_sample(tmp_path: Path) -> None:
    repository = create_repository(open_store(f"vfs://{tmp_path}"))
    base = repository.create(Noise(1, [], relative=False), BackupRequest(volume=VOLUME, source_name="v"))
    source = Noise(2, [(9 * CHUNK, 3 * CHUNK)], relative=True)
    shape = Shape(base.size, base.chunk_size, base.segment_slots)
    told = forecast(source.extents(), shape, relative=True)
    made = repository.create(source, BackupRequest(volume=VOLUME, source_name="v", base=base.backup))
    assert (told.read, told.sampled) == (3 * CHUNK, 32 * CHUNK)
    assert made.read == told.read
    assert told.read < source.looked <= told.read + told.sampled
    assert made.stored <= told.written


def test_what_lies_beyond_the_end_is_not_counted() -> None:
    ranges: Ranges = np.array([[0, 8 * CHUNK]], dtype=np.uint64)
    assert forecast(ranges, Shape(CHUNK + 512, CHUNK, 256), relative=False).read == CHUNK + 512
    nothing = forecast(ranges[:0], Shape(0, CHUNK, 256), relative=False)
    assert (nothing.read, nothing.sampled) == (Forecast(0, 0, 0).read, 0)

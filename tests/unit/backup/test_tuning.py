"""Limits: what is asked for bounds what is held."""

from __future__ import annotations

import pytest

from drystone.backup.tuning import FETCH, Tuning
from drystone.base.errors import UsageError


@pytest.mark.parametrize("memory", [48 << 20, 64 << 20, 256 << 20, 4 << 30])
def test_buffers_packs_and_index_fit(memory: int) -> None:
    tuning = Tuning(memory=memory, threads=8)
    held = (
        tuning.batches_of(1 << 20) * 2 * tuning.batch_size
        + 4 * tuning.pack_size
        + tuning.index_entries * 104
        + tuning.index_spill * 640
    )
    assert held <= memory
    in_parts = held - 4 * tuning.pack_size + 4 * tuning.piece_size
    assert in_parts <= memory
    assert tuning.piece_size % 4096 == 0, "so that it can be written directly"
    assert tuning.fetches * 4 * FETCH <= memory
    assert tuning.batches_of(1 << 20) >= 2
    large = 4 << 20
    assert tuning.batches_of(large) * 2 * large <= max(memory - tuning.memory // 8 - 4 * tuning.pack_size, 4 * large)


def test_too_little_is_refused() -> None:
    with pytest.raises(UsageError):
        Tuning(memory=1 << 20)

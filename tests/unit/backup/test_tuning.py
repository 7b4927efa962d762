"""Limits: what is asked for bounds what is held."""

from __future__ import annotations

import pytest

from drystone.backup.tuning import Tuning
from drystone.base.errors import UsageError


@pytest.mark.parametrize("memory", [48 << 20, 64 << 20, 256 << 20, 4 << 30])
def test_buffers_packs_and_index_fit(memory: int) -> None:
    tuning = Tuning(memory=memory, threads=8)
    held = (
        tuning.batches * 2 * tuning.batch_size
        + 4 * tuning.pack_size
        + tuning.index_entries * 104
        + tuning.index_spill * 640
    )
    assert held <= memory
    assert tuning.batches >= 2


def test_too_little_is_refused() -> None:
    with pytest.raises(UsageError):
        Tuning(memory=1 << 20)

"""Sets of places against plain sets."""

from __future__ import annotations

import numpy as np

from drystone.backup.collecting.places import PlaceSet

A, B, C = (bytes([each]) * 16 for each in (9, 3, 5))


def test_places_are_counted_once() -> None:
    found = PlaceSet()
    found.add(A, np.array([100, 32, 100], dtype=np.uint32), np.array([50, 60, 50], dtype=np.uint32))
    found.add(B, np.array([32], dtype=np.uint32), np.array([70], dtype=np.uint32))
    found.add(A, np.array([32, 4294967295], dtype=np.uint32), np.array([60, 1], dtype=np.uint32))
    offsets, lengths = found.of(A)
    assert offsets.tolist() == [32, 100, 4294967295]
    assert lengths.tolist() == [60, 50, 1]
    assert found.sums(A) == (3, 111)
    assert found.sums(B) == (1, 70)
    assert found.sums(C) == (0, 0)
    assert found.packs() == {A, B}


def test_many_places_are_those_of_a_plain_set() -> None:
    rng = np.random.default_rng(1)
    found = PlaceSet(pending=100)
    plain: dict[bytes, set[int]] = {A: set(), B: set(), C: set()}
    for _ in range(60):
        pack = (A, B, C)[int(rng.integers(3))]
        offsets = rng.integers(0, 2000, 30).astype(np.uint32)
        found.add(pack, offsets, offsets + 1)
        plain[pack] |= set(offsets.tolist())
    for pack, wanted in plain.items():
        offsets, lengths = found.of(pack)
        assert offsets.tolist() == sorted(wanted)
        assert (lengths == offsets + 1).all()

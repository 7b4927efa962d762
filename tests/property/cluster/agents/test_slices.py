"""Which extents a leg gets: as many as it asked for, that are nobody's, and always when there are enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drystone.base.errors import ExhaustedError
from drystone.cluster.agents.slices import Slice, SliceTable, free_pieces, take

FIRST, EXTENTS = 4, 40


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=40))
def test_no_extent_is_two_legs(steps: list[tuple[bool, int]]) -> None:
    table = SliceTable()
    for number, (is_new, size) in enumerate(steps):
        if not is_new:
            table = SliceTable(table.slices[1:])
            continue
        used = sum(each.extents for each in table.slices)
        try:
            pieces = take(free_pieces(table, EXTENTS), size)
        except ExhaustedError:
            assert used + size > EXTENTS - FIRST
            continue
        assert sum(piece.extents for piece in pieces) == size
        table = SliceTable((*table.slices, Slice(f"leg-{number}", "dlv", pieces)))
        taken = [
            extent
            for each in table.slices
            for piece in each.pieces
            for extent in range(piece.start, piece.start + piece.extents)
        ]
        assert len(taken) == len(set(taken)) == used + size
        assert min(taken) >= FIRST
        assert max(taken) < EXTENTS

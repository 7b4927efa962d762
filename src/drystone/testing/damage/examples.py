"""Sound images to do damage to: small, with every part that metadata can have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from drystone.testing.damage.table import Target
from drystone.testing.era_metadata import Held, write_era_metadata
from drystone.testing.thin_metadata import write_thin_metadata

MANY_BLOCKS = 1018 * 253
"""Data blocks of an era device whose array has more blocks than one leaf of its tree can point to."""


def make_thin_example() -> bytes:
    """Thin metadata of 7 devices: two snapshots and one of those, an empty one, small ones; counts above 2 in both
    space maps, a reserved metadata snapshot, free blocks of both kinds. Some 90 blocks.
    """
    first = {block: block for block in range(2000)}
    devices = {
        1: first,
        2: first | {5: 3000},
        3: {},
        4: first | {6: 3001, 1900: 3002},
        7: {5: 9000, 6: 9001},
        8: first | {7: 3003},
        9: first,
    }
    details = {1: (0, 0, 3), 2: (1, 1, 1), 4: (2, 2, 2), 8: (3, 3, 3)}
    return write_thin_metadata(
        devices,
        held={1: first, 3: {4: 4500}},
        details=details,
        fewest=84,
        nr_data_blocks=20_000,
        time=3,
        transaction_id=12,
    )


def make_era_example(nr_blocks: int = 3000) -> bytes:
    """Era metadata with archived writesets, a current one and a metadata snapshot that shares blocks with it."""
    eras = [block % 3 for block in range(nr_blocks)]
    return write_era_metadata(
        eras,
        {3: {5, 77}, 4: {6, 7}},
        current={5, 9},
        current_era=5,
        held=Held([0, *eras[1:]], {3: {5, 77}}, 4),
    )


EXAMPLES: dict[Target, list[Callable[[], bytes]]] = {
    "thin": [make_thin_example],
    "era": [make_era_example, partial(make_era_example, MANY_BLOCKS)],
}
"""Whose metadata -> what makes its images. The first will do for all damage but that to keys of a parent's range."""

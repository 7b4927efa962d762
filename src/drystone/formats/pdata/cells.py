"""A device in cells for a picture: neighbouring blocks that are drawn as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cut_cells(nr_blocks: int, cells: int) -> NDArray[np.uint64]:
    """Edges of at most `cells` cells of at least one block each: uint64, one more than cells, from 0 to nr_blocks."""
    count = max(min(cells, nr_blocks), 0)
    if not count:
        return np.zeros(1, dtype=np.uint64)
    return np.array([nr_blocks * place // count for place in range(count + 1)], dtype=np.uint64)

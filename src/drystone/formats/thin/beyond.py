"""Mappings that lead beyond the end of the data device, device by device: for a check that has met some."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np

from drystone.base.errors import DamagedError
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import descend, flatten
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.extents import Ranges, join_ranges, merge_blocks
from drystone.formats.thin.findings import Affected, Finding, Severity
from drystone.formats.thin.losses import take_ranges
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks

MOST_BEYOND = 1000
"""Runs of mappings beyond the data device that are told one by one."""

MOST_LOOKED_AT = 100_000_000
"""Mappings that are looked at a second time to tell which of them lead beyond the data device."""


def find_beyond(survey: Survey, roots: dict[int, int], data_blocks: int) -> Iterable[Finding]:
    """A finding for each run of mappings to data blocks from `data_blocks` on: a second walk, by device. Devices of one
    root are walked once.

    :param survey: one that has visited these trees. :param roots: device id -> root of its mappings.
    """
    runs = looked = 0
    reading = Survey(survey.reader)
    known: dict[int, list[tuple[int, int]]] = {}
    for dev_id, root in roots.items():
        if root not in known and looked > MOST_LOOKED_AT:
            what = f"mappings of device {dev_id} and later ones beyond the data device"
            yield Finding(Severity.NOTE, "unchecked", None, what, "told one by one", "not told")
            break
        if root not in known:
            known[root], more, _ = list_beyond(reading, root, data_blocks, MOST_BEYOND)
            runs += more
            looked += survey.count_entries(root)
        for low, length in known[root]:
            runs += 1
            if runs <= MOST_BEYOND:
                yield _tell_beyond(survey.reader, data_blocks, dev_id, root, low, low + length - 1)
    if runs > MOST_BEYOND:
        what = f"data blocks of {runs - MOST_BEYOND} more runs of mappings"
        yield Finding(Severity.FATAL, "beyond-data-device", None, what, f"below {data_blocks}", "beyond")


def _tell_beyond(reader: BlockReader, data_blocks: int, dev_id: int, root: int, low: int, high: int) -> Finding:
    """The finding for a run of blocks of a device: `low` to `high`, both included."""
    leaf = found = None
    with contextlib.suppress(DamagedError):
        edge, node = descend(reader, MAPPINGS, root, low)[-1]
        leaf = int(edge.blocks[0])
        keys, values = flatten(node)
        found = int(get_data_blocks(values[keys == np.uint64(low)])[0])
    return Finding(
        Severity.FATAL,
        "beyond-data-device",
        leaf,
        f"data block of device {dev_id} block {low}",
        f"below {data_blocks}",
        "beyond" if found is None else found,
        (Affected(dev_id, low, high),),
    )


def list_beyond(reading: Survey, root: int, data_blocks: int, most: int) -> tuple[list[tuple[int, int]], int, int]:
    """The first `most` ranges of blocks, (begin, length) each, that the tree at `root` maps to data blocks from
    `data_blocks` on; how many more ranges there are; and how many blocks in all of them. Reads the whole tree.
    """
    blocks = 0

    def find() -> Iterator[Ranges]:
        nonlocal blocks
        for keys, values in reading.iter_entries(MAPPINGS, root):
            beyond = keys[get_data_blocks(values) >= np.uint64(data_blocks)]
            blocks += len(beyond)
            yield merge_blocks(beyond)

    return *take_ranges(join_ranges(find()), most), blocks

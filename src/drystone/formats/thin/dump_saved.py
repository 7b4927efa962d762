"""What can be saved of damaged metadata, as the parts of a dump."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.thin.dump import Choice, DeviceEnd, Part, describe_pool, dump
from drystone.formats.thin.extents import iter_runs
from drystone.formats.thin.lines import Lines, Row
from drystone.formats.thin.salvage import Salvage, iter_saved


def dump_saved(reader: BlockReader, salvage: Salvage, choice: Choice) -> Iterator[Part]:
    """The parts of a dump of `salvage`. Metadata without damage is dumped as ever; else nothing is told as shared.

    Overrides are those that the salvage was found with, and not those of `choice`.
    """
    told = replace(choice, transaction_id=None, data_block_size=None, nr_data_blocks=None)
    if not salvage.missing and not salvage.notes:
        yield from dump(reader, salvage.superblock, told)
        return
    yield describe_pool(salvage.superblock, told)
    for dev_id, details in salvage.devices.items():
        if choice.devices is not None and dev_id not in choice.devices:
            continue
        yield details
        if choice.mappings:
            for runs in iter_runs(iter_saved(reader, salvage, dev_id)):
                yield Lines(np.full(len(runs), Row.MAPPING, dtype=np.uint8), runs, _NO_NAMES)
        yield DeviceEnd()


_NO_NAMES = np.empty(0, dtype=np.uint64)

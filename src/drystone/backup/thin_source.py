"""A thin snapshot as the source of a backup: what is mapped, or what differs from an older snapshot.

The mappings are read from a metadata snapshot that the pool reserves (`drystone.dvm.metadata_snapshot` holds one), so
they do not change under the reader. The data is read from the activated thin device. Blocks that are not mapped are not
read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from drystone.backup.format.digest import checksum
from drystone.backup.ranges import Ranges, clip
from drystone.backup.source import DeviceReader
from drystone.backup.thin_state import was_written
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.thin.delta import iter_changed
from drystone.formats.thin.devices import find_mapping_root, read_devices
from drystone.formats.thin.extents import join_ranges, merge_blocks, to_bytes
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import read_superblock
from drystone.kernel.blockdev import open_device


@dataclass(frozen=True, slots=True)
class ThinMap:
    """Where to find the mappings.

    :ivar metadata: path of the pool's metadata device.
    :ivar held_root: block number of the reserved metadata snapshot.
    :ivar device: thin device id of the snapshot to back up.
    :ivar base: thin device id of the snapshot that the base backup holds; None reads all that is mapped. Nobody may
        have written to that snapshot since: the mappings do not show it.
    """

    metadata: str
    held_root: int
    device: int
    base: int | None = None


class ThinSource(DeviceReader):
    """A thin snapshot: mappings as `thin_map` says, data from the activated thin device at `path`.

    Entered by `with`: the mappings are read then, so the metadata snapshot may be released as soon as it is entered.
    Holes are taken for zeros: a thin device with an external origin, whose holes are the origin's bytes, is no source.

    :raises NotFoundError: no such device, path or thin id. :raises DamagedError: the metadata is wrong.
    """

    def __init__(self, path: str, thin_map: ThinMap) -> None:
        super().__init__(path)
        self._map = thin_map
        self._identity = ""
        self._extents: Ranges = np.empty((0, 2), dtype=np.uint64)

    def __enter__(self) -> Self:
        with open_device(self._map.metadata) as metadata:
            ranges = read_extents(metadata, self._map)
            self._identity = _identify(metadata, self._map)
        super().__enter__()
        self._extents = clip(ranges, self.size)
        return self

    @property
    def identity(self) -> str:
        """The snapshot's facts in its pool's metadata."""
        return self._identity

    @property
    def relative(self) -> bool:
        """Whether only changes since another snapshot are told."""
        return self._map.base is not None

    def extents(self) -> Ranges:
        """What is mapped, or what differs from the base: also blocks that were discarded since, which read as zeros."""
        return self._extents


def read_extents(reader: BlockReader, thin_map: ThinMap) -> Ranges:
    """The byte ranges of the thin device that must be read, in whole pool blocks.

    :raises NotFoundError: no such thin id. :raises DamagedError: the metadata is wrong.
    """
    superblock = read_superblock(reader, location=thin_map.held_root)
    if thin_map.base is None:
        mapped = iter_mappings(reader, superblock, thin_map.device)
        batches = join_ranges(merge_blocks(batch.virtual) for batch in mapped)
    else:
        batches = iter_changed(reader, superblock, thin_map.base, thin_map.device)
    ranges = list(batches)
    blocks = np.concatenate(ranges) if ranges else np.empty((0, 2), dtype=np.uint64)
    return to_bytes(blocks, superblock.data_block_bytes)


def _identify(reader: BlockReader, thin_map: ThinMap) -> str:
    """Pool, device, when it was made and snapshotted, and the root of its mappings.

    A first write to a block of a snapshot maps it anew, and so makes another root; later ones leave no trace. A device
    that is read whole and was written to has no identity, therefore. Of changes not all mappings are looked at: a
    snapshot that was written to after it was taken must not be written to between two runs.
    """
    superblock = read_superblock(reader, location=thin_map.held_root)
    details = read_devices(reader, superblock)[thin_map.device]
    if thin_map.base is None and was_written(reader, superblock, details):
        return ""
    root = np.array([find_mapping_root(reader, superblock, thin_map.device)], dtype=np.uint64)
    facts = (
        thin_map.metadata,
        superblock.uuid.hex(),
        details.dev_id,
        details.transaction_id,
        details.creation_time,
        details.snapshotted_time,
        details.mapped_blocks,
        checksum(reader.read_blocks(root).tobytes()).hex(),
        thin_map.base,
    )
    return f"thin:{':'.join(map(str, facts))}"

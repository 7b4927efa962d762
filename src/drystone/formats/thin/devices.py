"""The devices of a pool: their details, and where their mappings are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drystone.base.errors import NotFoundError
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import TreeKind, find_value, iter_entries
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.thin import layout
from drystone.formats.thin.superblock import Superblock

DETAILS = TreeKind("device details tree", np.dtype(layout.DETAILS))
TOP = TreeKind("top level of the mapping tree", np.dtype("<u8"))
"""Device id -> root of that device's own tree of mappings."""


@dataclass(frozen=True, slots=True)
class DeviceDetails:
    """What the pool keeps of one thin device."""

    dev_id: int
    mapped_blocks: int
    """Data blocks mapped, its own and shared ones."""
    transaction_id: int
    """The pool's transaction id when it was made."""
    creation_time: int
    """In the superblock's `time`, which counts snapshots."""
    snapshotted_time: int
    """Of its last snapshot, or of its making."""


def read_devices(reader: BlockReader, superblock: Superblock) -> dict[int, DeviceDetails]:
    """Device id -> details, in ascending order of ids.

    :raises DamagedError: a damaged node, or an id of more than 24 bits.
    """
    devices: dict[int, DeviceDetails] = {}
    for ids, values in iter_entries(reader, DETAILS, superblock.device_details_root):
        if int(ids[-1]) > layout.LARGEST_DEVICE_ID:
            raise describe_damage(
                superblock.device_details_root,
                "device id in the device details tree",
                expected=f"at most {layout.LARGEST_DEVICE_ID}",
                found=int(ids[-1]),
            )
        for dev_id, value in zip(ids.tolist(), values.tolist(), strict=True):
            devices[dev_id] = DeviceDetails(dev_id, *value)
    return devices


def read_mapping_roots(reader: BlockReader, superblock: Superblock) -> dict[int, int]:
    """Device id -> metadata block of the root of its mappings, in ascending order of ids.

    :raises DamagedError: a damaged node.
    """
    roots: dict[int, int] = {}
    for ids, values in iter_entries(reader, TOP, superblock.data_mapping_root):
        roots.update(zip(ids.tolist(), values.tolist(), strict=True))
    return roots


def find_mapping_root(reader: BlockReader, superblock: Superblock, dev_id: int) -> int:
    """Metadata block of the root of one device's mappings; reads one way down, not the whole tree.

    :raises NotFoundError: there is no such device. :raises DamagedError: a damaged node on the way.
    """
    possible = 0 <= dev_id <= layout.LARGEST_DEVICE_ID
    root = find_value(reader, TOP, superblock.data_mapping_root, dev_id) if possible else None
    if root is None:
        raise NotFoundError(f"there is no thin device {dev_id} in this metadata", dev_id=dev_id)
    return int(root)

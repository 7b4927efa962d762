"""The devices of a pool: their details, and where their mappings are. Imports no numpy."""

from __future__ import annotations

from dataclasses import dataclass

from drystone.base.errors import NotFoundError
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.nodes import PlainTree, find_value, iter_nodes
from drystone.formats.thin import layout
from drystone.formats.thin.superblock import Superblock

DETAILS_NAME = "device details tree"
TOP_NAME = "top level of the mapping tree"
_DETAILS = PlainTree(DETAILS_NAME, layout.DETAILS_VALUE)
_TOP = PlainTree(TOP_NAME)
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
    for height, node in iter_nodes(reader, _DETAILS, superblock.device_details_root):
        if height or not node.keys:
            continue
        if node.keys[-1] > layout.LARGEST_DEVICE_ID:
            raise describe_damage(
                superblock.device_details_root,
                "device id in the device details tree",
                expected=f"at most {layout.LARGEST_DEVICE_ID}",
                found=node.keys[-1],
            )
        for dev_id, value in zip(node.keys, node.values, strict=True):
            devices[dev_id] = DeviceDetails(dev_id, *value)
    return devices


def read_mapping_roots(reader: BlockReader, superblock: Superblock) -> dict[int, int]:
    """Device id -> metadata block of the root of its mappings, in ascending order of ids.

    :raises DamagedError: a damaged node.
    """
    roots: dict[int, int] = {}
    for height, node in iter_nodes(reader, _TOP, superblock.data_mapping_root):
        if not height:
            roots.update((dev_id, root) for dev_id, (root,) in zip(node.keys, node.values, strict=True))
    return roots


def find_mapping_root(reader: BlockReader, superblock: Superblock, dev_id: int) -> int:
    """Metadata block of the root of one device's mappings; reads one way down, not the whole tree.

    :raises NotFoundError: there is no such device. :raises DamagedError: a damaged node on the way.
    """
    possible = 0 <= dev_id <= layout.LARGEST_DEVICE_ID
    root = find_value(reader, _TOP, superblock.data_mapping_root, dev_id) if possible else None
    if root is None:
        raise NotFoundError(f"there is no thin device {dev_id} in this metadata", dev_id=dev_id)
    return root[0]


def check_same_devices(superblock: Superblock, details: dict[int, DeviceDetails], roots: dict[int, int]) -> None:
    """:raises DamagedError: a device has details and no mappings, or the other way round."""
    odd = sorted(details.keys() ^ roots.keys())
    if odd:
        has, lacks = ("details", "mapping tree") if odd[0] in details else ("mapping tree", "details")
        raise describe_damage(
            superblock.data_mapping_root, f"device {odd[0]}", expected=f"with a {lacks}", found=f"only in the {has}"
        )

"""The devices of a pool with what each maps: alone, shared with others, and up to where.

What asks for no mappings imports no numpy; see exclusive.py for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.thin.devices import DeviceDetails, check_same_devices, read_devices, read_mapping_roots
from drystone.formats.thin.superblock import Superblock


@dataclass(frozen=True, slots=True)
class Listed:
    """A device, in pool blocks.

    :ivar exclusive: blocks that no other device maps; None when they were not counted.
    :ivar highest: the last block that it maps; None when it maps none, or they were not looked for.
    """

    details: DeviceDetails
    exclusive: int | None = None
    highest: int | None = None

    @property
    def shared(self) -> int | None:
        """Blocks that other devices map too."""
        return None if self.exclusive is None else self.details.mapped_blocks - self.exclusive


def list_devices(
    reader: BlockReader, superblock: Superblock, nr_data_blocks: int, *, count: bool, highest: bool
) -> list[Listed]:
    """All devices, ascending by id.

    :param nr_data_blocks: blocks of the data device: the live superblock's, also for a metadata snapshot.
    :param count: count what is exclusive, which reads all mappings. :param highest: look for the last block.
    :raises DamagedError: at the first damaged block that is read.
    """
    details = read_devices(reader, superblock)
    roots = read_mapping_roots(reader, superblock)
    check_same_devices(superblock, details, roots)
    if not count and not highest:
        return [Listed(each) for each in details.values()]
    from drystone.formats.thin.exclusive import count_exclusive, find_highest
    from drystone.formats.thin.leaves import Trees

    trees = Trees(reader)
    exclusive = count_exclusive(reader, trees, roots, nr_data_blocks) if count else {}
    return [
        Listed(each, exclusive.get(dev_id), find_highest(reader, trees, roots[dev_id]) if highest else None)
        for dev_id, each in details.items()
    ]

"""A pool on devices that have become larger: what it becomes, and the program that makes it so.

The kernel takes the pool's data size from the pool's table and its metadata's from the device, both when the pool is
resumed, and gives neither back (Linux `drivers/md/dm-thin.c`, pool_preresume). So the record with the new size is
written down first: whoever is killed in between finds at the next start that the pool is to be larger, and it is made
so then. A record that were smaller than the pool would keep it from coming up at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from drystone.base.errors import DamagedError, MismatchError, RefusedError
from drystone.base.sizes import SECTOR, format_size
from drystone.dvm.dmactivate import activate
from drystone.dvm.instructions import Resume, Suspend
from drystone.dvm.inverse import inverse
from drystone.dvm.program import Needed, Program
from drystone.dvm.state import Device, Line, State
from drystone.dvm.unwinding import Writer
from drystone.formats.pdata.blocks import BLOCK, MOST_BLOCKS
from drystone.kernel.dm.statuses import ThinPoolStatus
from drystone.kernel.dm.targets import ThinPool as PoolTarget
from drystone.volumes.drivers.pool_room import NEEDS_CHECK, judge, low_water
from drystone.volumes.pools import Pool


@dataclass(frozen=True, slots=True)
class Extension:
    """A pool before and after.

    :ivar metadata_before, metadata_after: blocks of 4096 bytes.
    """

    before: Pool
    after: Pool
    metadata_before: int
    metadata_after: int


def plan_extension(record: Pool, status: ThinPoolStatus, data: int, metadata: int) -> Extension:
    """What the pool becomes on devices of so many bytes; nothing is changed.

    :raises RefusedError: neither device grew by a block. :raises MismatchError: one is smaller than the pool.
    :raises DamagedError: the pool needs a check.
    """
    if judge(status).state == NEEDS_CHECK:
        raise DamagedError(
            f"pool {record.name} needs a check: the kernel takes no more changes",
            hint="see dmesg; stop the daemon and run drystone thin check on its metadata device",
        )
    after = replace(record, data_sectors=data // SECTOR // record.block_sectors * record.block_sectors)
    blocks = min(metadata // BLOCK, MOST_BLOCKS)
    if after.data_sectors < record.data_sectors or blocks < status.total_metadata:
        raise MismatchError(f"a device of pool {record.name} is smaller than the pool", hint="see dmesg")
    if after.data_sectors == record.data_sectors and blocks == status.total_metadata:
        raise RefusedError(
            f"pool {record.name} is as large as its devices: {format_size(record.data_sectors * SECTOR)} of data, "
            f"{format_size(blocks * BLOCK)} of metadata",
            hint="enlarge dm.datadev or dm.metadatadev first; a loop device learns its file's size by losetup -c",
        )
    return Extension(record, after, status.total_metadata, blocks)


def compile_extension(pool: Device, extension: Extension) -> Program:
    """The program that makes an active pool so large. Input and output wait meanwhile."""
    if extension.after.data_sectors == extension.before.data_sectors:
        # The kernel looks at the size of the metadata device when the pool is resumed.
        writer = Writer()
        suspend = Suspend(pool.name, lock_fs=False)
        writer.do(suspend, undo=inverse(suspend) or ())
        writer.do(Resume(pool.name))
        return Program(tuple(writer.finish()), (Needed(pool.name, pool.uuid),))
    sectors = extension.after.data_sectors
    target = PoolTarget.parse(pool.table[0].params)
    target = msgspec.structs.replace(target, low_water=low_water(sectors // extension.after.block_sectors))
    line = Line(0, sectors, PoolTarget.kind, target.to_params())
    return activate(State((pool,)), State((Device(pool.name, pool.uuid, (line,)),)))

"""May a pool be made on, or brought up from, these two devices? Asked before anything is changed.

What is found on the metadata device is held against what the catalogue remembers:

| metadata   | catalogue      |                                                                       |
|------------|----------------|-----------------------------------------------------------------------|
| blank      | nothing        | a new pool, if the data device holds nothing either                   |
| blank      | a fresh pool   | the same: killed before the kernel wrote the first block              |
| blank      | a used pool    | refused: these are not its devices                                    |
| a pool     | nothing        | refused: it is somebody's                                             |
| a pool     | that pool      | brought up, if transaction, block size and data size agree, and its   |
|            |                | metadata is sound                                                     |
| other data | anything       | refused                                                               |
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from drystone.base.errors import BusyError, DamagedError, MismatchError, RefusedError, UsageError
from drystone.base.names import new_uuid
from drystone.base.sizes import SECTOR, format_size
from drystone.dvm.state import observe, with_uuid
from drystone.formats.thin.superblock import Superblock, parse_superblock
from drystone.volumes.drivers.host import Found, Host
from drystone.volumes.pools import Pool, PoolRecords

_LEAST_METADATA = 1 << 20
"""Bytes: the kernel formats less, but a pool in it is full at once."""
_MAGIC_AT = slice(32, 40)
_MAGIC = (27022010).to_bytes(8, "little")


class Wanted(Protocol):
    """What of the driver's options matters here."""

    @property
    def name(self) -> str:
        """The pool's dm name."""

    @property
    def block_sectors(self) -> int:
        """Sectors of a block."""


def adopt(host: Host, records: PoolRecords, wanted: Wanted, metadata: Found, data: Found, *, has_volumes: bool) -> Pool:
    """The record of the pool, written down when it is new. Nothing on the devices is changed.

    :param has_volumes: whether the catalogue has volumes of this driver.
    :raises DrystoneError: the table of the module.
    """
    if metadata.number == data.number:
        raise UsageError(f"dm.datadev and dm.metadatadev are the same device, {data.path}")
    record = records.get_pool(wanted.name)
    if record is None and has_volumes:
        raise MismatchError(
            f"the catalogue has volumes, and no pool {wanted.name!r}", hint="start with the dm.thinpoolname they are in"
        )
    _check_name(host, wanted.name, record)
    if record is not None and _is_active(host, record, metadata, data):
        _check_options(record, wanted, data)
        return record
    for device, option in ((data, "dm.datadev"), (metadata, "dm.metadatadev")):
        if device.user:
            raise BusyError(f"{option}={device.path} is {device.user}", hint="name a device that nobody uses")
    block = host.read_first_block(metadata.path)
    if not any(block):
        return _make(host, records, wanted, record, metadata, data)
    if block[_MAGIC_AT] != _MAGIC:
        raise RefusedError(
            f"dm.metadatadev={metadata.path} holds {host.probe(metadata.path) or 'data'}, no metadata of a thin pool",
            hint="name an empty device; dd if=/dev/zero of=DEVICE bs=4096 count=1 empties it for good",
        )
    superblock = parse_superblock(block)
    found = _check_pool(record, wanted, superblock, metadata, data)
    _check_metadata(host, metadata, superblock)
    if found != record:
        records.put_pool(found)
    return found


def _is_active(host: Host, record: Pool, metadata: Found, data: Found) -> bool:
    """Whether the pool runs already. :raises MismatchError: on other devices."""
    state = observe(host.dm, with_uuid(f"DRYSTONE-{record.uuid}-pool"))
    pool = state.find(record.name)
    if pool is None or not pool.is_pool:
        return False
    words = pool.table[0].params.split()
    if words[:2] != [str(metadata.number), str(data.number)]:
        raise MismatchError(
            f"pool {record.name} is active on the devices {words[0]} and {words[1]}, "
            f"not on {metadata.path} ({metadata.number}) and {data.path} ({data.number})",
            hint="name those devices",
        )
    return True


def _check_name(host: Host, name: str, record: Pool | None) -> None:
    """:raises BusyError: a device of that name belongs to somebody else."""
    for entry in host.dm.list_devices():
        if entry.name == name and (record is None or entry.uuid != f"DRYSTONE-{record.uuid}-pool"):
            raise BusyError(
                f"there is a device-mapper device {name!r} that is not ours", hint="choose another dm.thinpoolname"
            )


def _make(host: Host, records: PoolRecords, wanted: Wanted, record: Pool | None, metadata: Found, data: Found) -> Pool:
    """The record of a new pool, durable."""
    if record is not None and (record.transaction_id or record.next_device > 1):
        raise MismatchError(
            f"dm.metadatadev={metadata.path} is empty, pool {record.name} is at transaction {record.transaction_id}",
            hint="name the devices that the pool was made on",
        )
    if kind := host.probe(data.path):
        raise RefusedError(
            f"dm.datadev={data.path} holds {kind}, which a new pool would overwrite",
            hint="name an empty device; wipefs -a DEVICE empties it for good",
        )
    if metadata.size < _LEAST_METADATA:
        raise UsageError(f"dm.metadatadev={metadata.path} is smaller than {format_size(_LEAST_METADATA)}")
    data_sectors = data.size // SECTOR // wanted.block_sectors * wanted.block_sectors
    if not data_sectors:
        raise UsageError(f"dm.datadev={data.path} is smaller than one block of the pool")
    made = Pool(wanted.name, record.uuid if record else new_uuid(), wanted.block_sectors, data_sectors, 0, 1)
    records.put_pool(made)
    return made


def _check_metadata(host: Host, metadata: Found, superblock: Superblock) -> None:
    """Every node, mapping and count of a pool's metadata, before the kernel writes to it.

    :raises DamagedError: they are damaged, or the kernel has asked for a check.
    """
    if damage := host.check_metadata(metadata.path):
        raise DamagedError(
            f"the metadata on {metadata.path} is damaged: {damage}; its pool is not activated",
            hint=f"drystone thin check {metadata.path} lists it all; drystone thin repair makes sound metadata of it, "
            "on another device",
        )
    if superblock.needs_check:
        raise DamagedError(
            f"the kernel wants the metadata on {metadata.path} checked, and it is sound; its pool is not activated",
            hint=f"see dmesg why; drystone thin check --clear-needs-check-flag {metadata.path}, and start again",
        )


def _check_pool(record: Pool | None, wanted: Wanted, superblock: Superblock, metadata: Found, data: Found) -> Pool:
    """The record of a pool that is there, at the transaction of its metadata."""
    if record is None:
        raise RefusedError(
            f"dm.metadatadev={metadata.path} holds a thin pool (transaction {superblock.transaction_id}) "
            "that this root knows nothing of",
            hint="start with the root that made it, or name an empty device",
        )
    behind = record.transaction_id - superblock.transaction_id
    if behind not in {0, 1}:
        raise MismatchError(
            f"the pool on {metadata.path} is at transaction {superblock.transaction_id}, "
            f"the catalogue at {record.transaction_id}",
            hint="these are other devices, or something else changed the pool; nothing was changed",
        )
    if superblock.data_block_size != record.block_sectors:
        raise MismatchError(
            f"the pool on {metadata.path} has blocks of {superblock.data_block_size} sectors, "
            f"the catalogue says {record.block_sectors}"
        )
    _check_options(record, wanted, data)
    if behind:
        # The change under way at the crash did not get through; the journal says which one it was.
        return replace(record, transaction_id=superblock.transaction_id)
    return record


def _check_options(record: Pool, wanted: Wanted, data: Found) -> None:
    """:raises UsageError: another block size than the pool was made with. :raises MismatchError: too small a device."""
    if wanted.block_sectors != record.block_sectors:
        raise UsageError(
            f"pool {record.name} was made with dm.thinpoolblocksize={record.block_sectors}, not {wanted.block_sectors}",
            hint="a pool's block size cannot be changed",
        )
    if data.size < record.data_sectors * SECTOR:
        raise MismatchError(
            f"dm.datadev={data.path} has {data.size} bytes, pool {record.name} needs {record.data_sectors * SECTOR}"
        )

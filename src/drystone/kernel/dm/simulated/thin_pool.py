# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""thin-pool: one pool object for all tables of a device, its modes and its messages.

Facts: Linux 6.1 `drivers/md/dm-thin.c`. Data reaches no disk here; what is simulated is which blocks are taken.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from msgspec import structs

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated import lifecycle
from drystone.kernel.dm.simulated.behaviour import Plain
from drystone.kernel.dm.simulated.device import READ, WRITE, Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener, foreign
from drystone.kernel.dm.simulated.refusal import Blocked, Refusal
from drystone.kernel.dm.simulated.thin_metadata import ThinMetadata, metadata_blocks
from drystone.kernel.dm.targets import ThinPool

RW, NO_DATA_SPACE, READ_ONLY, FAIL = range(4)
"""A pool's modes, from good to bad."""

_MODE_WORDS = {RW: "rw", NO_DATA_SPACE: "out_of_data_space", READ_ONLY: "ro"}
_SMALLEST_BLOCK, _LARGEST_BLOCK = 128, 1 << 21
_LARGEST_DEV = (1 << 24) - 1
_SUPERBLOCKS, _TO_FORMAT, _TO_RUN = 2, 8, 12
"""Metadata blocks: what holds no tree at all, what can be formatted, what can be used (seen, not documented)."""


@dataclass(slots=True)
class Pool:
    """A pool in core: made by the first table that has it, shared by later ones and by the thin devices.

    :ivar references: targets (pool and thin) that were built with it.
    :ivar bound: the key of the pool target that controls it, 0 when none does.
    :ivar wanted: pool target's key -> the mode that it brings when it is resumed.
    :ivar in_service: something was changed since it was opened, so that it commits.
    """

    minor: int
    metadata_number: DeviceNumber
    data_number: DeviceNumber
    block: int
    metadata: ThinMetadata
    references: int = 0
    bound: int = 0
    features: ThinPool | None = None
    wanted: dict[int, int] = field(default_factory=dict)
    mode: int = RW
    suspended: bool = True
    in_service: bool = False
    low_water_sent: bool = False
    error_if_no_space: bool = False
    passdown: bool = True

    def copy(self) -> Pool:
        return replace(self, wanted=dict(self.wanted))


def drop_reference(machine: Machine, key: int) -> None:
    """A target of the pool goes; with the last one the pool commits and goes too."""
    pool = machine.instances[key]
    assert isinstance(pool, Pool)
    pool.references -= 1
    if not pool.references:
        if pool.in_service and pool.mode < READ_ONLY:
            store(machine, pool)
        del machine.instances[key]


def store(machine: Machine, pool: Pool) -> None:
    """Flush the data device and write the metadata. Blocked and Refusal as `Machine.place`."""
    machine.flush(pool.data_number)
    place = machine.place(pool.metadata_number, 0)
    machine.contents[place] = pool.metadata


def set_mode(machine: Machine, pool: Pool, mode: int) -> None:
    """Change the mode as far as it may be changed; a change is an event of the pool's device."""
    old = pool.mode
    if mode == RW and pool.metadata.needs_check:
        mode = READ_ONLY if old == RW else old
    if old == FAIL:
        mode = FAIL
    if mode == RW and pool.features is not None:
        pool.error_if_no_space = pool.features.error_if_no_space
    pool.mode = pool.wanted[pool.bound] = mode
    if old != mode:
        machine.event(machine.devices[pool.minor])


def commit(machine: Machine, pool: Pool) -> None:
    """Commit; the pool finds room again, or fails when its metadata cannot be written."""
    if pool.mode >= READ_ONLY:
        return
    if pool.in_service:
        try:
            store(machine, pool)
        except Refusal:
            set_mode(machine, pool, FAIL)
            return
    if pool.mode == NO_DATA_SPACE and pool.metadata.free_data:
        set_mode(machine, pool, RW)


def take_blocks(machine: Machine, pool: Pool, dev: int, virtual: list[int]) -> None:
    """New data blocks for a thin device's virtual blocks, as far as there are any.

    Refusal ENOSPC or Blocked: there is no room; the pool's mode says so from now on.
    """
    free = pool.metadata.free_data
    low_water = pool.features.low_water if pool.features else 0
    if free - max(len(virtual) - 1, 0) <= low_water and virtual and not pool.low_water_sent:
        pool.low_water_sent = True
        machine.event(machine.devices[pool.minor])
    taken = virtual[: max(free, 0)]
    if taken:
        pool.in_service = True
        pool.metadata = pool.metadata.map_blocks(dev, taken)
    if len(taken) < len(virtual):
        set_mode(machine, pool, NO_DATA_SPACE)
        refuse_for_space(pool)


def refuse_for_space(pool: Pool) -> None:
    """What a write that needs a block meets in a pool that is not in its best mode."""
    if pool.mode >= READ_ONLY:
        raise Refusal(errno.EIO, "the pool is read-only")
    if pool.error_if_no_space:
        raise Refusal(errno.ENOSPC, "the pool has no free data block")
    raise Blocked("the write waits for room in the pool", keep=True)


def read_dev(word: str) -> int:
    """A thin device's id from a message or a table. Refusal EINVAL: no number, or above 2**24 - 1."""
    dev = read_number(word)
    if dev > _LARGEST_DEV:
        raise Refusal(errno.EINVAL, f"the device id {dev} is too large")
    return dev


def read_number(word: str) -> int:
    """A whole number below 2**64, as kstrtoull reads it. Refusal EINVAL otherwise."""
    digits = word.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or int(digits) >= 1 << 64:
        raise Refusal(errno.EINVAL, f"{word!r} is no number")
    return int(digits)


class ThinPoolBehaviour(Plain):
    """The control target of a pool."""

    singleton = True
    immutable = True
    writeable = True

    def __init__(self) -> None:
        super().__init__(ThinPool.parse, (1, 22, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, ThinPool)
        if value.metadata == value.data:
            raise Refusal(errno.EINVAL, "metadata and data are one device")
        metadata = opener.open(value.metadata, READ if value.read_only else READ | WRITE)
        data = opener.open(value.data, READ | WRITE)
        if not _SMALLEST_BLOCK <= value.block <= _LARGEST_BLOCK or value.block % _SMALLEST_BLOCK:
            raise Refusal(errno.EINVAL, f"a block of {value.block} sectors")
        key, created = self._find(machine, opener.device, metadata, data, value)
        pool = machine.instances[key]
        assert isinstance(pool, Pool)
        ignoring = pool.features is not None and pool.features.ignore_discard
        if not created and ignoring != value.ignore_discard:
            raise Refusal(errno.EINVAL, "discard support cannot be changed")
        pool.references += 1
        pool.wanted[target.key] = READ_ONLY if value.read_only else RW
        return replace(target, numbers=(metadata, data), instance=key)

    def _find(
        self, machine: Machine, device: Device, metadata: DeviceNumber, data: DeviceNumber, value: ThinPool
    ) -> tuple[int, bool]:
        """The pool's key, and whether it was made now."""
        pools = {key: pool for key, pool in machine.instances.items() if isinstance(pool, Pool)}
        for key, pool in pools.items():
            if pool.metadata_number == metadata:
                if pool.minor != device.minor or pool.data_number != data:
                    raise Refusal(errno.EBUSY, "the metadata or data device belongs to a pool")
                return key, False
        if any(pool.minor == device.minor for pool in pools.values()):
            raise Refusal(errno.EINVAL, "another pool cannot replace a pool")
        opened = _open_metadata(machine, metadata, value)
        key = machine.new_key()
        machine.instances[key] = Pool(device.minor, metadata, data, value.block, opened)
        return key, True

    def destroy(self, machine: Machine, target: Built) -> None:
        pool = machine.instance(target, Pool)
        if pool.bound == target.key:
            pool.bound = 0
        pool.wanted.pop(target.key, None)
        drop_reference(machine, target.instance)

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        yield target.numbers[1], 0, target.length

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        yield target.numbers[1], sector, length

    def presuspend(self, machine: Machine, device: Device, target: Built) -> None:
        machine.instance(target, Pool).suspended = True
        for each in _active_thins(machine, target):
            lifecycle.suspend_internally(machine, each)

    def postsuspend(self, machine: Machine, device: Device, target: Built) -> None:
        commit(machine, machine.instance(target, Pool))

    def preresume(self, machine: Machine, device: Device, target: Built) -> None:
        pool = machine.instance(target, Pool)
        value = target.value
        assert isinstance(value, ThinPool)
        pool.bound, pool.features = target.key, value
        pool.error_if_no_space = value.error_if_no_space
        pool.passdown = not value.no_discard_passdown and machine.takes_discards(pool.data_number)
        set_mode(machine, pool, pool.wanted[target.key])
        if pool.mode == FAIL:
            return
        data, metadata = target.length // pool.block, metadata_blocks(machine.sectors(pool.metadata_number))
        if data < pool.metadata.data_blocks or metadata < pool.metadata.metadata_blocks:
            raise Refusal(errno.EINVAL, "the data or the metadata device is smaller than it was")
        if pool.metadata.needs_check:
            return
        if metadata < _TO_RUN:
            pool.metadata = replace(pool.metadata, needs_check=True)
            set_mode(machine, pool, READ_ONLY)
            raise Refusal(errno.ENOSPC, "the metadata device has too few blocks")
        if data > pool.metadata.data_blocks or metadata > pool.metadata.metadata_blocks:
            pool.metadata = replace(pool.metadata, data_blocks=data, metadata_blocks=metadata)
            pool.in_service = True
            commit(machine, pool)

    def resume(self, machine: Machine, device: Device, target: Built) -> None:
        pool = machine.instance(target, Pool)
        for each in _active_thins(machine, target):
            lifecycle.resume_internally(machine, each)
        pool.low_water_sent = pool.suspended = False

    def message(self, machine: Machine, device: Device, target: Built, words: list[str]) -> str:
        pool = machine.instance(target, Pool)
        if pool.mode >= READ_ONLY:
            raise Refusal(errno.EOPNOTSUPP, "the pool is read-only")
        arguments = {"create_thin": 1, "create_snap": 2, "delete": 1, "set_transaction_id": 2}
        arguments |= {"reserve_metadata_snap": 0, "release_metadata_snap": 0}
        verb = words[0].lower()
        if verb not in arguments or len(words) != 1 + arguments[verb]:
            raise Refusal(errno.EINVAL, f"no such message: {' '.join(words)}")
        pool.metadata = self._changed(machine, target, verb, words[1:])
        pool.in_service = True
        commit(machine, pool)
        return ""

    def _changed(self, machine: Machine, target: Built, verb: str, words: list[str]) -> ThinMetadata:
        metadata = machine.instance(target, Pool).metadata
        if verb == "create_thin":
            return metadata.create_thin(read_dev(words[0]))
        if verb == "create_snap":
            return metadata.create_snap(*map(read_dev, words))
        if verb == "set_transaction_id":
            return metadata.set_transaction_id(*map(read_number, words))
        if verb == "delete":
            dev = read_dev(words[0])
            if any(getattr(each.value, "dev_id", None) == dev for _, each in machine.using(target.instance)):
                raise Refusal(errno.EBUSY, f"thin device {dev} is active")
            return metadata.delete(dev)
        return metadata.reserve() if verb == "reserve_metadata_snap" else metadata.release()

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        pool = machine.instance(target, Pool)
        if flush and not device.suspended:
            commit(machine, pool)
        if pool.mode == FAIL:
            return "Fail"
        value = pool.features
        assert value is not None
        metadata = pool.metadata
        discard = "discard_passdown" if pool.passdown else "no_discard_passdown"
        low_water = min(1024, metadata_blocks(machine.sectors(pool.metadata_number)) // 4)
        words = (
            metadata.transaction_id,
            f"{metadata.used_metadata}/{metadata.metadata_blocks}",
            f"{metadata.used_data}/{metadata.data_blocks}",
            metadata.held.block if metadata.held else "-",
            _MODE_WORDS[pool.mode],
            "ignore_discard" if value.ignore_discard else discard,
            "error_if_no_space" if pool.error_if_no_space else "queue_if_no_space",
            "needs_check" if metadata.needs_check else "-",
            low_water,
        )
        return " ".join(map(str, words)) + " "

    def params(self, machine: Machine, target: Built) -> str:
        value = target.value
        assert isinstance(value, ThinPool)
        metadata, data = map(str, target.numbers)
        block = machine.instance(target, Pool).block
        return structs.replace(value, metadata=metadata, data=data, block=block).to_params() + " "


def _open_metadata(machine: Machine, number: DeviceNumber, value: ThinPool) -> ThinMetadata:
    """What is stored on the metadata device; a device of zeros is formatted."""
    place = machine.place(number, 0)
    found = machine.contents.get(place)
    if found is None:
        if value.read_only:
            raise Refusal(errno.EPERM, "the metadata device is not formatted, and the pool is read-only")
        fresh = ThinMetadata(value.block, metadata_blocks(machine.sectors(number)))
        if fresh.metadata_blocks < _TO_FORMAT:
            raise Refusal(errno.ENOSPC if fresh.metadata_blocks > _SUPERBLOCKS else errno.EINVAL, "too few blocks")
        machine.contents[place] = fresh
        return fresh
    if not isinstance(found, ThinMetadata):
        raise Refusal(foreign(found), "the metadata device holds something else")
    if found.block != value.block:
        raise Refusal(errno.EINVAL, f"the pool's block is {found.block} sectors")
    return found


def _active_thins(machine: Machine, target: Built) -> list[Device]:
    """The devices whose tables, live or not, have a thin target of the pool; once for every such table."""
    return [device for device, each in machine.using(target.instance) if each.kind == "thin"]

# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""thin: a device of a pool.

Facts: Linux 6.1 `drivers/md/dm-thin.c`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

from drystone.kernel.dm.simulated.behaviour import Plain
from drystone.kernel.dm.simulated.device import READ, Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener
from drystone.kernel.dm.simulated.refusal import Refusal
from drystone.kernel.dm.simulated.thin_pool import (
    FAIL,
    RW,
    Pool,
    commit,
    drop_reference,
    read_dev,
    refuse_for_space,
    take_blocks,
)
from drystone.kernel.dm.targets import Thin


class ThinBehaviour(Plain):
    """Virtual blocks, given data blocks of the pool when they are written."""

    def __init__(self) -> None:
        super().__init__(Thin.parse, (1, 22, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, Thin)
        if value.external_origin == value.pool:
            raise Refusal(errno.EINVAL, "the pool cannot be the origin")
        origin = () if value.external_origin is None else (opener.open(value.external_origin, READ),)
        number = opener.open(value.pool)
        dev = read_dev(str(value.dev_id))
        below = machine.mapped(number)
        pools = {key: each for key, each in machine.instances.items() if isinstance(each, Pool)}
        key = next((key for key, each in pools.items() if below and each.minor == below.minor), 0)
        if not key or pools[key].mode == FAIL:
            raise Refusal(errno.EINVAL, f"{number} is no pool that works")
        if dev not in pools[key].metadata.devices:
            raise Refusal(errno.ENODATA, f"thin device {dev} does not exist")
        if pools[key].suspended:
            raise Refusal(errno.EINVAL, "the pool is suspended")
        pools[key].references += 1
        return replace(target, numbers=(number, *origin), instance=key)

    def destroy(self, machine: Machine, target: Built) -> None:
        drop_reference(machine, target.instance)

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        pool = machine.instance(target, Pool)
        if pool.mode == FAIL:
            return "Fail"
        mappings = pool.metadata.devices[self._dev(target)].mappings
        highest = (max(mappings) + 1) * pool.block - 1 if mappings else "-"
        return f"{len(mappings) * pool.block} {highest}"

    def params(self, machine: Machine, target: Built) -> str:
        return "Fail" if machine.instance(target, Pool).mode == FAIL else super().params(machine, target)

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        yield from ()

    def discards(self, machine: Machine, target: Built) -> bool:
        features = machine.instance(target, Pool).features
        return features is not None and not features.ignore_discard

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        pool, dev = machine.instance(target, Pool), self._dev(target)
        machine.flush(pool.data_number)
        thin = pool.metadata.devices[dev]
        blocks = range(sector // pool.block, (sector + length - 1) // pool.block + 1)
        wanted = [block for block in blocks if block not in thin.mappings or thin.shares(block)]
        if wanted and pool.mode != RW:
            refuse_for_space(pool)
        take_blocks(machine, pool, dev, wanted)

    def discard(self, machine: Machine, device: Device, target: Built, sector: int, length: int) -> None:
        """Unmap the whole blocks within an extent. Refusal EOPNOTSUPP: the pool ignores discards."""
        if not self.discards(machine, target):
            raise Refusal(errno.EOPNOTSUPP, "the pool takes no discards")
        pool = machine.instance(target, Pool)
        if pool.mode > RW + 1:
            return
        begin, end = -(-sector // pool.block), (sector + length) // pool.block
        if begin < end:
            pool.metadata = pool.metadata.unmap_blocks(self._dev(target), begin, end)
            pool.in_service = True
            commit(machine, pool)

    def _dev(self, target: Built) -> int:
        assert isinstance(target.value, Thin)
        return target.value.dev_id

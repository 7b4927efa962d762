# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""Targets that only map: linear, striped, error, zero.

Facts: Linux 6.1 `drivers/md/dm-linear.c`, `dm-stripe.c`, `dm-target.c`, `dm-zero.c`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace

from drystone.kernel.dm.simulated.behaviour import Plain
from drystone.kernel.dm.simulated.device import Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener
from drystone.kernel.dm.simulated.refusal import Refusal
from drystone.kernel.dm.targets import Error, Linear, Striped, Zero


class LinearBehaviour(Plain):
    """One device, moved by an offset."""

    def __init__(self) -> None:
        super().__init__(Linear.parse, (1, 4, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        assert isinstance(target.value, Linear)
        return replace(target, numbers=(opener.open(target.value.device),))

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        assert isinstance(target.value, Linear)
        yield target.numbers[0], target.value.offset + sector, length


@dataclass(slots=True)
class StripeErrors:
    """The stripes of one table that had a failed write."""

    failed: frozenset[int] = frozenset()

    def copy(self) -> StripeErrors:
        return replace(self)


class StripedBehaviour(Plain):
    """Chunks on devices in turn. A stripe that fails is marked, and every failure is an event."""

    def __init__(self) -> None:
        super().__init__(Striped.parse, (1, 6, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, Striped)
        if target.length % len(value.legs) or target.length // len(value.legs) % value.chunk:
            raise Refusal(errno.EINVAL, "the length is no multiple of stripes and chunk")
        numbers = tuple(opener.open(leg.device) for leg in value.legs)
        key = machine.new_key()
        machine.instances[key] = StripeErrors()
        return replace(target, numbers=numbers, instance=key)

    def destroy(self, machine: Machine, target: Built) -> None:
        del machine.instances[target.instance]

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        for extent in self.route(machine, target, sector, length):
            try:
                machine.write(*extent, content)
            except Refusal:
                errors = machine.instance(target, StripeErrors)
                same = {at for at, number in enumerate(target.numbers) if number == extent[0]}
                errors.failed |= same
                machine.event(device)
                raise

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        assert isinstance(target.value, Striped)
        width = target.length // len(target.value.legs)
        for number, leg in zip(target.numbers, target.value.legs, strict=True):
            yield number, leg.offset, width

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        value = target.value
        assert isinstance(value, Striped)
        while length:
            chunk, within = divmod(sector, value.chunk)
            row, leg = divmod(chunk, len(value.legs))
            count = min(length, value.chunk - within)
            yield target.numbers[leg], value.legs[leg].offset + row * value.chunk + within, count
            sector, length = sector + count, length - count

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        failed = machine.instance(target, StripeErrors).failed
        health = "".join("D" if at in failed else "A" for at in range(len(target.numbers)))
        return f"{len(health)} {' '.join(map(str, target.numbers))} 1 {health}"


class ErrorBehaviour(Plain):
    """Nothing works here. It may replace a target that otherwise could not be replaced."""

    wildcard = True

    def __init__(self) -> None:
        super().__init__(Error.parse, (1, 5, 0))

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        raise Refusal(errno.EIO, "an error target")

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        yield from ()


class ZeroBehaviour(Plain):
    """Writes vanish."""

    def __init__(self) -> None:
        super().__init__(Zero.parse, (1, 1, 0))

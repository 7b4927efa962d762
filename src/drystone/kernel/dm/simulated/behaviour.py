# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""What most targets do: nothing special. Each kind changes what it must."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

from drystone.kernel.dm.simulated.device import Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener
from drystone.kernel.dm.simulated.refusal import Refusal
from drystone.kernel.dm.targets import Target


class Plain:
    """A target without state. `parse` is the kind's own.

    :param parse: typed parameters from text.
    :param version: what the kernel's module says.
    """

    singleton = False
    immutable = False
    writeable = False
    wildcard = False

    def __init__(self, parse: Callable[[str], Target], version: tuple[int, int, int]) -> None:
        self.parse = parse
        self.version = version

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        return target

    def destroy(self, machine: Machine, target: Built) -> None: ...

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        yield from self.route(machine, target, 0, target.length)

    def presuspend(self, machine: Machine, device: Device, target: Built) -> None: ...

    def postsuspend(self, machine: Machine, device: Device, target: Built) -> None: ...

    def preresume(self, machine: Machine, device: Device, target: Built) -> None: ...

    def resume(self, machine: Machine, device: Device, target: Built) -> None: ...

    def message(self, machine: Machine, device: Device, target: Built, words: list[str]) -> str:
        raise Refusal(errno.EINVAL, f"{target.kind} takes no messages")

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        return ""

    def params(self, machine: Machine, target: Built) -> str:
        numbers = iter(target.numbers)
        return target.value.map_devices(lambda _: str(next(numbers))).to_params()

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        for extent in self.route(machine, target, sector, length):
            machine.write(*extent, content)

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        yield from ()

    def discards(self, machine: Machine, target: Built) -> bool:
        return any(machine.takes_discards(number) for number in target.numbers)

# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""clone: a device that becomes a copy of its source. Copying in the background is done by the next status.

A table reads what is there from the metadata when it is built, and writes it back when it is suspended or removed: one
that is loaded while the old one runs does not see what that does meanwhile, as in the kernel.

Facts: Linux 6.1 `drivers/md/dm-clone-target.c`, `dm-clone-metadata.c`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.clone import Clone
from drystone.kernel.dm.simulated.behaviour import Plain
from drystone.kernel.dm.simulated.device import READ, WRITE, Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener, foreign
from drystone.kernel.dm.simulated.refusal import Refusal
from drystone.kernel.dm.simulated.thin_metadata import METADATA_BLOCK, metadata_blocks

_SMALLEST_REGION, _LARGEST_REGION = 8, 1 << 21
_FRESH_BLOCKS = 10
_LIMITS = ("hydration_threshold", "hydration_batch_size")
_MOST = 1 << 31


@dataclass(frozen=True, slots=True)
class CloneMetadata:
    """What a clone remembers: sectors of a region, sectors of the device, and the regions that are there."""

    region: int
    length: int
    hydrated: frozenset[int] = frozenset()


@dataclass(slots=True)
class CloneInstance:
    """One table's metadata in core. :ivar hydrates: whether it copies by itself."""

    number: DeviceNumber
    metadata: CloneMetadata
    hydrates: bool
    limits: tuple[int, int]

    def copy(self) -> CloneInstance:
        return replace(self)


class CloneBehaviour(Plain):
    """Reads of what is not there go to the source; all else goes to the destination."""

    def __init__(self) -> None:
        super().__init__(Clone.parse, (1, 0, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, Clone)
        region = value.region
        if not _SMALLEST_REGION <= region <= _LARGEST_REGION or region & (region - 1):
            raise Refusal(errno.EINVAL, f"a region of {region} sectors")
        metadata = opener.open(value.metadata, READ | WRITE)
        destination, source = opener.open(value.destination, READ | WRITE), opener.open(value.source, READ)
        if target.length > min(machine.sectors(destination), machine.sectors(source)):
            raise Refusal(errno.EINVAL, "the device is larger than its destination or its source")
        key = machine.new_key()
        found = _open_metadata(machine, metadata, CloneMetadata(region, target.length))
        limits = (value.threshold or 1, value.batch or 1)
        machine.instances[key] = CloneInstance(metadata, found, not value.no_hydration, limits)
        return replace(target, numbers=(metadata, destination, source), instance=key)

    def destroy(self, machine: Machine, target: Built) -> None:
        del machine.instances[target.instance]

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        _, destination, source = target.numbers
        yield destination, 0, target.length
        yield source, 0, target.length

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        yield target.numbers[1], sector, length

    def postsuspend(self, machine: Machine, device: Device, target: Built) -> None:
        _store(machine, machine.instance(target, CloneInstance))

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        super().write(machine, device, target, sector, length, content)
        clone = machine.instance(target, CloneInstance)
        region = clone.metadata.region
        touched = range(sector // region, (sector + length - 1) // region + 1)
        clone.metadata = replace(clone.metadata, hydrated=clone.metadata.hydrated.union(touched))

    def message(self, machine: Machine, device: Device, target: Built, words: list[str]) -> str:
        clone = machine.instance(target, CloneInstance)
        verb = words[0].lower()
        if verb in {"enable_hydration", "disable_hydration"}:  # whatever follows
            clone.hydrates = verb == "enable_hydration"
        elif len(words) == 2 and verb in _LIMITS and words[1].isdigit() and int(words[1]) < _MOST:
            limits = list(clone.limits)
            limits[_LIMITS.index(verb)] = int(words[1])
            clone.limits = limits[0], limits[1]
        else:
            raise Refusal(errno.EINVAL, f"clone does not know the message {' '.join(words)}")
        return ""

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        clone = machine.instance(target, CloneInstance)
        metadata, destination, _ = target.numbers
        value = target.value
        assert isinstance(value, Clone)
        regions = -(-target.length // clone.metadata.region)
        if clone.hydrates and not device.suspended:
            clone.metadata = replace(clone.metadata, hydrated=frozenset(range(regions)))
        passes = not value.no_discard_passdown and machine.takes_discards(destination)
        features = [
            name for name, there in zip(Clone.features_known, (clone.hydrates, passes), strict=True) if not there
        ]
        core = [word for name, limit in zip(_LIMITS, clone.limits, strict=True) for word in (name, limit)]
        words = (
            *(METADATA_BLOCK, f"{_FRESH_BLOCKS}/{metadata_blocks(machine.sectors(metadata))}"),
            *(clone.metadata.region, f"{len(clone.metadata.hydrated)}/{regions}", 0),
            *(len(features), *features, len(core), *core, "rw"),
        )
        return " ".join(map(str, words))

    def discards(self, machine: Machine, target: Built) -> bool:
        return True


def _open_metadata(machine: Machine, number: DeviceNumber, wanted: CloneMetadata) -> CloneMetadata:
    found = machine.contents.setdefault(machine.place(number, 0), wanted)
    if not isinstance(found, CloneMetadata):
        raise Refusal(foreign(found), "the metadata device holds something else")
    if (found.region, found.length) != (wanted.region, wanted.length):
        raise Refusal(errno.EINVAL, f"the metadata is of {found.length} sectors in regions of {found.region}")
    return found


def _store(machine: Machine, clone: CloneInstance) -> None:
    machine.contents[machine.place(clone.number, 0)] = clone.metadata

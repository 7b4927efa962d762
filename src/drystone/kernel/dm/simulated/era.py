# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""era: counts eras, and remembers in which one each block was written.

Every table has its own copy of the metadata in core, read when it is built and written at each commit: a table that is
loaded while the old one runs comes back with what was stored at that moment, as in the kernel.

Facts: Linux 6.1 `drivers/md/dm-era-target.c`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated.behaviour import Plain
from drystone.kernel.dm.simulated.device import READ, WRITE, Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener, foreign
from drystone.kernel.dm.simulated.refusal import Blocked, Refusal
from drystone.kernel.dm.simulated.thin_metadata import METADATA_BLOCK, metadata_blocks
from drystone.kernel.dm.targets import Era

_FRESH_BLOCKS = 9
_SMALLEST_BLOCK = 8
_BLOCKS = 1 << 31


@dataclass(frozen=True, slots=True)
class EraMetadata:
    """What an era device remembers.

    :ivar block: sectors of a block.
    :ivar blocks: blocks of the origin, 0 before the first resume.
    :ivar running: there is a current writeset, so that an archive of it is due.
    :ivar written: block -> the newest era in which it was written.
    :ivar held: the metadata block of the snapshot, 0 for none.
    """

    block: int
    blocks: int = 0
    era: int = 0
    running: bool = False
    written: dict[int, int] = field(default_factory=dict)
    held: int = 0


@dataclass(slots=True)
class EraInstance:
    """One table's metadata in core.

    :ivar working: its worker runs, which answers messages and status.
    """

    number: DeviceNumber
    metadata: EraMetadata
    working: bool = False

    def copy(self) -> EraInstance:
        return replace(self)


class EraBehaviour(Plain):
    """Passes everything to the origin."""

    def __init__(self) -> None:
        super().__init__(Era.parse, (1, 0, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, Era)
        try:
            metadata = opener.open(value.metadata, READ | WRITE)
            origin = opener.open(value.origin, READ | WRITE)
        except Refusal as refusal:
            raise Refusal(errno.EINVAL, refusal.why) from refusal
        if not value.block or value.block % _SMALLEST_BLOCK or value.block >= 1 << 32:
            raise Refusal(errno.EINVAL, f"a block of {value.block} sectors")
        key = machine.new_key()
        machine.instances[key] = EraInstance(metadata, _open_metadata(machine, metadata, value.block))
        return replace(target, numbers=(metadata, origin), instance=key)

    def destroy(self, machine: Machine, target: Built) -> None:
        del machine.instances[target.instance]

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        yield from ()

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        yield target.numbers[1], sector, length

    def postsuspend(self, machine: Machine, device: Device, target: Built) -> None:
        era = machine.instance(target, EraInstance)
        era.metadata = replace(era.metadata, running=False)
        era.working = False
        _store(machine, era)

    def preresume(self, machine: Machine, device: Device, target: Built) -> None:
        era = machine.instance(target, EraInstance)
        blocks = -(-target.length // era.metadata.block)
        if blocks >= _BLOCKS:
            raise Refusal(errno.EINVAL, f"{blocks} blocks are too many")
        era.working = True
        era.metadata = replace(_roll(era.metadata), blocks=blocks)
        _store(machine, era)

    def message(self, machine: Machine, device: Device, target: Built, words: list[str]) -> str:
        era = self._worker(machine, target)
        verb = words[0].lower()
        if len(words) != 1 or verb not in {"checkpoint", "take_metadata_snap", "drop_metadata_snap"}:
            raise Refusal(errno.EINVAL, f"era does not know the message {' '.join(words)}")
        if (verb == "take_metadata_snap") == bool(era.metadata.held) and verb != "checkpoint":
            raise Refusal(errno.EINVAL, "there is a metadata snapshot" if era.metadata.held else "there is none")
        if verb == "drop_metadata_snap":
            era.metadata = replace(era.metadata, held=0)
        else:
            era.metadata = _roll(era.metadata)
        if verb == "take_metadata_snap":
            era.metadata = replace(era.metadata, held=_used(era.metadata))
        _store(machine, era)
        return ""

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        era = self._worker(machine, target)
        total = metadata_blocks(machine.sectors(era.number))
        held = era.metadata.held or "-"
        return f"{METADATA_BLOCK} {_used(era.metadata)}/{total} {era.metadata.era} {held}"

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        super().write(machine, device, target, sector, length, content)
        era = machine.instance(target, EraInstance)
        first, last = sector // era.metadata.block, (sector + length - 1) // era.metadata.block
        marks = dict.fromkeys(range(first, last + 1), era.metadata.era)
        era.metadata = replace(era.metadata, written={**era.metadata.written, **marks})
        _store(machine, era)

    def _worker(self, machine: Machine, target: Built) -> EraInstance:
        """The instance, whose worker answers. Blocked: it does not, and the kernel waits for it without end."""
        era = machine.instance(target, EraInstance)
        if not era.working:
            raise Blocked("a suspended era target answers when it is resumed")
        return era


def _open_metadata(machine: Machine, number: DeviceNumber, block: int) -> EraMetadata:
    place = machine.place(number, 0)
    found = machine.contents.get(place)
    if found is None:
        found = machine.contents[place] = EraMetadata(block)
    if not isinstance(found, EraMetadata):
        raise Refusal(foreign(found), "the metadata device holds something else")
    if found.block != block:
        raise Refusal(errno.EINVAL, f"the metadata is of blocks of {found.block} sectors")
    return found


def _roll(metadata: EraMetadata) -> EraMetadata:
    """The next era."""
    return replace(metadata, era=metadata.era + 1, running=True)


def _store(machine: Machine, era: EraInstance) -> None:
    machine.contents[machine.place(era.number, 0)] = era.metadata


def _used(metadata: EraMetadata) -> int:
    """Metadata blocks in use: an estimate."""
    kept = min(2, max(0, metadata.era - 1))
    return _FRESH_BLOCKS + kept + metadata.blocks // 1018 + metadata.blocks // 32576 + bool(metadata.held)

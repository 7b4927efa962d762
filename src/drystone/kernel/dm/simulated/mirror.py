# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""Mirrored targets: mirror and raid. They are in sync as soon as they are resumed.

Resynchronisation takes no time here; a kernel reports its progress and sends an event when it is done.

Facts: Linux 6.1 `drivers/md/dm-raid1.c`, `dm-log.c`, `dm-raid.c`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated.behaviour import Plain
from drystone.kernel.dm.simulated.device import Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener
from drystone.kernel.dm.simulated.refusal import Refusal
from drystone.kernel.dm.targets import Mirror, Raid

_MOST_MIRRORS = 9
_PARITY = {"raid4": 1, "raid5": 1, "raid6": 2}
_LEVELS = {
    *("raid0", "raid1", "raid10", "raid10_far", "raid10_offset", "raid10_near", "raid4"),
    *("raid5_n", "raid5_ls", "raid5_rs", "raid5_la", "raid5_ra"),
    *("raid6_zr", "raid6_nr", "raid6_nc", "raid6_n_6", "raid6_ls_6", "raid6_rs_6", "raid6_la_6", "raid6_ra_6"),
}
_RAID_MESSAGES = {"frozen", "idle", "resync", "recover", "check", "repair"}


class MirrorBehaviour(Plain):
    """dm-raid1."""

    def __init__(self) -> None:
        super().__init__(Mirror.parse, (1, 14, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, Mirror)
        numbers = []
        if value.log_device is not None:
            try:
                numbers.append(opener.open(value.log_device))
            except Refusal as refusal:
                raise Refusal(errno.EINVAL, refusal.why) from refusal
        region = value.region
        if region < 2 or region > target.length or region & (region - 1) or len(value.legs) > _MOST_MIRRORS:
            raise Refusal(errno.EINVAL, f"a region of {region} sectors")
        return replace(target, numbers=(*numbers, *(opener.open(leg.device) for leg in value.legs)))

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        yield from self.route(machine, target, 0, target.length)

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        assert isinstance(target.value, Mirror)
        for number, leg in zip(self._legs(target), target.value.legs, strict=True):
            yield number, leg.offset + sector, length

    def resume(self, machine: Machine, device: Device, target: Built) -> None:
        assert isinstance(target.value, Mirror)
        if target.value.sync != "nosync":
            machine.event(device)

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        value = target.value
        assert isinstance(value, Mirror)
        regions = -(-target.length // value.region)
        log = "1 core" if value.log_device is None else f"3 disk {target.numbers[0]} A"
        legs = " ".join(map(str, self._legs(target)))
        return f"{len(value.legs)} {legs} {regions}/{regions} 1 {'A' * len(value.legs)} {log}"

    def _legs(self, target: Built) -> tuple[DeviceNumber, ...]:
        assert isinstance(target.value, Mirror)
        return target.numbers[-len(target.value.legs) :]


class RaidBehaviour(Plain):
    """dm-raid: the levels' sizes and words; of the data only that raid1 has it on every leg."""

    def __init__(self) -> None:
        super().__init__(Raid.parse, (1, 15, 1))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, Raid)
        if value.level not in _LEVELS or len(value.legs) <= _PARITY.get(value.level[:5], 0):
            raise Refusal(errno.EINVAL, f"{value.level} of {len(value.legs)} legs")
        chunk = value.chunk
        if value.level != "raid1" and (chunk < 8 or chunk & (chunk - 1)):
            raise Refusal(errno.EINVAL, f"a chunk of {chunk} sectors")
        names = {name for name, _ in value.options}
        if {"sync", "nosync"} <= names or ("rebuild" in names and names & {"sync", "nosync"}):
            raise Refusal(errno.EINVAL, "sync, nosync and rebuild exclude each other")
        numbers = tuple(opener.open(word) for word in self._words(value))
        built = replace(target, numbers=numbers)
        if self._share(built) is None:
            raise Refusal(errno.EINVAL, "the length is no multiple of the data devices")
        for number, sector, length in self.areas(machine, built):
            if sector + length > machine.sectors(number):
                raise Refusal(errno.EINVAL, f"{number} is too small")
        return built

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        share = self._share(target) or 0
        for number in self._data(target):
            yield number, 0, share

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        assert isinstance(target.value, Raid)
        if target.value.level == "raid1":
            for number in self._data(target):
                yield number, sector, length

    def message(self, machine: Machine, device: Device, target: Built, words: list[str]) -> str:
        if len(words) != 1 or words[0].lower() not in _RAID_MESSAGES:
            raise Refusal(errno.EINVAL, f"raid does not know the message {' '.join(words)}")
        return ""

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        value = target.value
        assert isinstance(value, Raid)
        share = self._share(target)
        health = "".join("-" if leg.data == "-" else "A" for leg in value.legs)
        return f"{value.level} {len(value.legs)} {health} {share}/{share} idle 0 0 -"

    def _words(self, value: Raid) -> list[str]:
        """The device fields, in the order of the text."""
        words: list[str] = []

        def note(word: str) -> str:
            words.append(word)
            return word

        value.map_devices(note)
        return words

    def _data(self, target: Built) -> Iterator[DeviceNumber]:
        """The data devices that are there."""
        value = target.value
        assert isinstance(value, Raid)
        legs = [word for leg in value.legs for word in leg]
        present = iter(target.numbers[-sum(word != "-" for word in legs) :])
        for at, word in enumerate(legs):
            number = None if word == "-" else next(present)
            if number is not None and at % 2:
                yield number

    def _share(self, target: Built) -> int | None:
        """Sectors of each data device, or None when the length cannot be shared out evenly."""
        value = target.value
        assert isinstance(value, Raid)
        if value.level == "raid1":
            return target.length
        copies = 1
        if value.level.startswith("raid10"):
            copies = int(dict(value.options).get("raid10_copies", "2"))
        legs = len(value.legs) - _PARITY.get(value.level[:5], 0)
        return None if target.length * copies % legs else target.length * copies // legs

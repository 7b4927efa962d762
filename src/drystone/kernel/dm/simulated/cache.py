# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""cache: a fast device before a slow one. No block is ever promoted here.

Facts: Linux 6.1 `drivers/md/dm-cache-target.c`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace

from drystone.kernel.dm.simulated.behaviour import Plain
from drystone.kernel.dm.simulated.device import READ, WRITE, Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener, foreign
from drystone.kernel.dm.simulated.refusal import Refusal
from drystone.kernel.dm.simulated.thin_metadata import METADATA_BLOCK, metadata_blocks
from drystone.kernel.dm.targets import Cache

_SMALLEST_BLOCK, _LARGEST_BLOCK = 64, 1 << 21
_MODES = ("writeback", "writethrough", "passthrough")
_FEATURES = (*_MODES, "metadata2", "no_discard_passdown")
_POLICIES = {"default": "smq", "smq": "smq", "mq": "mq", "cleaner": "cleaner"}
_FRESH_BLOCKS = 8
_THRESHOLD = 2048


@dataclass(frozen=True, slots=True)
class CacheMetadata:
    """What a cache remembers: sectors of a block, and the metadata's version."""

    block: int
    version: int


@dataclass(slots=True)
class CacheInstance:
    """What messages change: sectors that may be moved at a time."""

    threshold: int = _THRESHOLD

    def copy(self) -> CacheInstance:
        return replace(self)


class CacheBehaviour(Plain):
    """Passes everything to the origin."""

    def __init__(self) -> None:
        super().__init__(Cache.parse, (2, 3, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, Cache)
        numbers = tuple(opener.open(each, READ | WRITE) for each in (value.metadata, value.fast, value.origin))
        if target.length > machine.sectors(numbers[2]):
            raise Refusal(errno.EINVAL, "the device is larger than its origin")
        block = value.block
        if not _SMALLEST_BLOCK <= block <= _LARGEST_BLOCK or block % _SMALLEST_BLOCK:
            raise Refusal(errno.EINVAL, f"a block of {block} sectors")
        if block > machine.sectors(numbers[1]):
            raise Refusal(errno.EINVAL, "a block is larger than the cache device")
        words = [word.lower() for word in value.features]
        modes = [word for word in words if word in _MODES]
        if len(words) > 3 or set(words) - set(_FEATURES) or len(modes) > 1 or value.policy not in _POLICIES:
            raise Refusal(errno.EINVAL, f"features {' '.join(words)}, policy {value.policy}")
        version = 2 if "metadata2" in words else 1
        place = machine.place(numbers[0], 0)
        found = machine.contents.setdefault(place, CacheMetadata(block, version))
        if not isinstance(found, CacheMetadata):
            raise Refusal(foreign(found), "the metadata device holds something else")
        if found != CacheMetadata(block, version):
            raise Refusal(errno.EINVAL, f"the metadata is of blocks of {found.block} sectors, version {found.version}")
        key = machine.new_key()
        machine.instances[key] = CacheInstance()
        return replace(target, numbers=numbers, instance=key)

    def destroy(self, machine: Machine, target: Built) -> None:
        del machine.instances[target.instance]

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        _, fast, origin = target.numbers
        yield fast, 0, machine.sectors(fast)
        yield origin, 0, target.length

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        yield target.numbers[2], sector, length

    def message(self, machine: Machine, device: Device, target: Built, words: list[str]) -> str:
        if len(words) != 2 or words[0].lower() != "migration_threshold" or not words[1].isdigit():
            raise Refusal(errno.EINVAL, f"cache does not know the message {' '.join(words)}")
        machine.instance(target, CacheInstance).threshold = int(words[1])
        return ""

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        value = target.value
        assert isinstance(value, Cache)
        metadata, fast, _ = target.numbers
        given = {word.lower() for word in value.features}
        mode = next((word for word in _MODES if word in given), "writeback")
        features = [word for word in ("metadata2", mode, "no_discard_passdown") if word in {*given, mode}]
        threshold = machine.instance(target, CacheInstance).threshold
        words = (
            *(METADATA_BLOCK, f"{_FRESH_BLOCKS}/{metadata_blocks(machine.sectors(metadata))}"),
            *(value.block, f"0/{machine.sectors(fast) // value.block}"),
            *("0 0 0 0 0 0 0", len(features), *features, "2 migration_threshold", threshold),
            *(_POLICIES[value.policy], "0 rw -"),
        )
        return " ".join(map(str, words)) + " "

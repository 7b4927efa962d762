"""What makes a group document whole: names, references, sizes, and no extent used twice.

`parse_group` is the way in for bytes; `check_group` is what every mutator's result passes, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NoReturn

import msgspec

from drystone.base.characters import DIGITS, LOWER, WORD, is_made_of
from drystone.base.documents import decode
from drystone.base.errors import UsageError
from drystone.base.names import check_name
from drystone.dvm.groups.group import Disk, Group, Index, check_version, device_name
from drystone.dvm.groups.kinds import (
    RAID_LEAST,
    AnyVolume,
    Cache,
    Crypt,
    Era,
    Linear,
    Raid,
    Raid10,
    Run,
    Snapshot,
    Striped,
    Thin,
    ThinPool,
    raid_size,
)

SMALLEST_EXTENT, LARGEST_EXTENT = 4096, 1 << 34
"""Bytes."""
PAGE = 4096
"""Bytes: what starts of devices, chunks, blocks and regions are multiples of."""
_LARGEST_DEVICE = 1 << 62
_UUID = f"{WORD}-"
_TAG = f"{WORD}_+.-/=!:&#"
_CIPHER = f"{WORD}_():,-"
"""Characters."""
_LONGEST_UUID, _LONGEST_TAG = 48, 128
_KEYS = ("logon", "user", "encrypted", "trusted")
_LONGEST_NAME = 127 - len("-move.999.9999999999")
"""Characters: activation adds a suffix to some."""
_LARGEST_THIN_ID = (1 << 24) - 1
_FORMAT = "the format is in docs/reference/group.md"
_STACKED = (ThinPool, Snapshot)
"""Kinds that are no parts of others; a thin volume can be what a layer is put over, and no other part."""
CACHE_MODES = ("writethrough", "writeback", "passthrough")
CACHE_POLICIES = ("smq", "cleaner")


class _NoGroup(msgspec.Struct, tag_field="schema", tag=""):
    """Stands beside Group where one is decoded: a choice of two makes msgspec insist that `schema` is there."""


_NAMED_SCHEMA: Any = Group | _NoGroup


def parse_group(data: bytes | str, what: str = "group") -> Group:
    """A group from its JSON text, checked by `check_group`.

    :raises UsageError: no JSON, another schema or version, or a group that cannot be.
    """
    try:
        group = decode(data, _NAMED_SCHEMA, what)
    except UsageError as error:
        raise UsageError(error.message, hint=_FORMAT) from error
    if not isinstance(group, Group):
        raise UsageError(f"{what}: the schema is empty", hint=_FORMAT)
    check_group(group, what)
    return group


def check_group(group: Group, what: str = "group") -> Index:
    """Check what the schema cannot say; the index of the group.

    :raises UsageError: naming the volume or device and what is wrong with it.
    """
    check_version(group.version, what)
    check = _Checker(group, what)
    check.head()
    for device in group.devices:
        check.device(device)
    for volume in group.volumes:
        check.volume(volume)
    check.space()
    check.order()
    return check.index


def is_power_of_two(number: int) -> bool:
    """Whether it is 1, 2, 4, 8 and so on."""
    return number > 0 and not number & (number - 1)


class _Checker:
    def __init__(self, group: Group, what: str) -> None:
        self.group = group
        self.what = what
        self.index = Index(group)

    def fail(self, message: str, hint: str = _FORMAT) -> NoReturn:
        raise UsageError(f"{self.what}: {message}", hint=hint)

    def unique(self, values: Iterable[str], of_what: str) -> None:
        seen: set[str] = set()
        for value in values:
            if value in seen:
                self.fail(f"two {of_what} {value!r}")
            seen.add(value)

    def tags(self, tags: tuple[str, ...], name: str) -> None:
        for tag in tags:
            if not is_made_of(tag, _TAG, _LONGEST_TAG):
                self.fail(f"{name}: {tag!r} cannot be a tag", "up to 128 of a-z A-Z 0-9 _ + . - / = ! : & #")
        self.unique(tags, f"times, {name} has the tag")

    def head(self) -> None:
        group = self.group
        check_name(group.name, f"{self.what}: name")
        if not is_power_of_two(group.extent_size) or not SMALLEST_EXTENT <= group.extent_size <= LARGEST_EXTENT:
            self.fail(f"an extent of {group.extent_size} bytes", "a power of two from 4096 bytes to 16 GiB")
        self.tags(group.tags, "the group")
        for uuid in (group.uuid, *self.index.devices, *self.index.volumes):
            if not is_made_of(uuid, _UUID, _LONGEST_UUID) or uuid[0] == "-":
                self.fail(f"{uuid!r} cannot be a uuid", "up to 48 letters, digits and hyphens")
        self.unique((device.uuid for device in group.devices), "devices have the uuid")
        self.unique((device.path for device in group.devices if device.path), "devices are at")
        self.unique((volume.uuid for volume in group.volumes), "volumes have the uuid")
        self.unique((volume.name for volume in group.volumes), "volumes are called")

    def device(self, device: Disk) -> None:
        name = device.path or device.uuid
        self.tags(device.tags, name)
        path = device.path
        if path and (not path.startswith("/") or not path.isprintable() or any(c in path for c in " {}\\")):
            self.fail(f"{path!r} is no path of a device", "absolute, printable, without blanks, braces, backslashes")
        if not 0 <= device.start <= device.size <= _LARGEST_DEVICE or device.start % PAGE:
            self.fail(f"{name}: extents cannot begin at byte {device.start} of {device.size}")
        if not 0 <= device.extents <= (device.size - device.start) // self.group.extent_size:
            self.fail(f"{name}: {device.extents} extents have no room in {device.size - device.start} bytes")

    def volume(self, volume: AnyVolume) -> None:
        name = volume.name
        self.name(volume)
        self.tags(volume.tags, name)
        if volume.size <= 0 or volume.size % self.group.extent_size or volume.size > _LARGEST_DEVICE:
            self.fail(f"{name}: {volume.size} bytes are not whole extents of {self.group.extent_size}")
        for uuid in volume.parts():
            part = self.index.volumes.get(uuid)
            if part is None:
                self.fail(f"{name}: its part {uuid!r} is not there")
            if part.part_of != volume.uuid:
                self.fail(f"{name}: {part.name} is not marked as its part")
            is_base = isinstance(volume, Cache | Era | Crypt) and uuid == volume.base
            if isinstance(part, _STACKED) or (isinstance(part, Thin) and not is_base):
                self.fail(f"{name}: a {part.kind} ({part.name}) cannot be a part")
        self.unique(volume.parts(), f"times, {name} has the part")
        expected = RULES[type(volume)](self, volume)
        if expected is not None and expected != volume.size:
            self.fail(f"{name}: it says {volume.size} bytes, its extents or parts make {expected}")

    def name(self, volume: AnyVolume) -> None:
        owner = None
        if volume.part_of is None:
            check_name(volume.name, f"{self.what}: name of a volume")
        else:
            owner = self.index.volumes.get(volume.part_of)
            if owner is None or volume.uuid not in owner.parts():
                self.fail(f"{volume.name}: what it is a part of is not there, or does not know it")
            prefix = f"{owner.name}:"
            if not volume.name.startswith(prefix) or not _is_part(volume.name[len(prefix) :]):
                self.fail(f"{volume.name!r} cannot be the name of a part of {owner.name}")
        if len(device_name(self.group.name, volume.name)) > _LONGEST_NAME:
            self.fail(f"{volume.name}: with the group's, its name is longer than device-mapper's")

    def part(self, uuid: str) -> AnyVolume:
        return self.index.volumes[uuid]

    def run(self, name: str, run: Run) -> None:
        for place in run.places():
            device = self.index.devices.get(place.device)
            if device is None:
                self.fail(f"{name}: its device {place.device!r} is not there")
            if place.begin < 0 or place.count <= 0 or place.end > device.extents:
                self.fail(
                    f"{name}: extents {place.begin} to {place.end} are not within the {device.extents} "
                    f"of {device.path or device.uuid}"
                )

    def chunk(self, name: str, what: str, size: int, least: int, most: int) -> None:
        if not is_power_of_two(size) or not least <= size <= most:
            self.fail(f"{name}: a {what} of {size} bytes", f"a power of two from {least} to {most}")

    def space(self) -> None:
        """No extent belongs to two."""
        used = [
            (place.device, place.begin, place.end, volume.name)
            for volume in self.group.volumes
            for run in volume.runs()
            for place in run.places()
        ]
        used.sort()
        for (device, _, end, one), (other_device, begin, _, two) in pairwise(used):
            if device == other_device and begin < end:
                path = self.index.devices[device].path or device
                self.fail(f"extent {begin} of {path} belongs to {one} and to {two}")

    def order(self) -> None:
        """Nothing needs itself."""
        state: dict[str, bool] = {}
        for root in self.index.volumes:
            stack = [(root, iter(self.index.volumes[root].needs()))] if root not in state else []
            while stack:
                uuid, rest = stack[-1]
                state.setdefault(uuid, False)
                child = next((each for each in rest if state.get(each) is not True), None)
                if child is None:
                    stack.pop()
                    state[uuid] = True
                elif child in state:
                    self.fail(f"{self.index.volumes[child].name} needs itself")
                else:
                    stack.append((child, iter(self.index.volumes[child].needs())))


def _linear(check: _Checker, volume: Linear) -> int:
    for run in volume.segments:
        check.run(volume.name, run)
    return sum(run.count for run in volume.segments) * check.group.extent_size


def _striped(check: _Checker, volume: Striped) -> int:
    check.chunk(volume.name, "chunk", volume.chunk, PAGE, check.group.extent_size)
    for row in volume.rows:
        if len(row.legs) < 2 or len({run.count for run in row.legs}) != 1:
            check.fail(f"{volume.name}: a row has two legs at least, all of one length")
        for run in row.legs:
            check.run(volume.name, run)
    return sum(run.count for run in volume.runs()) * check.group.extent_size


def _raid(check: _Checker, volume: Raid) -> int:
    count, kind = len(volume.legs), type(volume)
    if count < RAID_LEAST[kind] or (kind is Raid10 and count % 2):
        check.fail(
            f"{volume.name}: {volume.kind} of {count} legs", f"{RAID_LEAST[kind]} at least; raid10 an even number"
        )
    check.chunk(volume.name, "region", volume.region, PAGE, _LARGEST_DEVICE)
    if volume.chunk_size or kind.__struct_config__.tag != "raid1":
        check.chunk(volume.name, "chunk", volume.chunk_size, PAGE, min(check.group.extent_size, volume.region))
    sizes = {check.part(leg.data).size for leg in volume.legs}
    if len(sizes) != 1:
        check.fail(f"{volume.name}: its legs are not of one size")
    if sum(leg.rebuild for leg in volume.legs) > {"raid5": 1, "raid6": 2, "raid10": count // 2}.get(
        volume.kind, count - 1
    ):
        check.fail(f"{volume.name}: more legs are to be rebuilt than can be")
    return raid_size(kind, count, sizes.pop())


def _thin_pool(check: _Checker, pool: ThinPool) -> int:
    name = pool.name
    if not 1 << 16 <= pool.block <= 1 << 30 or pool.block % (1 << 16):
        check.fail(f"{name}: a block of {pool.block} bytes", "a multiple of 64 KiB up to 1 GiB")
    if not 0 <= pool.low_water <= pool.size or not 0 <= pool.transaction_id < 1 << 62:
        check.fail(f"{name}: its low water mark or transaction id cannot be")
    if pool.messages:
        from drystone.dvm.state import Transaction
        from drystone.dvm.thin_pool import parse_messages

        parse_messages(name, Transaction(pool.transaction_id, pool.messages))
    ids: dict[int, str] = {}
    for user in check.index.users(pool.uuid):
        if isinstance(user, Thin):
            if user.dev_id in ids:
                check.fail(f"{user.name} and {ids[user.dev_id]} have the thin id {user.dev_id}")
            ids[user.dev_id] = user.name
    if not 0 <= pool.next_id <= _LARGEST_THIN_ID + 1 or any(not 0 <= dev_id < pool.next_id for dev_id in ids):
        check.fail(f"{name}: a thin id is not below the next one, {pool.next_id}")
    return check.part(pool.data).size


def _thin(check: _Checker, volume: Thin) -> None:
    pool = check.index.volumes.get(volume.pool)
    if not isinstance(pool, ThinPool):
        check.fail(f"{volume.name}: its pool {volume.pool!r} is not there, or no thin pool")
    if volume.origin is not None and not isinstance(check.index.volumes.get(volume.origin), Thin):
        check.fail(f"{volume.name}: its origin {volume.origin!r} is not there, or no thin volume")


def _snapshot(check: _Checker, volume: Snapshot) -> int:
    check.chunk(volume.name, "chunk", volume.chunk, PAGE, 1 << 19)
    for other in check.index.users(volume.origin):
        if isinstance(other, Snapshot) and other.origin == volume.origin and other.chunk != volume.chunk:
            # An origin splits writes at the chunks of the snapshots that were there when it was resumed.
            check.fail(f"{volume.name} and {other.name} are snapshots of one volume and differ in their chunks")
        if isinstance(other, Snapshot) and other.merging and volume.merging and other.uuid != volume.uuid:
            check.fail(f"{volume.name} and {other.name} cannot be merged into one volume at the same time")
    origin = check.index.volumes.get(volume.origin)
    if origin is None or origin.part_of is not None or isinstance(origin, ThinPool | Snapshot):
        check.fail(f"{volume.name}: its origin {volume.origin!r} is not there, or is none that can have snapshots")
    return origin.size


def _cache(check: _Checker, volume: Cache) -> int:
    if not 1 << 15 <= volume.block <= 1 << 30 or volume.block % (1 << 15):
        check.fail(f"{volume.name}: a block of {volume.block} bytes", "a multiple of 32 KiB up to 1 GiB")
    if volume.mode not in CACHE_MODES or volume.policy not in CACHE_POLICIES:
        check.fail(f"{volume.name}: mode {volume.mode!r}, policy {volume.policy!r}")
    if volume.block > check.part(volume.fast).size:
        check.fail(f"{volume.name}: a block of {volume.block} bytes is larger than the cache")
    return check.part(volume.base).size


def _era(check: _Checker, volume: Era) -> int:
    if not PAGE <= volume.block <= 1 << 30 or volume.block % PAGE:
        check.fail(f"{volume.name}: a block of {volume.block} bytes", "a multiple of 4096 up to 1 GiB")
    return check.part(volume.base).size


def _is_part(name: str) -> bool:
    """Whether a part can be called so behind its owner's name: `data0`, `meta`, `cow:data1`."""
    return all(is_made_of(word.rstrip(DIGITS), LOWER) for word in name.split(":"))


def _is_key(key: str) -> bool:
    """Whether it is a key's description, as keyctl and dm-crypt have it: without blanks and control characters."""
    kind, colon, name = key.partition(":")
    return kind in _KEYS and bool(colon and name) and not any(each.isspace() or each <= " " for each in name)


def _crypt(check: _Checker, volume: Crypt) -> int:
    if not _is_key(volume.key) or not is_made_of(volume.cipher, _CIPHER):
        check.fail(f"{volume.name}: key {volume.key!r}, cipher {volume.cipher!r}", "a key is logon:DESCRIPTION")
    if not 1 <= volume.key_size <= 512:
        check.fail(f"{volume.name}: a key of {volume.key_size} bytes")
    return check.part(volume.base).size


RULES: dict[type, Callable[..., int | None]] = {
    Linear: _linear,
    Striped: _striped,
    **dict.fromkeys(RAID_LEAST, _raid),
    ThinPool: _thin_pool,
    Thin: _thin,
    Snapshot: _snapshot,
    Cache: _cache,
    Era: _era,
    Crypt: _crypt,
}
"""A kind -> its own rules; what is returned is the size in bytes that its extents or parts make, or None."""

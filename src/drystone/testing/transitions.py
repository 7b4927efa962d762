"""Pairs of device-mapper states, old and desired, that programs must lead between: a sample of every target.

Outside disks are written `/disk/0`, `/disk/1`, `/disk/2`; whoever runs a transition resolves them
(`drystone.dvm.state.resolve_paths`) to block devices of DISK_SECTORS sectors full of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from drystone.dvm.state import Device, Line, State, Transaction

DISKS = ("/disk/0", "/disk/1", "/disk/2")
DISK_SECTORS = 131072
"""Sectors of each disk: 64 MiB."""


@dataclass(frozen=True, slots=True)
class Transition:
    """From `old`, which is made from nothing, to `desired`.

    :ivar thin_ids: the ids in the thin pool in the old and in the desired state.
    """

    name: str
    old: State
    desired: State
    thin_ids: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())


def _state(*devices: Device) -> State:
    return State(devices)


def _device(name: str, *lines: tuple[int, str, str], read_only: bool = False, uuid: str = "") -> Device:
    """A device from (length in sectors, target, parameters) of each line."""
    start = 0
    table = []
    for length, target, params in lines:
        table.append(Line(start, length, target, params))
        start += length
    return Device(name, uuid or f"T-{name}", tuple(table), read_only)


def _disk(name: str, disk: int, offset: int, length: int) -> Device:
    return _device(name, (length, "linear", f"/disk/{disk} {offset}"))


_META = _disk("meta", 0, 0, 8192)
_DATA = _disk("data", 1, 0, 32768)


def _pool(transaction_id: int, *messages: str, length: int = 32768) -> Device:
    line = Line(0, length, "thin-pool", "{meta} {data} 128 0")
    return Device("pool", "T-pool", (line,), transaction=Transaction(transaction_id, messages))


def _thin(name: str, dev_id: int, length: int = 65536, uuid: str = "") -> Device:
    return _device(name, (length, "thin", f"{{pool}} {dev_id}"), uuid=uuid)


_TWO_THINS = _state(_META, _DATA, _pool(1, "create_thin 1", "create_thin 2"), _thin("one", 1), _thin("two", 2))
_ON_THIN = _device("crypt", (65536, "linear", "{one} 0"))


def _ids(*ids: int) -> frozenset[int]:
    return frozenset(ids)


_THIN = (
    Transition("create a thin pool and thin devices", _state(), _TWO_THINS, thin_ids=(_ids(), _ids(1, 2))),
    Transition(
        "snapshot of an active origin that something stands on",
        _state(*_TWO_THINS.devices, _ON_THIN),
        _state(_META, _DATA, _pool(2, "create_snap 3 1"), *_TWO_THINS.devices[3:], _ON_THIN, _thin("snap", 3)),
        thin_ids=(_ids(1, 2), _ids(1, 2, 3)),
    ),
    Transition(
        "snapshots of two active origins at one moment",
        _state(*_TWO_THINS.devices, _ON_THIN),
        _state(_META, _DATA, _pool(2, "create_snap 3 1", "create_snap 4 2"), *_TWO_THINS.devices[3:], _ON_THIN),
        thin_ids=(_ids(1, 2), _ids(1, 2, 3, 4)),
    ),
    Transition(
        "delete a thin device",
        _TWO_THINS,
        _state(_META, _DATA, _pool(2, "delete 2"), _thin("one", 1)),
        thin_ids=(_ids(1, 2), _ids(1)),
    ),
    Transition(
        "a thin device goes back to another one",
        _TWO_THINS,
        _state(_META, _DATA, _pool(2, "create_snap 3 2", "delete 1"), _thin("one", 3), _thin("two", 2)),
        thin_ids=(_ids(1, 2), _ids(2, 3)),
    ),
    Transition(
        "create, snapshot and delete in one transaction",
        _TWO_THINS,
        _state(
            _META,
            _DATA,
            _pool(2, "create_thin 3", "create_snap 4 1", "delete 2", "delete 9"),
            _thin("one", 1),
            _thin("three", 3),
            _thin("four", 4),
        ),
        thin_ids=(_ids(1, 2), _ids(1, 3, 4)),
    ),
    Transition(
        "resize a thin device and what stands on it",
        _state(*_TWO_THINS.devices, _ON_THIN),
        _state(
            *_TWO_THINS.devices[:3],
            _thin("one", 1, 98304),
            _thin("two", 2, 32768),
            _device("crypt", (98304, "linear", "{one} 0")),
        ),
        thin_ids=(_ids(1, 2), _ids(1, 2)),
    ),
    Transition(
        "grow a thin pool, its data and its metadata",
        _TWO_THINS,
        _state(
            _disk("meta", 0, 0, 16384),
            _disk("data", 1, 0, 65536),
            _pool(1, "create_thin 1", "create_thin 2", length=65536),
            *_TWO_THINS.devices[3:],
        ),
        thin_ids=(_ids(1, 2), _ids(1, 2)),
    ),
    Transition(
        "everything goes, the pool's thin devices stay in it", _TWO_THINS, _state(), thin_ids=(_ids(1, 2), _ids(1, 2))
    ),
)

_STACK = (
    _disk("left", 0, 0, 16384),
    _disk("right", 1, 0, 16384),
    _device("both", (16384, "linear", "{left} 0"), (16384, "linear", "{right} 0")),
    _device("top", (32768, "linear", "{both} 0")),
)

_LINEAR = (
    Transition("create a stack", _state(), _state(*_STACK)),
    Transition(
        "move what is below a stack, and swap the names of two legs",
        _state(*_STACK),
        _state(
            _device("right", (16384, "linear", "/disk/2 0"), uuid="T-left"),
            _device("left", (16384, "linear", "/disk/1 65536"), uuid="T-right"),
            _device("both", (16384, "linear", "{right} 0"), (16384, "linear", "{left} 0")),
            _STACK[3],
        ),
    ),
    Transition(
        "grow a stack from below",
        _state(*_STACK),
        _state(
            _disk("left", 0, 0, 16384),
            _disk("right", 1, 0, 32768),
            _disk("more", 2, 0, 8192),
            _device(
                "both", (16384, "linear", "{left} 0"), (32768, "linear", "{right} 0"), (8192, "linear", "{more} 0")
            ),
            _device("top", (57344, "linear", "{both} 0")),
        ),
    ),
    Transition(
        "shrink a stack from above",
        _state(*_STACK),
        _state(
            _disk("left", 0, 0, 8192),
            _device("both", (8192, "linear", "{left} 0")),
            _device("top", (8192, "linear", "{both} 0")),
        ),
    ),
    Transition(
        "striped, error and zero change places, one becomes read-only",
        _state(
            _device("a", (16384, "striped", "2 64 /disk/0 0 /disk/1 0")),
            _device("b", (8192, "zero", ""), (8192, "error", "")),
            _device("c", (16384, "linear", "{b} 0")),
        ),
        _state(
            _device("a", (8192, "error", ""), (8192, "linear", "/disk/2 0"), read_only=True),
            _device("b", (16384, "striped", "4 32 /disk/0 0 /disk/0 16384 /disk/1 0 /disk/1 16384")),
            _device("c", (8192, "zero", ""), (8192, "linear", "{b} 0")),
        ),
    ),
    Transition(
        "put a device between two, replace another of its name",
        _state(_disk("low", 0, 0, 16384), _device("high", (16384, "linear", "{low} 0"))),
        _state(
            _device("low", (16384, "linear", "/disk/0 0"), uuid="T-other"),
            _device("middle", (16384, "linear", "{low} 0")),
            _device("high", (16384, "linear", "{middle} 0")),
        ),
    ),
)

_LEGS = tuple(_disk(f"leg{n}", n, 16384, 16384) for n in range(3))
_RAID_META = tuple(_disk(f"rmeta{n}", n, 65536, 8192) for n in range(3))

_REDUNDANT = (
    Transition(
        "replace a leg of a mirror",
        _state(
            *_LEGS[:2],
            _device("m", (16384, "mirror", "core 2 1024 nosync 2 {leg0} 0 {leg1} 0 1 handle_errors")),
            _device("on", (16384, "linear", "{m} 0")),
        ),
        _state(
            _LEGS[0],
            _LEGS[2],
            _device("m", (16384, "mirror", "core 1 1024 2 {leg0} 0 {leg2} 0 1 handle_errors")),
            _device("on", (16384, "linear", "{m} 0")),
        ),
    ),
    Transition(
        "replace a leg of a raid1",
        _state(
            *_LEGS[:2],
            *_RAID_META[:2],
            _device("r", (16384, "raid", "raid1 3 0 region_size 1024 2 {rmeta0} {leg0} {rmeta1} {leg1}")),
        ),
        _state(
            _LEGS[0],
            _LEGS[2],
            _RAID_META[0],
            _RAID_META[2],
            _device("r", (16384, "raid", "raid1 5 0 rebuild 1 region_size 1024 2 {rmeta0} {leg0} {rmeta2} {leg2}")),
        ),
    ),
)

_SLOW = _disk("slow", 0, 0, 65536)
_FAST = (_disk("cmeta", 1, 0, 8192), _disk("fast", 1, 8192, 16384))

_PLAIN = _state(_device("vol", (32768, "linear", "/disk/0 0")))
_ORIGIN = (_disk("real", 0, 0, 32768), _disk("cow", 1, 0, 16384))
_SNAPPED = _state(
    *_ORIGIN,
    _device("vol", (32768, "snapshot-origin", "{real}")),
    _device("snap", (32768, "snapshot", "{real} {cow} P 16")),
)
_MERGING = _state(*_ORIGIN, _device("vol", (32768, "snapshot-merge", "{real} {cow} P 16")))

_LAYERED = (
    Transition(
        "put a cache before a device that is in use",
        _state(_SLOW, _device("vol", (65536, "linear", "{slow} 0")), _device("user", (65536, "linear", "{vol} 0"))),
        _state(
            _SLOW,
            *_FAST,
            _device("vol", (65536, "cache", "{cmeta} {fast} {slow} 128 1 writethrough default 0")),
            _device("user", (65536, "linear", "{vol} 0")),
        ),
    ),
    Transition(
        "take a cache away",
        _state(*_FAST, _SLOW, _device("vol", (65536, "cache", "{cmeta} {fast} {slow} 128 1 writethrough default 0"))),
        _state(_SLOW, _device("vol", (65536, "linear", "{slow} 0"))),
    ),
    Transition(
        "put an era target before a device",
        _state(_SLOW, _device("vol", (32768, "linear", "{slow} 0"))),
        _state(_SLOW, _FAST[0], _device("vol", (32768, "era", "{cmeta} {slow} 128"))),
    ),
    Transition(
        "grow an era target",
        _state(_SLOW, _FAST[0], _device("vol", (32768, "era", "{cmeta} {slow} 128"))),
        _state(_SLOW, _FAST[0], _device("vol", (65536, "era", "{cmeta} {slow} 128"))),
    ),
    Transition(
        "take a snapshot of a device that is in use",
        _PLAIN,
        _SNAPPED,
    ),
    Transition(
        "merge a snapshot",
        _SNAPPED,
        _MERGING,
    ),
    Transition(
        "merge one of two snapshots",
        _state(
            *_ORIGIN,
            _disk("cow2", 2, 0, 16384),
            _device("snap", (32768, "snapshot", "{real} {cow} P 16")),
            _device("snap2", (32768, "snapshot", "{real} {cow2} P 16")),
            _device("vol", (32768, "snapshot-origin", "{real}")),
        ),
        _state(
            *_ORIGIN,
            _disk("cow2", 2, 0, 16384),
            _device("snap2", (32768, "snapshot", "{real} {cow2} P 16")),
            _device("vol", (32768, "snapshot-merge", "{real} {cow} P 16")),
        ),
    ),
    Transition(
        "end a merge",
        _MERGING,
        _PLAIN,
    ),
    Transition(
        "drop a snapshot",
        _SNAPPED,
        _PLAIN,
    ),
)

TRANSITIONS: tuple[Transition, ...] = (*_THIN, *_LINEAR, *_REDUNDANT, *_LAYERED)
"""All of them; names are unique."""

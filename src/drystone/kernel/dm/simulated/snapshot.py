# ruff: noqa: ARG002  every target answers the same calls, whatever it needs of them
"""snapshot, snapshot-merge and snapshot-origin: exceptions of an origin on another device.

A merge is done as soon as it is resumed; a kernel takes its time.

Facts: Linux 6.1 `drivers/md/dm-snap.c`, `dm-snap-persistent.c`, `dm-snap-transient.c`, `dm-exception-store.c`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from msgspec import structs

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated.behaviour import Plain
from drystone.kernel.dm.simulated.device import READ, WRITE, Built, Device
from drystone.kernel.dm.simulated.machine import Extent, Machine, Opener
from drystone.kernel.dm.simulated.refusal import Refusal
from drystone.kernel.dm.targets import Snapshot, SnapshotMerge, SnapshotOrigin, Target

_LARGEST_CHUNK = ((1 << 31) - 1) >> 9
_EXCEPTION_BYTES = 16


@dataclass(frozen=True, slots=True)
class Store:
    """Exceptions: which chunks of the origin have a copy.

    :ivar chunk: sectors; 0 while another table still has the exceptions.
    """

    chunk: int
    persistent: bool
    chunks: frozenset[int] = frozenset()
    valid: bool = True

    @property
    def metadata(self) -> int:
        """Sectors of the exception device that hold the store's own data: a header, and an area for each few."""
        return (2 + len(self.chunks) // self._an_area) * self.chunk if self.persistent else 0

    @property
    def allocated(self) -> int:
        """Sectors in use."""
        return len(self.chunks) * self.chunk + self.metadata

    @property
    def _an_area(self) -> int:
        return max(1, self.chunk * 512 // _EXCEPTION_BYTES)


@dataclass(slots=True)
class Exceptions:
    """One table's exceptions in core.

    :ivar minor: of the table's device.
    :ivar active: it was resumed.
    """

    minor: int
    origin: DeviceNumber
    cow: DeviceNumber
    store: Store
    active: bool = False
    overflowed: bool = False

    def copy(self) -> Exceptions:
        return replace(self)


def take_copies(machine: Machine, key: int, begin: int, length: int) -> bool:
    """Exceptions for the chunks of an extent that have none; False when there was no room for one of them."""
    exceptions = machine.instances[key]
    assert isinstance(exceptions, Exceptions)
    store, size = exceptions.store, machine.sectors(exceptions.cow)
    for chunk in range(begin // store.chunk, (begin + length - 1) // store.chunk + 1):
        if chunk in store.chunks:
            continue
        if size < store.allocated + store.chunk:
            _keep(machine, exceptions, store)
            return False
        store = replace(store, chunks=store.chunks | {chunk})
    _keep(machine, exceptions, store)
    return True


def invalidate(machine: Machine, device: Device, key: int) -> None:
    """The snapshot is of no use any more, which is an event."""
    exceptions = machine.instances[key]
    assert isinstance(exceptions, Exceptions)
    if exceptions.store.valid:
        _keep(machine, exceptions, replace(exceptions.store, valid=False))
        machine.event(device)


def _keep(machine: Machine, exceptions: Exceptions, store: Store) -> None:
    exceptions.store = store
    if store.persistent:
        machine.contents[machine.place(exceptions.cow, 0)] = store


class SnapshotBehaviour(Plain):
    """The origin as it was, with its own writes."""

    origin_mode = READ

    def __init__(
        self, parse: Callable[[str], Target] = Snapshot.parse, version: tuple[int, int, int] = (1, 16, 0)
    ) -> None:
        super().__init__(parse, version)

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        value = target.value
        assert isinstance(value, Snapshot)
        origin = opener.open(value.origin, self.origin_mode)
        if value.cow == str(origin):
            raise Refusal(errno.EINVAL, "the origin cannot hold its own exceptions")
        cow = opener.open(value.cow)
        if value.chunk & (value.chunk - 1) or value.chunk > _LARGEST_CHUNK:
            raise Refusal(errno.EINVAL, f"a chunk of {value.chunk} sectors")
        if isinstance(value, SnapshotMerge) and value.store == "N":
            raise Refusal(errno.EINVAL, "exceptions in memory cannot be merged")
        sharing = [each for _, each in _sharing(machine, origin, cow)]
        if len(sharing) == 2 or any(not each.active for each in sharing):
            raise Refusal(errno.EINVAL, "the exceptions are being handed over already")
        store = Store(0, value.store != "N") if sharing else _open_store(machine, cow, value)
        key = machine.new_key()
        machine.instances[key] = Exceptions(opener.device.minor, origin, cow, store)
        return replace(target, numbers=(origin, cow), instance=key)

    def destroy(self, machine: Machine, target: Built) -> None:
        del machine.instances[target.instance]

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        origin, cow = target.numbers
        yield origin, 0, target.length
        yield cow, 0, machine.sectors(cow)

    def preresume(self, machine: Machine, device: Device, target: Built) -> None:
        source, goal = self._handover(machine, target)
        if source is None or goal is None:
            return
        theirs = machine.instances[source]
        assert isinstance(theirs, Exceptions)
        if source == target.instance or not machine.devices[theirs.minor].suspended:
            raise Refusal(errno.EINVAL, "the exceptions' source is not suspended")

    def resume(self, machine: Machine, device: Device, target: Built) -> None:
        source, goal = self._handover(machine, target)
        mine = machine.instance(target, Exceptions)
        if source is not None and goal is not None:
            theirs = machine.instances[source]
            assert isinstance(theirs, Exceptions)
            mine.store, theirs.store = theirs.store, replace(theirs.store, chunks=frozenset())
            theirs.active = False
        mine.active = True

    def _handover(self, machine: Machine, target: Built) -> tuple[int | None, int | None]:
        """The keys of the active and of the other exceptions on the same device."""
        mine = machine.instance(target, Exceptions)
        sharing = _sharing(machine, mine.origin, mine.cow)
        source = next((key for key, each in sharing if each.active), None)
        return source, next((key for key, each in sharing if not each.active), None)

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        exceptions = machine.instance(target, Exceptions)
        if not exceptions.store.valid:
            return "Invalid"
        if exceptions.overflowed:
            return "Overflow"
        store = exceptions.store
        return f"{store.allocated}/{machine.sectors(exceptions.cow)} {store.metadata}"

    def params(self, machine: Machine, target: Built) -> str:
        value = target.value
        assert isinstance(value, Snapshot)
        origin, cow = map(str, target.numbers)
        chunk = machine.instance(target, Exceptions).store.chunk
        return structs.replace(value, origin=origin, cow=cow, chunk=chunk).to_params()

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        exceptions = machine.instance(target, Exceptions)
        if not exceptions.store.valid or exceptions.overflowed:
            raise Refusal(errno.EIO, "the snapshot is invalid")
        machine.place(exceptions.cow, 0)
        if not take_copies(machine, target.instance, sector, length):
            assert isinstance(target.value, Snapshot)
            if target.value.store == "PO":
                exceptions.overflowed = True
            else:
                invalidate(machine, device, target.instance)
            raise Refusal(errno.EIO, "the exception store is full")


class SnapshotMergeBehaviour(SnapshotBehaviour):
    """Copies the exceptions back to the origin."""

    origin_mode = WRITE

    def __init__(self) -> None:
        super().__init__(SnapshotMerge.parse, (1, 5, 0))

    def resume(self, machine: Machine, device: Device, target: Built) -> None:
        super().resume(machine, device, target)
        mine = machine.instance(target, Exceptions)
        if mine.store.valid:
            _keep(machine, mine, replace(mine.store, chunks=frozenset()))

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        _write_origin(machine, target.numbers[0], sector, length, but=target.instance)
        machine.write(target.numbers[0], sector, length, content)


class SnapshotOriginBehaviour(Plain):
    """The origin itself: its writes copy what the snapshots would lose."""

    def __init__(self) -> None:
        super().__init__(SnapshotOrigin.parse, (1, 9, 0))

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        assert isinstance(target.value, SnapshotOrigin)
        return replace(target, numbers=(opener.open(target.value.device),))

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        yield target.numbers[0], sector, length

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        _write_origin(machine, target.numbers[0], sector, length, but=0)
        super().write(machine, device, target, sector, length, content)


def _write_origin(machine: Machine, origin: DeviceNumber, sector: int, length: int, *, but: int) -> None:
    """Every active snapshot of the origin takes copies; one that has no room is invalid from now on."""
    for key, each in list(machine.instances.items()):
        if not isinstance(each, Exceptions) or each.origin != origin or not each.active or key == but:
            continue
        if each.store.valid and not take_copies(machine, key, sector, length):
            invalidate(machine, machine.devices[each.minor], key)


def _sharing(machine: Machine, origin: DeviceNumber, cow: DeviceNumber) -> list[tuple[int, Exceptions]]:
    """The exceptions of that origin on that device."""
    found = [(key, each) for key, each in machine.instances.items() if isinstance(each, Exceptions)]
    return [(key, each) for key, each in found if (each.origin, each.cow) == (origin, cow)]


def _open_store(machine: Machine, cow: DeviceNumber, value: Snapshot) -> Store:
    if value.store == "N":
        if not value.chunk:
            raise Refusal(errno.EINVAL, "the chunk is not set")
        return Store(value.chunk, persistent=False)
    place = machine.place(cow, 0)
    found = machine.contents.get(place)
    if found is None:
        found = machine.contents[place] = Store(value.chunk or 32, persistent=True)
    if not isinstance(found, Store):
        raise Refusal(errno.ENXIO, "the exception device holds something else")
    return found

"""The simulated device-mapper: the Protocol of `abc.py` on a value instead of a kernel.

It has no threads and touches nothing outside itself; `copy` gives an independent one. It answers as Linux 6.1 does,
errno for errno, and passes the same conformance check as the real one. What differs, and is documented here:

* Where the kernel would wait for something that only another call can bring (input or output of a suspended device, an
  event, the resume of a pool), it raises TimedOutError and undoes the call.
* Nothing takes time: mirrors are in sync and merges done at once, a deferred removal happens with the last close.
* Metadata blocks in use, and the block of a held metadata snapshot, are estimates.
* The bytes of devices are not there. `write` says what is written, so that thin blocks are taken, eras marked,
  snapshots filled.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from drystone.base.errors import KernelError, TimedOutError
from drystone.kernel.dm.abc import (
    DeviceEntry,
    DeviceInfo,
    DeviceNumber,
    Ref,
    TableLine,
    TargetStatus,
    TargetVersion,
    Uuid,
)
from drystone.kernel.dm.simulated import io_statistics, lifecycle
from drystone.kernel.dm.simulated.device import Built, Device, Disk, Table
from drystone.kernel.dm.simulated.kinds import KINDS
from drystone.kernel.dm.simulated.machine import Machine, Noise
from drystone.kernel.dm.simulated.refusal import Blocked, Refusal
from drystone.kernel.dm.simulated.thin import ThinBehaviour
from drystone.kernel.dm.words import split_words

MAJOR = 253
"""The major number of device-mapper's devices, as most kernels give it."""
LONGEST_NAME, LONGEST_UUID = 127, 128
"""Bytes."""

_MINORS = 1 << 20
_LARGEST = 1 << 64

Answer = TypeVar("Answer")


class SimulatedDeviceMapper:
    """DeviceMapper without a kernel.

    :param disks: the block devices below: number -> sectors.
    :param major: the major number of the mapped devices.
    :param machine: the state to go on from, instead of an empty one with `disks`.
    """

    def __init__(
        self, disks: Mapping[DeviceNumber, int] | None = None, *, major: int = MAJOR, machine: Machine | None = None
    ) -> None:
        self.machine = machine or Machine(KINDS, major)
        for number, sectors in (disks or {}).items():
            self.machine.disks[number] = Disk(sectors)

    # The simulation's own calls

    def copy(self) -> SimulatedDeviceMapper:
        """An independent simulation in the same state."""
        return SimulatedDeviceMapper(machine=self.machine.copy())

    def reboot(self) -> SimulatedDeviceMapper:
        """A simulation after a restart: the disks and what is stored on them, no device."""
        fresh = Machine(self.machine.kinds, self.machine.major, contents=dict(self.machine.contents))
        fresh.disks = {number: Disk(disk.sectors, disk.discards) for number, disk in self.machine.disks.items()}
        return SimulatedDeviceMapper(machine=fresh)

    def add_disk(self, number: DeviceNumber, sectors: int, *, discards: bool = True) -> None:
        """Attach a block device full of zeros, or give one that is there another size."""
        claims = self.machine.disks[number].claims if number in self.machine.disks else 0
        self.machine.disks[number] = Disk(sectors, discards, claims)

    def open(self, ref: Ref, *, exclusive: bool = False) -> None:
        """Hold a device (or a disk, by its number) open as a process does; as a mount does when `exclusive`.

        :raises KernelError: ENXIO no such device, EBUSY an exclusive open of what is held by others.
        """

        def act() -> None:
            device = None if self._is_disk(ref) else self._find(ref)
            number = self.machine.number(device) if device else ref
            assert isinstance(number, DeviceNumber)
            if device is not None and not device.has_disk:
                raise Refusal(errno.ENXIO, "the device has had no table")
            holder = device or self.machine.disks[number]
            if exclusive and (holder.claims or self.machine.held(number)):
                raise Refusal(errno.EBUSY, "somebody else holds the device")
            holder.claims += exclusive
            if device is not None:
                device.openers += 1

        self._call("open", ref, act)

    def close(self, ref: Ref, *, exclusive: bool = False) -> None:
        """The inverse of `open`. A device whose removal was deferred goes with its last holder."""

        def act() -> None:
            device = None if self._is_disk(ref) else self._find(ref)
            holder = device or self.machine.disks[ref]  # type: ignore[index]  # a disk's reference is its number
            if holder.claims < exclusive or (device is not None and not device.openers):
                raise Refusal(errno.EBADF, "it is not open")
            holder.claims -= exclusive
            if device is not None:
                device.openers -= 1
            lifecycle.remove_deferred(self.machine)

        self._call("close", ref, act)

    def write(self, ref: Ref, sector: int, length: int, *, zeros: bool = False) -> None:
        """Sectors [sector, sector + length) of a device or a disk are written (with zeros, which wipe metadata).

        :raises KernelError: EPERM a read-only device, EIO, or ENOSPC of a full pool.
        :raises TimedOutError: the write would wait.
        """

        def act() -> None:
            device = None if self._is_disk(ref) else self._find(ref)
            number = self.machine.number(device) if device else ref
            assert isinstance(number, DeviceNumber)
            if device is not None and device.live is not None and device.read_only:
                raise Refusal(errno.EPERM, "the device is read-only")
            if length:
                self.machine.write(number, sector, length, None if zeros else Noise())

        self._call("write", ref, act)

    def discard(self, ref: Ref, sector: int, length: int) -> None:
        """Discard sectors of a device: thin devices unmap the whole blocks among them.

        :raises KernelError: EOPNOTSUPP the device has no thin target there, or the pool ignores discards.
        """

        def act() -> None:
            def meet(device: Device, target: Built, at: int, count: int) -> None:
                behaviour = self.machine.behaviour(target)
                if not isinstance(behaviour, ThinBehaviour):
                    raise Refusal(errno.EOPNOTSUPP, f"{target.kind} takes no discards here")
                behaviour.discard(self.machine, device, target, at, count)

            self.machine.reach(self.machine.number(self._find(ref)), sector, length, meet)

        self._call("discard", ref, act)

    # The Protocol

    def version(self) -> tuple[int, int, int]:
        return (4, 47, 0)

    def target_versions(self) -> list[TargetVersion]:
        return [TargetVersion(name, behaviour.version) for name, behaviour in self.machine.kinds.items()]

    def list_devices(self) -> list[DeviceEntry]:
        devices = sorted(self.machine.devices.values(), key=lambda device: device.name.encode())
        return [DeviceEntry(each.name, self.machine.number(each), each.event_nr, each.uuid) for each in devices]

    def create(self, name: str, uuid: str = "", *, minor: int | None = None) -> DeviceInfo:
        def act() -> DeviceInfo:
            self._check_name(name)
            if uuid:
                self._check_text(uuid, LONGEST_UUID)
            devices = self.machine.devices
            if minor is not None and not 0 <= minor < _MINORS:
                raise Refusal(errno.EINVAL, f"a minor number is below {_MINORS}")
            if minor in devices:
                raise Refusal(errno.ENXIO, f"the minor number {minor} is taken")
            if any(device.name == name or (uuid and device.uuid == uuid) for device in devices.values()):
                raise Refusal(errno.EBUSY, "the name or the uuid is taken")
            free = minor if minor is not None else next(each for each in range(_MINORS) if each not in devices)
            devices[free] = Device(free, name, uuid)
            return self._info(devices[free])

        return self._call("create", name, act)

    def remove(self, ref: Ref, *, deferred: bool = False) -> None:
        self._call("remove", ref, lambda: lifecycle.remove(self.machine, self._find(ref), deferred=deferred))

    def rename(self, ref: Ref, name: str) -> None:
        def act() -> None:
            self._check_name(name)
            device = None if isinstance(ref, str) else self._find(ref)
            if any(each.name == name for each in self.machine.devices.values()):
                raise Refusal(errno.EBUSY, "the name is taken")
            device = device or self._find(ref)
            device.name = name
            self.machine.event(device)

        self._call("rename", ref, act)

    def set_uuid(self, ref: Ref, uuid: str) -> None:
        def act() -> None:
            self._check_text(uuid, LONGEST_UUID)
            device = None if isinstance(ref, str) else self._find(ref)
            if any(each.uuid == uuid for each in self.machine.devices.values()):
                raise Refusal(errno.EBUSY, "the uuid is taken")
            device = device or self._find(ref)
            if device.uuid:
                raise Refusal(errno.EINVAL, "it has a uuid")
            device.uuid = uuid
            self.machine.event(device)

        self._call("set-uuid", ref, act)

    def suspend(self, ref: Ref, *, no_flush: bool = False, lock_fs: bool = True) -> DeviceInfo:
        del no_flush, lock_fs
        return self._change("suspend", ref, lambda device: lifecycle.suspend(self.machine, device))

    def resume(self, ref: Ref) -> DeviceInfo:
        return self._change("resume", ref, lambda device: lifecycle.resume(self.machine, device))

    def load(self, ref: Ref, table: Sequence[TableLine], *, read_only: bool = False) -> DeviceInfo:
        def change(device: Device) -> None:
            if not all(0 <= line.start < _LARGEST and 0 <= line.length < _LARGEST for line in table):
                raise Refusal(errno.EINVAL, "a line's extent is not one")
            lifecycle.load(self.machine, device, table, read_only=read_only)

        return self._change("load", ref, change)

    def clear(self, ref: Ref) -> DeviceInfo:
        return self._change("clear", ref, lambda device: lifecycle.clear(self.machine, device))

    def table(self, ref: Ref, *, inactive: bool = False) -> list[TableLine]:
        def act() -> list[TableLine]:
            table = self._table(ref, inactive=inactive)
            return [
                TableLine(each.start, each.length, each.kind, self.machine.behaviour(each).params(self.machine, each))
                for each in (table.targets if table else ())
            ]

        return self._call("table", ref, act)

    def status(self, ref: Ref, *, no_flush: bool = False) -> list[TargetStatus]:
        def act() -> list[TargetStatus]:
            device, table = self._find(ref), self._table(ref, inactive=False)
            found = []
            for each in table.targets if table else ():
                behaviour = self.machine.behaviour(each)
                text = behaviour.status(self.machine, device, each, flush=not no_flush)
                found.append(TargetStatus(each.start, each.length, each.kind, text))
            return found

        return self._call("status", ref, act)

    def info(self, ref: Ref) -> DeviceInfo:
        return self._call("info", ref, lambda: self._info(self._find(ref)))

    def look(self, ref: Ref) -> tuple[DeviceInfo, list[TableLine]]:
        return self.info(ref), self.table(ref)

    def message(self, ref: Ref, text: str, *, sector: int = 0) -> str:
        def act() -> str:
            if "\0" in text or not 0 <= sector < _LARGEST:
                raise Refusal(errno.EINVAL, "no message")
            device, words = self._find(ref), split_words(text)
            if not words:
                raise Refusal(errno.EINVAL, "an empty message")
            if words[0].startswith("@"):
                return self._message_core(device, words)
            if device.live is None:
                raise Refusal(errno.EINVAL, "the device has no table")
            for target in device.live.targets:
                if target.start <= sector < target.end:
                    return self.machine.behaviour(target).message(self.machine, device, target, words)
            raise Refusal(errno.EINVAL, f"there is no target at sector {sector}")

        return self._call("message", ref, act, text=text)

    def deps(self, ref: Ref, *, inactive: bool = False) -> list[DeviceNumber]:
        def act() -> list[DeviceNumber]:
            table = self._table(ref, inactive=inactive)
            return [use.number for use in table.uses] if table else []

        return self._call("deps", ref, act)

    def wait(self, ref: Ref, event_nr: int) -> DeviceInfo:
        """At once when the counter is another than `event_nr`.

        :raises TimedOutError: it is not: nothing else happens while this call runs.
        """

        def act() -> DeviceInfo:
            device = self._find(ref)
            if device.event_nr == event_nr % (1 << 32):
                raise Blocked(f"no event since {event_nr}")
            return self._info(device)

        return self._call("wait", ref, act)

    # What the calls share

    def _call(self, operation: str, ref: Ref, act: Callable[[], Answer], **facts: object) -> Answer:
        """Do it; turn a refusal into the public error. A call that would wait leaves nothing behind."""
        name = ref.text if isinstance(ref, Uuid) else str(ref)
        before = self.machine.copy() if self.machine.suspended_any() else None
        try:
            return act()
        except Refusal as refusal:
            raise KernelError(operation, refusal.number, device=name, hint=refusal.why, **facts) from refusal
        except Blocked as blocked:
            if before is not None and not blocked.keep:
                self.machine = before
            raise TimedOutError(f"{operation} on {name} would wait: {blocked.why}", operation=operation) from blocked

    def _change(self, operation: str, ref: Ref, change: Callable[[Device], None]) -> DeviceInfo:
        def act() -> DeviceInfo:
            device = self._find(ref)
            change(device)
            return self._info(device)

        return self._call(operation, ref, act)

    def _is_disk(self, ref: Ref) -> bool:
        return isinstance(ref, DeviceNumber) and ref in self.machine.disks

    def _find(self, ref: Ref) -> Device:
        for device in self.machine.devices.values():
            if isinstance(ref, DeviceNumber):
                found = ref == self.machine.number(device)
            elif isinstance(ref, Uuid):
                found = bool(ref.text) and device.uuid == ref.text
            else:
                found = device.name == ref
            if found:
                return device
        raise Refusal(errno.ENXIO, "there is no such device")

    def _table(self, ref: Ref, *, inactive: bool) -> Table | None:
        device = self._find(ref)
        return device.inactive if inactive else device.live

    def _info(self, device: Device) -> DeviceInfo:
        return DeviceInfo(
            name=device.name,
            uuid=device.uuid,
            number=self.machine.number(device),
            open_count=self.machine.open_count(device),
            target_count=len(device.live.targets) if device.live else 0,
            event_nr=device.event_nr,
            suspended=device.suspended,
            read_only=device.live is not None and device.read_only,
            live_table=device.live is not None,
            inactive_table=device.inactive is not None,
            deferred_remove=device.deferred,
        )

    def _check_text(self, text: str, longest: int) -> None:
        if not text or "\0" in text or len(text.encode(errors="surrogateescape")) > longest:
            raise Refusal(errno.EINVAL, f"1 to {longest} bytes are needed, none of them NUL")

    def _check_name(self, name: str) -> None:
        self._check_text(name, LONGEST_NAME)
        if "/" in name:
            raise Refusal(errno.EINVAL, "a name has no /")

    def _message_core(self, device: Device, words: list[str]) -> str:
        answer = io_statistics.answer(device, words)
        if answer is not None:
            return answer
        if [word.lower() for word in words] != ["@cancel_deferred_remove"]:
            raise Refusal(errno.EINVAL, f"no such message: {' '.join(words)}")
        device.deferred = False
        return ""

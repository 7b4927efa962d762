"""A thin pool and its devices, every change a program.

The order of one change, under the pool's lock:

1. the record says transaction T + 1 (durable);
2. the program sends the messages and `set_transaction_id T T+1` as its last step;
3. the caller's journal is struck out.

Killed in between, the kernel is at T or at T + 1. At the next start a pool at T takes the record back to T: the
messages may have been sent or not, and the journal's operation, which is undone or completed by messages that are
harmless when there is nothing to do, settles that (volumes/reconcile.py).

Devices: `<pool>` itself, `<pool>-<uuid>` for each volume and for a snapshot while it is backed up. Their dm UUIDs
begin with `DRYSTONE-<uuid of the pool>-`, so that devices of other users of device-mapper are never touched.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    ExhaustedError,
    KernelError,
    MismatchError,
    UnavailableError,
)
from drystone.dvm.dmactivate import activate
from drystone.dvm.metadata_snapshot import POOL, drop_snapshot, take_snapshot
from drystone.dvm.program import Program
from drystone.dvm.state import Device, Line, State, Transaction, observe, with_uuid
from drystone.dvm.thin_pool import LARGEST_ID
from drystone.kernel.dm.abc import DeviceNumber, Uuid
from drystone.kernel.dm.statuses import ThinPoolStatus
from drystone.kernel.dm.targets import ThinPool as PoolTarget
from drystone.volumes.drivers.host import Host, mapper_path
from drystone.volumes.drivers.pool_growth import Extension, compile_extension, plan_extension
from drystone.volumes.drivers.pool_room import check_room, low_water
from drystone.volumes.pools import Pool, PoolRecords


@dataclass(frozen=True, slots=True)
class ThinDevice:
    """An active thin device: `key` is the UUID of the volume or snapshot, `sectors` of 512 bytes."""

    key: str
    dev_id: int
    sectors: int
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is of a pool.

    :ivar devices: active ones, but for the pool itself, by the UUID of their volume or snapshot.
    :ivar nodes: names of files in /dev/mapper that are called as its devices are. :ivar recorded: the transaction that
        the catalogue has.
    """

    status: ThinPoolStatus
    devices: Mapping[str, Device]
    nodes: frozenset[str]
    recorded: int


class ThinPool:
    """The pool of `record`. `bring_up` before anything else."""

    def __init__(self, host: Host, records: PoolRecords, record: Pool) -> None:
        self._host = host
        self._records = records
        self._record = record
        self._lock = threading.Lock()
        self._reserving = threading.Lock()
        self._next = record.next_device

    @property
    def name(self) -> str:
        """The dm name of the pool."""
        return self._record.name

    @property
    def block_bytes(self) -> int:
        """Bytes in a block."""
        return self._record.block_sectors * 512

    @property
    def size(self) -> int:
        """Bytes of the pool's data."""
        return self._record.data_sectors * 512

    def device_name(self, key: str) -> str:
        """The dm name of the device of a volume or snapshot."""
        return f"{self.name}-{key}"

    def new_id(self) -> int:
        """A thin id that nothing had before. It is on record once a change used it.

        :raises ExhaustedError: all 2**24 were given out.
        """
        with self._lock:
            if self._next > LARGEST_ID:
                raise ExhaustedError(f"pool {self.name} has given out all thin ids", hint="make a new pool")
            self._next += 1
            return self._next - 1

    def bring_up(self, metadata: DeviceNumber, data: DeviceNumber, devices: Sequence[ThinDevice]) -> None:
        """Have the pool and exactly `devices` active, from whatever state.

        :raises MismatchError: the pool is at another transaction than the record.
        """
        with self._lock:
            current = observe(self._host.dm, with_uuid(self._prefix))
            pool = current.find(self.name)
            if pool is not None and pool.transaction is not None:
                self.settle(pool.transaction.transaction_id)
            target = PoolTarget(
                str(metadata), str(data), self._record.block_sectors, low_water(self._record.data_blocks)
            )
            line = Line(0, self._record.data_sectors, PoolTarget.kind, target.to_params())
            wanted = Device(
                self.name, self._uuid("pool"), (line,), transaction=Transaction(self._record.transaction_id)
            )
            state = State((wanted, *(self._device(each) for each in devices)))
            self._run(activate(current, state))
            there = {entry.name for entry in self._host.dm.list_devices()}
            for name in self._host.list_nodes():
                # What a process left that was killed between the removal of a device and that of its node.
                if name.startswith(f"{self.name}-") and name not in there:
                    self._host.remove_node(name)
            for device in state.devices:
                self._make_node(device.name)
            if self._status().held_root is not None:
                # A backup was cut short: what it held would keep deleted blocks from being freed.
                self._run(drop_snapshot(POOL, self.name, self._uuid("pool")))

    def settle(self, transaction_id: int) -> None:
        """Take the record back when a crash left the pool one transaction behind.

        :raises MismatchError: the pool is at another transaction than a crash of ours could leave.
        """
        known = self._record.transaction_id
        if transaction_id == known:
            return
        if transaction_id + 1 != known:
            raise MismatchError(
                f"pool {self.name} is at transaction {transaction_id}, the catalogue at {known}",
                hint="something else changed the pool, or the catalogue is an old copy; nothing was changed",
                pool=transaction_id,
                catalogue=known,
            )
        self._put(replace(self._record, transaction_id=transaction_id))

    def create(self, device: ThinDevice) -> str:
        """Make an empty thin device and activate it; its path."""
        self._change((f"create_thin {device.dev_id}",), add=(device,))
        return mapper_path(self.device_name(device.key))

    def delete(self, key: str, dev_id: int) -> None:
        """Deactivate a device where it is active, and delete its thin id where there is one.

        :raises BusyError: it is open.
        """
        self._count(dev_id)
        self._change((f"delete {dev_id}",), remove=(key,))

    def resize(self, device: ThinDevice) -> None:
        """Give an active device another size; one that has it stays. A mounted file system is frozen for it."""
        self._change((), add=(device,))

    def snapshot(self, taken: Sequence[tuple[ThinDevice, int]]) -> None:
        """Make snapshots of active devices: the id of each. All of one moment: the devices are suspended meanwhile,
        mounted file systems frozen.
        """
        self._change(snapshot_messages(taken), keep=[origin.key for origin, _ in taken])

    def copy(self, device: ThinDevice, snapshot: ThinDevice) -> str:
        """Make a device that begins with what a snapshot holds, and activate it; its path.

        An active device of that key becomes this one; what it was keeps its thin id.
        """
        self._change(snapshot_messages([(snapshot, device.dev_id)]), add=(device,), keep=(snapshot.key,))
        return mapper_path(self.device_name(device.key))

    def replace(self, dev_id: int, device: ThinDevice) -> None:
        """Have a device active, and delete a thin id that it may have been until now, where there is one."""
        self._count(dev_id)
        self._count(device.dev_id)
        self._change((f"delete {dev_id}",), add=(device,))

    @contextlib.contextmanager
    def active(self, device: ThinDevice) -> Iterator[str]:
        """Have a snapshot's device active for a while; its path."""
        self._change((), add=(device,))
        try:
            yield mapper_path(self.device_name(device.key))
        finally:
            self._change((), remove=(device.key,))

    @contextlib.contextmanager
    def reserved(self) -> Iterator[int]:
        """Hold the pool's one metadata snapshot; yields its block. Others wait; one that a crash left is replaced.

        :raises BusyError: another process reads the pool's metadata.
        """
        uuid = self._uuid("pool")
        with self._reserving, self._host.lock_metadata(Uuid(uuid)):
            with self._lock:
                self._run(take_snapshot(POOL, self.name, uuid, replace=True))
            try:
                status = self._status()
                if status.held_root is None:
                    raise UnavailableError(f"pool {self.name} reserved no metadata snapshot")
                yield status.held_root
            finally:
                with self._lock:
                    self._run(drop_snapshot(POOL, self.name, uuid))

    def survey(self) -> Survey:
        """What there is at this moment, between two changes of ours.

        :raises BusyError: another process reads the pool's metadata. :raises DamagedError: the pool has failed.
        """
        with self._reserving, self._host.lock_metadata(Uuid(self._uuid("pool"))), self._lock:
            status = self._status(no_flush=True)
            state = observe(self._host.dm, with_uuid(self._prefix))
            nodes = [each for each in self._host.list_nodes() if each.startswith(f"{self.name}-")]
        devices = {each.uuid.removeprefix(self._prefix): each for each in state.devices if each.name != self.name}
        return Survey(status, devices, frozenset(nodes), self._record.transaction_id)

    def is_as(self, device: Device, wanted: ThinDevice) -> bool:
        """Whether an active device is the one that is wanted."""
        return device.table == self._device(wanted).table and not device.suspended

    def drop_held(self) -> None:
        """Drop the metadata snapshot that a crash left. :raises BusyError: another process reads it."""
        uuid = self._uuid("pool")
        with self._reserving, self._host.lock_metadata(Uuid(uuid)), self._lock:
            self._run(drop_snapshot(POOL, self.name, uuid))

    def activate(self, device: ThinDevice) -> None:
        """Have a device active, with its file in /dev/mapper; one that is active already stays."""
        self._change((), add=(device,))

    def deactivate(self, key: str) -> None:
        """Have a device inactive. :raises BusyError: it is open."""
        self._change((), remove=(key,))

    def remove_node(self, name: str) -> None:
        """Remove a file in /dev/mapper that leads nowhere."""
        with self._lock:
            if name not in {entry.name for entry in self._host.dm.list_devices()}:
                self._host.remove_node(name)

    def delete_id(self, dev_id: int) -> None:
        """Delete a thin id that is not active."""
        self._change((f"delete {dev_id}",))

    def is_open(self, key: str) -> bool:
        """Whether anybody has a device open: a mount, a process, another device. One that is not active, nobody has."""
        try:
            return self._host.dm.info(Uuid(self._uuid(key))).open_count > 0
        except KernelError as error:
            if error.errno == errno.ENXIO:
                return False
            raise

    def number_of(self, key: str) -> DeviceNumber:
        """The number of an active device. :raises KernelError: it is not active (ENXIO)."""
        return self._host.dm.info(Uuid(self._uuid(key))).number

    def check_room(self) -> None:
        """:raises ExhaustedError: the pool is too full for new work. :raises DamagedError: it needs a check."""
        check_room(self.name, self.look())

    def look(self) -> ThinPoolStatus:
        """Its status at this moment, without a commit. :raises DamagedError: the pool has failed."""
        return self._status(no_flush=True)

    def plan_extension(self, data: int, metadata: int) -> tuple[Extension, Program]:
        """What `extend` would make of the pool on devices of so many bytes, and by which program."""
        extension = plan_extension(self._record, self.look(), data, metadata)
        pool = observe(self._host.dm, with_uuid(self._uuid("pool"))).find(self.name)
        if pool is None:
            raise UnavailableError(f"pool {self.name} is not active", hint="start the daemon again")
        return extension, compile_extension(pool, extension)

    def extend(self, data: int, metadata: int) -> Extension:
        """Make the pool as large as devices of so many bytes; durable when it returns (drivers/pool_growth.py).

        :raises RefusedError: it is so large already. :raises ExecutionError: the kernel refused; the record follows it.
        """
        with self._lock:
            extension, program = self.plan_extension(data, metadata)
            self._put(extension.after)
            try:
                self._run(program)
                status = self.look()
            except DrystoneError:
                with contextlib.suppress(DrystoneError):  # a pool that says nothing may be larger: so is the record
                    sectors = self.look().total_data * self._record.block_sectors
                    self._put(replace(extension.before, data_sectors=max(extension.before.data_sectors, sectors)))
                raise
            return replace(extension, metadata_after=status.total_metadata)

    def compile(
        self,
        messages: Sequence[str],
        *,
        add: Sequence[ThinDevice] = (),
        remove: Sequence[str] = (),
        keep: Sequence[str] = (),
    ) -> Program:
        """The program of a change of the pool as it is now. Only the devices that are named are looked at.

        :param remove, keep: keys of devices that shall be inactive, or stay active around the change.
        """
        involved = {self._uuid("pool")} | {self._uuid(key) for key in (*remove, *keep)}
        involved |= {self._uuid(each.key) for each in add}
        current = observe(self._host.dm, lambda entry: entry.uuid in involved)
        pool = current.find(self.name)
        if pool is None:
            raise UnavailableError(f"pool {self.name} is not active", hint="start the daemon again")
        transaction = Transaction(self._record.transaction_id + 1, tuple(messages)) if messages else None
        wanted = [Device(pool.name, pool.uuid, pool.table, transaction=transaction)]
        kept = {self._uuid(key) for key in keep}
        wanted += [
            Device(each.name, each.uuid, each.table, each.read_only) for each in current.devices if each.uuid in kept
        ]
        wanted += [self._device(each) for each in add]
        return activate(current, State(tuple(wanted)))

    def _change(
        self,
        messages: Sequence[str],
        *,
        add: Sequence[ThinDevice] = (),
        remove: Sequence[str] = (),
        keep: Sequence[str] = (),
    ) -> None:
        with self._lock:
            program = self.compile(messages, add=add, remove=remove, keep=keep)
            before = self._record
            if messages:
                self._put(replace(before, transaction_id=before.transaction_id + 1, next_device=self._next))
            try:
                self._run(program)
            except DrystoneError as error:
                if messages:
                    self._settle_with_kernel()
                if isinstance(error, KernelError) and error.errno == errno.EBUSY:
                    raise BusyError(f"{error.device or self.name} is in use", hint="see who has it open") from error
                raise
        for key in remove:
            self._host.remove_node(self.device_name(key))
        for device in add:
            self._make_node(self.device_name(device.key))

    def _count(self, dev_id: int) -> None:
        """That id was given out. It may not be on record: killed after the journal had it, before the pool's record.

        Where it cannot be deleted now it is later, and must be nobody else's by then.
        """
        with self._lock:
            self._next = max(self._next, dev_id + 1)

    def _settle_with_kernel(self) -> None:
        """After a failure: whatever the program left, the record follows the kernel.

        A pool that has failed says nothing: the next start settles it.
        """
        with contextlib.suppress(DamagedError):
            self.settle(self._status(no_flush=True).transaction_id)

    def _status(self, *, no_flush: bool = False) -> ThinPoolStatus:
        """:raises DamagedError: the pool has failed."""
        text = self._host.dm.status(Uuid(self._uuid("pool")), no_flush=no_flush)[0].text
        status = ThinPoolStatus.parse(text)
        if not isinstance(status, ThinPoolStatus):
            raise DamagedError(f"pool {self.name} has failed: its metadata is of no use", hint="see dmesg; thin_check")
        return status

    def _run(self, program: Program) -> None:
        self._host.execute(program).require_done()

    def _put(self, record: Pool) -> None:
        self._records.put_pool(record)
        self._record = record

    def _make_node(self, name: str) -> None:
        self._host.make_node(name, self._host.dm.info(name).number)

    @property
    def _prefix(self) -> str:
        return f"DRYSTONE-{self._record.uuid}-"

    def _uuid(self, key: str) -> str:
        return self._prefix + key

    def _device(self, device: ThinDevice) -> Device:
        line = Line(0, device.sectors, "thin", f"{{{self.name}}} {device.dev_id}")
        return Device(self.device_name(device.key), self._uuid(device.key), (line,), read_only=device.read_only)


def snapshot_messages(taken: Sequence[tuple[ThinDevice, int]]) -> tuple[str, ...]:
    """What tells a pool to make snapshots: the id of each."""
    return tuple(f"create_snap {dev_id} {origin.dev_id}" for origin, dev_id in taken)

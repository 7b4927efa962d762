"""The state of device-mapper as a document: what is there, or what is wanted.

    {"version": 1,
     "devices": [{"name": "pool", "uuid": "DRYSTONE-...",
                  "table": [{"start": 0, "length": 2097152, "target": "thin-pool", "params": "{meta} {data} 128 0"}],
                  "transaction": {"transaction_id": 4, "messages": ["create_thin 7"]}}]}

`start` and `length` are sectors of 512 bytes, as in every device-mapper table. Words of `params` are numbers, options,
and devices: `{name}` for another device of the document, major:minor or an absolute path for one outside it.
The format is docs/reference/programs.md.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import cache

import msgspec

from drystone.base.documents import decode
from drystone.base.errors import KernelError, UnsupportedError, UsageError
from drystone.dvm.references import (
    check_device_name,
    check_uuid,
    names_in,
    with_numbers_replaced,
    with_paths_replaced,
)
from drystone.kernel.dm.abc import DeviceEntry, DeviceMapper, DeviceNumber, TableLine

VERSION = 1
"""The version of the document's schema that this code writes, and the only one that it reads."""

THIN_POOL = "thin-pool"


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One target of a table: sectors [start, start + length) of the device."""

    start: int
    length: int
    target: str
    params: str = ""


class Transaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a thin pool stands.

    In a current state: the kernel's own transaction id, no messages. In a desired state: the id that the metadata of
    the pool's owner holds, and the messages that lead to it from the id before (`create_thin 7`, `create_snap 8 7`,
    `delete 3`; never `set_transaction_id`, which is added).
    """

    transaction_id: int
    messages: tuple[str, ...] = ()


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A device: what is live in the kernel, or is to be.

    :ivar uuid: the dm UUID; it says which device this is, whatever its name. "" in a desired state: any.
    :ivar table: the live table.
    :ivar inactive: the table in the inactive slot; current states only.
    :ivar suspended: whether it holds its input and output; current states only.
    :ivar transaction: of a thin pool; None when it is not to be looked at.
    """

    name: str
    uuid: str = ""
    table: tuple[Line, ...] = ()
    read_only: bool = False
    suspended: bool = False
    inactive: tuple[Line, ...] = ()
    transaction: Transaction | None = None

    @property
    def length(self) -> int:
        """Sectors of the live table."""
        return self.table[-1].start + self.table[-1].length if self.table else 0

    @property
    def is_pool(self) -> bool:
        """Whether it is a thin pool."""
        return len(self.table) == 1 and self.table[0].target == THIN_POOL


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A set of devices, in no particular order. Names are unique, and UUIDs too."""

    devices: tuple[Device, ...] = ()
    version: int = VERSION

    def find(self, name: str) -> Device | None:
        """The device of that name."""
        return next((device for device in self.devices if device.name == name), None)


def everything(entry: DeviceEntry) -> bool:  # noqa: ARG001  # the selection that looks at nothing
    """Select every device of the machine."""
    return True


def named(*prefixes: str) -> Callable[[DeviceEntry], bool]:
    """Select devices whose name begins with one of `prefixes`."""
    return lambda entry: entry.name.startswith(prefixes)


def with_uuid(*prefixes: str) -> Callable[[DeviceEntry], bool]:
    """Select devices whose UUID begins with one of `prefixes`."""
    return lambda entry: entry.uuid.startswith(prefixes)


def parse_state(data: bytes | str, what: str = "state") -> State:
    """A state from its JSON text, checked by `check_state`.

    :raises UsageError: no JSON, another schema, or a state that cannot be.
    """
    state = decode(data, State, what)
    check_state(state, what)
    return state


def check_state(state: State, what: str = "state") -> None:
    """Check what the schema cannot say: names, UUIDs, tables without gaps, references to devices of the document.

    :raises UsageError: naming the device and what is wrong with it.
    """
    if state.version != VERSION:
        raise UsageError(f"{what}: version {state.version} is not known", hint=f"this program reads version {VERSION}")
    names: set[str] = set()
    uuids: set[str] = set()
    for device in state.devices:
        check_device_name(device.name, f"{what}: device name")
        check_uuid(device.uuid, device.name)
        if device.name in names:
            raise UsageError(f"{what}: two devices are called {device.name!r}")
        if device.uuid and device.uuid in uuids:
            raise UsageError(f"{what}: {device.name!r} has the uuid of another device, {device.uuid!r}")
        names.add(device.name)
        uuids.add(device.uuid)
    for device in state.devices:
        for table in (device.table, device.inactive):
            check_table(table, f"{what}: {device.name!r}")
            for line in table:
                for name in names_in(line.params):
                    if name not in names:
                        raise UsageError(f"{what}: {device.name!r} is on {{{name}}}, which is not in the document")
        if device.transaction is not None and not device.is_pool:
            raise UsageError(f"{what}: {device.name!r} has a transaction and is no thin pool")


def check_table(table: tuple[Line, ...], what: str) -> None:
    """Check that `table` begins at 0, has no gap, and that every line can be one line of text.

    :raises UsageError: otherwise; `what` begins the message.
    """
    expected = 0
    for line in table:
        if line.start != expected:
            raise UsageError(f"{what}: a line of the table begins at sector {line.start}, {expected} was expected")
        if line.length <= 0:
            raise UsageError(f"{what}: a line of the table is {line.length} sectors long")
        if not line.target or len(line.target) > 15 or not line.target.isprintable() or " " in line.target:
            raise UsageError(f"{what}: {line.target!r} cannot be a target type")
        if not line.params.isprintable() or line.params != " ".join(line.params.split()):
            raise UsageError(f"{what}: parameters {line.params!r} are not words with single blanks between them")
        expected += line.length
    if expected >= 1 << 55:
        raise UsageError(f"{what}: the table is {expected} sectors long, more than a device can be")


def observe(dm: DeviceMapper, select: Callable[[DeviceEntry], bool] = everything) -> State:
    """What is there now, of the devices that `select` picks: tables, inactive tables, thin pools' transaction ids.

    Numbers in tables become `{name}` where the device is one of those picked. Devices that go away while this
    function looks are left out. A pool that stands on a suspended device is not asked for its transaction id (None):
    it may hold the lock on its metadata while it waits for that device, and the question would wait with it.

    :raises UnsupportedError: a picked device has a name that no document can hold.
    """
    entries = [entry for entry in dm.list_devices() if select(entry)]
    names = {entry.number: entry.name for entry in entries}
    for entry in entries:
        try:
            check_device_name(entry.name)
        except UsageError as error:
            raise UnsupportedError(error.message, hint="pick devices by a prefix of name or uuid") from error
    found = [device for entry in entries if (device := _observe_device(dm, entry.number, names)) is not None]
    asleep = {device.name for device in found if device.suspended}
    numbers = {name: number for number, name in names.items()}
    return State(
        tuple(
            msgspec.structs.replace(device, transaction=_observe_transaction(dm, numbers[device.name]))
            if device.is_pool and asleep.isdisjoint(_below(device.name, found))
            else device
            for device in found
        )
    )


def _observe_device(dm: DeviceMapper, number: DeviceNumber, names: dict[DeviceNumber, str]) -> Device | None:
    try:
        info, live = dm.look(number)
        table = _lines(with_pools(dm, number, live), names)
        sleeping = dm.table(number, inactive=True) if info.inactive_table else []
        inactive = _lines(with_pools(dm, number, sleeping, inactive=True), names)
    except KernelError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
    return Device(names[number], info.uuid, table, info.read_only, info.suspended, inactive)


def with_pools(
    dm: DeviceMapper, number: DeviceNumber, table: list[TableLine], *, inactive: bool = False
) -> list[TableLine]:
    """The table; where it says "Fail", as that of a thin device does whose pool failed, with what it stands on before.

    Source: drivers/md/dm-thin.c, thin_status.
    """
    if not any(line.target == "thin" and line.params == "Fail" for line in table):
        return table
    below = " ".join(str(each) for each in dm.deps(number, inactive=inactive))
    return [TableLine(line.start, line.length, line.target, f"{below} {line.params}") for line in table]


def _below(name: str, devices: list[Device]) -> set[str]:
    """All that the live table of `name` stands on, directly or through others."""
    children = {device.name: [n for line in device.table for n in names_in(line.params)] for device in devices}
    found: set[str] = set()
    waiting = [*children[name]]
    while waiting:
        child = waiting.pop()
        if child not in found:
            found.add(child)
            waiting += children.get(child, ())
    return found


def _observe_transaction(dm: DeviceMapper, number: DeviceNumber) -> Transaction | None:
    try:
        # Without a flush: the id needs no commit, and a commit may wait for a disk.
        status = dm.status(number, no_flush=True)
    except KernelError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
    words = status[0].text.split() if status else []
    # A pool whose metadata cannot be read says "Fail" or "Error" instead of numbers.
    return Transaction(int(words[0])) if words and words[0].isdigit() else None


def _lines(table: list[TableLine], names: dict[DeviceNumber, str]) -> tuple[Line, ...]:
    return tuple(
        Line(line.start, line.length, line.target, with_numbers_replaced(line.params, names)) for line in table
    )


def resolve_paths(state: State, number_of: Callable[[str], DeviceNumber]) -> State:
    """`state` with every absolute path in its tables replaced by the major:minor that `number_of` gives.

    A state that is compared with an observed one holds no paths: the kernel answers in numbers. Each path is asked for
    once.
    """
    number = cache(number_of)

    def resolve(table: tuple[Line, ...]) -> tuple[Line, ...]:
        if not any("/" in line.params for line in table):
            return table
        return tuple(
            msgspec.structs.replace(line, params=with_paths_replaced(line.params, lambda path: str(number(path))))
            for line in table
        )

    return msgspec.structs.replace(
        state,
        devices=tuple(
            msgspec.structs.replace(device, table=resolve(device.table), inactive=resolve(device.inactive))
            for device in state.devices
        ),
    )

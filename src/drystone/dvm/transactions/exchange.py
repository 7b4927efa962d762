"""Devices that keep their names and get other contents, as when a volume goes back to a snapshot: nobody may use them.

A file system that is mounted would mix what it has in memory with what is there from now on.
"""

from __future__ import annotations

from collections.abc import Sequence

from drystone.base.errors import BusyError, RefusedError
from drystone.dvm.state import Device, State
from drystone.kernel.dm.abc import DeviceMapper, TargetStatus


def find_exchanged(current: State, desired: State) -> tuple[str, ...]:
    """Names, as they are now, of the devices whose contents would be others: another thin id, or a merge that begins.

    The snapshot that is merged is one of them: it goes.
    """
    wanted = {device.uuid: device for device in desired.devices}
    found: list[str] = []
    merged: set[str] = set()
    for device in current.devices:
        after = wanted.get(device.uuid)
        if after is None:
            continue
        begins = _stores(after, "snapshot-merge") - _stores(device, "snapshot-merge")
        merged |= begins
        if begins or _is_other_thin(device, after):
            found.append(device.name)
    return (*found, *(device.name for device in current.devices if _stores(device, "snapshot") & merged))


def require_unused(current: State, desired: State, dm: DeviceMapper) -> None:
    """Nothing when the devices that get other contents are closed, or there are none.

    :raises BusyError: one is open. :raises RefusedError: a snapshot that would be merged has lost what it held.
    """
    for name in find_exchanged(current, desired):
        if not dm.info(name).suspended:
            _require_sound(name, dm.status(name, no_flush=True))
        if dm.info(name).open_count:
            raise BusyError(
                f"{name} is in use, and what it holds would become something else",
                hint="unmount it first",
                device=name,
            )


def _require_sound(name: str, statuses: Sequence[TargetStatus]) -> None:
    from drystone.kernel.dm.statuses import Unusable, parse_status  # seldom needed

    for each in statuses:
        if each.target == "snapshot" and isinstance(status := parse_status(each), Unusable):
            raise RefusedError(
                f"{name} cannot be merged: it is {status.word}",
                hint="its store was too small; remove it",
                device=name,
            )


def _is_other_thin(before: Device, after: Device) -> bool:
    ids = [[line.params.split()[1] for line in each.table if line.target == "thin"] for each in (before, after)]
    return bool(ids[0] and ids[1]) and ids[0] != ids[1]


def _stores(device: Device, target: str) -> set[str]:
    """What holds the exceptions of a device's targets of that kind."""
    return {line.params.split()[1] for line in device.table if line.target == target}

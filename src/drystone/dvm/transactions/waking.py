"""Sleeping thin pools are woken one after the other.

After a restart nobody knows whether a pool's last messages were sent, and a program asks one such pool (`dmactivate`).
So a group with several is activated in stages: first all that stands on none of them, then with one pool more each
time. An update that gives a sleeping pool a further transaction begins with the stages of the group as it was, as the
pool has to be at the last one before it can be told of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from drystone.dvm.groups.group import Group, Index, uuid_prefix
from drystone.dvm.groups.kinds import ThinPool
from drystone.dvm.state import Device, State, Transaction, with_uuid
from drystone.dvm.volactivate import LeftOut, pools_with_messages
from drystone.kernel.dm.abc import DeviceEntry


def find_sleepers(group: Group, current: State) -> tuple[str, ...]:
    """uuids of the group's thin pools with messages that cannot be asked as things are; those that are there first."""
    there = {device.uuid: device for device in current.devices}
    prefix = uuid_prefix(group)
    waiting = [uuid for uuid in pools_with_messages(group) if _is_asleep(there.get(f"{prefix}{uuid}"))]
    return tuple(sorted(waiting, key=lambda uuid: f"{prefix}{uuid}" not in there))


def list_stages(before: Group | None, after: Group, current: State) -> list[tuple[str, ...]]:
    """What is left out (uuids of pools) of `before` in each stage; nothing when one program can do it all."""
    if before is None:
        return []
    then = {volume.uuid: volume for volume in before.volumes if isinstance(volume, ThinPool)}
    now = {volume.uuid: volume for volume in after.volumes if isinstance(volume, ThinPool)}
    asleep = find_sleepers(after, current)
    waking = [uuid for uuid in find_sleepers(before, current) if uuid in now]
    has_next = any(_last(then[uuid]) != _last(now[uuid]) for uuid in waking)
    if not waking or (len(asleep) < 2 and not has_next):
        return []
    there = {device.uuid for device in current.devices}
    first = sum(f"{uuid_prefix(before)}{uuid}" in there for uuid in waking)
    return [tuple(waking[count:]) for count in range(first, len(waking) + 1)]


def awake(state: State) -> State:
    """What is there when a desired state has been reached: its pools are at their transactions, and nothing waits."""
    return State(tuple(_awake(device) for device in state.devices))


def hands_off(group: Group, left_out: Sequence[LeftOut], wanted: State) -> Callable[[DeviceEntry], bool]:
    """Select the group's devices but those of volumes that are left out: they stay as they are, should they be active.

    :param wanted: what is desired; parts of such a volume that are in it are selected.
    """
    prefix = uuid_prefix(group)
    if not left_out:
        return with_uuid(prefix)
    index = Index(group)
    desired = {device.uuid for device in wanted.devices}
    lost = {f"{prefix}{part.uuid}" for each in left_out for part in index.tree(index.by_name[each.name])}

    def select(entry: DeviceEntry) -> bool:
        return entry.uuid.startswith(prefix) and (entry.uuid in desired or volume_uuid(entry.uuid) not in lost)

    return select


def volume_uuid(uuid: str) -> str:
    """The device-mapper uuid of the volume that a device belongs to: some volumes have several."""
    return uuid.removesuffix("-real").partition("-move.")[0]


def _is_asleep(device: Device | None) -> bool:
    return device is None or device.transaction is None


def _last(pool: ThinPool) -> tuple[int, tuple[str, ...]]:
    return pool.transaction_id, pool.messages


def _awake(device: Device) -> Device:
    if device.transaction is None:
        return device
    return msgspec.structs.replace(device, transaction=Transaction(device.transaction.transaction_id))

"""What of a pool is not as the catalogue says: thin ids, active devices, files in /dev/mapper, what it holds.

The catalogue is read before and after looking. What it says both times, and no operation of its journal is about, was
so in between, and must be there; what neither it nor the journal says at either time, nobody of us made.

Looking takes a metadata snapshot of the pool, from which the thin ids are read, and drops it. Of a pool that needs a
check, that is read by somebody else, or whose metadata cannot be read, the rest is looked at all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from drystone.base.errors import BusyError, DamagedError, KernelError, UnavailableError
from drystone.base.sizes import SECTOR
from drystone.volumes.driver import Finding, Known, Snapshot, Volume
from drystone.volumes.drivers.host import Host
from drystone.volumes.drivers.thin_pool import Survey, ThinDevice, ThinPool


def find(pool: ThinPool, host: Host, metadata: str, known: Callable[[], Known]) -> Iterator[Finding]:
    """See the module. :param metadata: path of the pool's metadata device."""
    before = known()
    try:
        seen = pool.survey()
    except DamagedError as error:
        yield Finding("pool-failed", pool.name, error.message, error.hint)
        return
    except BusyError as error:
        yield Finding("not-looked-at", pool.name, error.message, "look again when it has ended")
        return
    yield from _of_status(pool, seen)
    ids: set[int] | None = None
    if seen.status.held_root is None and not _is_read_only(seen):
        try:
            with pool.reserved() as held_root:
                ids = host.list_thin_ids(metadata, held_root)
        except BusyError as error:
            yield Finding("not-looked-at", pool.name, error.message, "look again when it has ended")
        except (DamagedError, KernelError, UnavailableError) as error:
            text = f"its thin ids cannot be read: {error.message}"
            yield Finding("pool-failed", pool.name, text, "stop the daemon, and see drystone thin check")
    both = _Both(before, known())
    if ids is not None:
        yield from _of_ids(pool, both, ids)
    yield from _of_devices(pool, both, seen, known)


class _Both:
    """What the catalogue said before and after looking.

    :ivar volumes, snapshots: that were there all the time, with no operation about them.
    :ivar ids: thin ids that anybody of them has. :ivar keys: UUIDs of whatever may be there.
    """

    def __init__(self, before: Known, after: Known) -> None:
        passing = before.passing | after.passing
        self.volumes = [each for each in after.volumes if each in before.volumes and each.uuid not in passing]
        staying = {each.uuid for each in self.volumes}
        self.snapshots = [
            each
            for each in after.snapshots
            if each in before.snapshots and each.uuid not in passing and each.volume in staying
        ]
        everything: list[Volume | Snapshot] = [*before.volumes, *after.volumes, *before.snapshots, *after.snapshots]
        self.ids = {int(each.facts["DevID"]) for each in everything}
        self.keys = {each.uuid for each in everything} | passing
        self.is_still = not passing and before == after


def _is_read_only(seen: Survey) -> bool:
    return seen.status.needs_check or seen.status.mode == "ro"


def _of_status(pool: ThinPool, seen: Survey) -> Iterator[Finding]:
    if _is_read_only(seen):
        text = "the kernel takes no more changes of it: it needs a check"
        yield Finding("needs-check", pool.name, text, "see dmesg; stop the daemon and run thin_check on its metadata")
    if seen.status.transaction_id != seen.recorded:
        text = f"it is at transaction {seen.status.transaction_id}, the catalogue at {seen.recorded}"
        yield Finding("transaction", pool.name, text, "start the daemon again: it settles what a crash left")
    if seen.status.held_root is not None:
        text = (
            "it holds a metadata snapshot that nobody reads: what is deleted is not freed, its thin ids cannot be read"
        )
        yield Finding("held-snapshot", pool.name, text, "it is dropped", pool.drop_held)


def _of_ids(pool: ThinPool, both: _Both, ids: set[int]) -> Iterator[Finding]:
    things: list[Volume | Snapshot] = [*both.volumes, *both.snapshots]
    for each in things:
        if int(each.facts["DevID"]) not in ids:
            text = f"the pool has no thin device {each.facts['DevID']}: what was in it is gone"
            yield Finding("no-data", each.name, text, "restore a backup, and delete it")
    if not both.is_still:
        return  # what was made or deleted while the ids were read may be among them
    for dev_id in sorted(ids - both.ids):
        text = f"the pool has a thin device {dev_id} that the catalogue knows nothing of"
        delete = partial(pool.delete_id, dev_id)
        yield Finding(
            "unknown-data", f"thin device {dev_id}", text, "it is deleted, and what is in it", delete, loses=True
        )


def _of_devices(pool: ThinPool, both: _Both, seen: Survey, known: Callable[[], Known]) -> Iterator[Finding]:
    for volume in both.volumes:
        name = pool.device_name(volume.uuid)
        wanted, activate = _device(volume), partial(_activate, pool, known, volume.uuid)
        device = seen.devices.get(volume.uuid)
        if device is None:
            text, words = f"its device {name} is not active", "it is activated"
            yield Finding("inactive", volume.name, text, words, activate, volume.uuid)
        elif not pool.is_as(device, wanted):
            text = f"its device {name} has another table than it should have, or is suspended"
            yield Finding("other-table", volume.name, text, "unmount it and start the daemon again")
        elif name not in seen.nodes:
            text, words = f"there is no /dev/mapper/{name}", "it is made"
            yield Finding("no-node", volume.name, text, words, activate, volume.uuid)
    names = {device.name for device in seen.devices.values()}
    for key, device in seen.devices.items():
        if key not in both.keys:
            text, words = "it is active, and the catalogue knows nothing of it", "it is made inactive"
            yield Finding("unknown-device", device.name, text, words, partial(pool.deactivate, key))
    for name in sorted(seen.nodes - names):
        if name.removeprefix(f"{pool.name}-") not in both.keys:
            yield Finding(
                "stale-node",
                f"/dev/mapper/{name}",
                "it leads to no device",
                "it is removed",
                partial(pool.remove_node, name),
            )


def _device(volume: Volume) -> ThinDevice:
    return ThinDevice(volume.uuid, int(volume.facts["DevID"]), volume.size // SECTOR)


def _activate(pool: ThinPool, known: Callable[[], Known], uuid: str) -> None:
    """Activate a volume as it is now: it may have grown, or gone back to a snapshot, since it was looked at."""
    now = known()
    for volume in now.volumes:
        if volume.uuid == uuid and uuid not in now.passing:
            pool.activate(_device(volume))

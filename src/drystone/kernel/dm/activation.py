"""A whole device by hand: made, loaded, resumed, with its node; or not at all.

Services do not use this: they hand programs to the executor. It serves the command line, which speaks for one person.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence

from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import KernelError
from drystone.kernel.dm.abc import DeviceInfo, DeviceMapper, Ref, TableLine
from drystone.kernel.dm.nodes import leads_to, make_node, may_have_node, node_path, remove_node, udev_runs

_UDEV_PATIENCE_S = 1.0
_UDEV_STEP_S = 0.02
_CLOCK = SystemClock()


def create_active(
    dm: DeviceMapper,
    name: str,
    table: Sequence[TableLine],
    *,
    uuid: str = "",
    minor: int | None = None,
    read_only: bool = False,
) -> DeviceInfo:
    """A device with a live table and a node.

    :raises KernelError: a call failed; what was made before it is removed again.
    """
    node_path(name)  # a name that can have no node is refused before anything is made
    info = dm.create(name, uuid, minor=minor)
    try:
        dm.load(info.number, table, read_only=read_only)
        dm.resume(info.number)
        make_node(name, info.number)
    except BaseException:
        with contextlib.suppress(KernelError):
            dm.remove(info.number)
        remove_node(name)
        raise
    return dm.info(info.number)


def remove_with_node(dm: DeviceMapper, ref: Ref, *, deferred: bool = False, clock: Clock = _CLOCK) -> bool:
    """Remove a device and, when it is gone, its node; whether it is gone by now.

    udev opens a device for a moment after each of its events: where it runs, a device in use is tried again for a
    second.

    :raises KernelError: it is in use, or there is none.
    """
    info = dm.info(ref)
    limit = clock.monotonic() + (_UDEV_PATIENCE_S if udev_runs() else 0)
    while True:
        try:
            dm.remove(info.number, deferred=deferred)
            break
        except KernelError as error:
            if error.errno != errno.EBUSY or clock.monotonic() >= limit:
                raise
            clock.sleep(_UDEV_STEP_S)
    gone = not (deferred and info.open_count)
    if gone and may_have_node(info.name):
        remove_node(info.name)
    return gone


def rename_with_node(dm: DeviceMapper, ref: Ref, name: str) -> None:
    """Rename a device, and move its node where it had one.

    :raises KernelError: the name is taken, or there is no such device.
    """
    node_path(name)
    info = dm.info(ref)
    had_node = may_have_node(info.name) and leads_to(node_path(info.name)) == info.number
    dm.rename(info.number, name)
    if had_node:
        make_node(name, info.number)
        remove_node(info.name)


def resume_with_node(dm: DeviceMapper, ref: Ref) -> DeviceInfo:
    """Resume a device, and make its node where it is missing.

    :raises KernelError: it is suspended without a table, or its new table does not fit.
    """
    info = dm.resume(ref)
    if info.live_table and may_have_node(info.name):
        make_node(info.name, info.number)
    return info

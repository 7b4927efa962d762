"""A group of this machine: found by its labels, read, and changed step by step with its devices.

For commands that do more than one change. Nothing is kept between two steps: each finds the devices again, locks them,
and begins with the metadata that are there by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from drystone.base.documents import encode
from drystone.base.errors import NotFoundError
from drystone.dvm.discovery.devices import Devices
from drystone.dvm.groups.group import Group, Index, uuid_prefix
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.reports.live import Live, observe
from drystone.dvm.transactions import transact
from drystone.dvm.transactions.activation import Activation, Run
from drystone.dvm.transactions.documents import Outcome
from drystone.dvm.transactions.opening import opened
from drystone.kernel.dm.abc import DeviceInfo, DeviceMapper, DeviceNumber

Mutate = Callable[[Group], Group]


@dataclass(frozen=True, slots=True)
class Host:
    """What a group is changed with.

    :ivar run: runs a program. :ivar now: the time. :ivar make_nodes: is called after each change of device-mapper.
    :ivar number: major:minor of a path; None for the machine's own. :ivar wait_s: seconds to wait for another tool.
    """

    dm: DeviceMapper
    run: Run
    now: Callable[[], datetime]
    make_nodes: Callable[[], None] = lambda: None
    number: Callable[[str], DeviceNumber] | None = None
    wait_s: float = 10.0

    def activation(self, devices: Devices, *, partial: bool = False, only: Sequence[str] = ()) -> Activation:
        """What changes device-mapper with the metadata of the group that these devices are of."""
        return Activation(self.dm, self.run, devices, number=self.number, partial=partial, only=only)


class LiveGroup:
    """One group. :param find: its devices, as they are now."""

    def __init__(self, host: Host, find: Callable[[], Devices]) -> None:
        self.host = host
        self.find = find

    def read(self) -> Group:
        """The group as its metadata have it now.

        :raises MismatchError, NotFoundError: it is not complete, or there is none.
        """
        with opened(self.find(), wait_s=self.host.wait_s) as survey:
            return parse_group(bytes(transact.read(survey)[1].metadata), "the metadata")

    def update(self, mutate: Mutate, command: Sequence[str]) -> Outcome:
        """One transaction, with device-mapper. Durable when it returns. Raises as `transact.update`."""
        devices = self.find()
        along = self.host.activation(devices)
        with opened(devices, write=True, wait_s=self.host.wait_s) as survey:
            outcome = transact.update(
                survey,
                lambda metadata: encode(mutate(parse_group(metadata, "the metadata"))),
                command,
                self.host.now(),
                along=along,
            )
        self.host.make_nodes()
        return outcome

    def look(self, group: Group) -> Live:
        """What device-mapper says of the group's devices."""
        return observe(self.host.dm, group)

    def device(self, group: Group, name: str) -> DeviceInfo:
        """The active device of a volume.

        :raises NotFoundError: there is no such volume, or it is not active.
        """
        uuid = f"{uuid_prefix(group)}{Index(group).find(name).uuid}"
        for entry in self.host.dm.list_devices():
            if entry.uuid == uuid:
                return self.host.dm.info(entry.number)
        raise NotFoundError(f"{name} is not active", hint=f"dvm activate {group.name}", volume=name)

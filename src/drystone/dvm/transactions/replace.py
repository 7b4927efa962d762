"""Carries out the replacement of a device, step by step; which step comes next, `planning.replacement` says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from drystone.base.clock import Clock
from drystone.base.errors import NotFoundError
from drystone.dvm.discovery.devices import Devices
from drystone.dvm.groups.group import Group
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.metadata.edit import Ids
from drystone.dvm.planning.replacement import Replacement, Step, Wish, carry_out, next_step
from drystone.dvm.transactions import transact
from drystone.dvm.transactions.live_group import LiveGroup
from drystone.dvm.transactions.opening import find_device, opened

POLL_S = 1.0
"""Seconds between two looks at how far copying is."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """How a device is replaced.

    :ivar leave: takes a device (its uuid) out of the group's labels. :ivar tell: gets a line about each step.
    :ivar wait: whether copying is waited for, or left to another run.
    """

    live: LiveGroup
    ids: Ids
    clock: Clock
    leave: Callable[[str], None]
    tell: Callable[[str], None]
    wait: bool = True


@dataclass(frozen=True, slots=True)
class _Work:
    """One thing to do. :ivar do: does it; None when it is the kernel that works, and is to be waited for."""

    what: str
    do: Callable[[], None] | None = None


def replace_device(exchange: Exchange, reference: str, wish: Wish, *, dry_run: bool = False) -> Replacement:
    """Do all that is left to do; what was done.

    Every step is a transaction of its own. Whatever ends this in between, the same call goes on from there.

    :param reference: uuid, path or alias of the device. :param wish: its `device` and `is_lost` are found out here.
    :param dry_run: tell the first step, and take none.
    :raises NotFoundError: the group has no such device. :raises DrystoneError: as `next_step`, or of a step.
    """
    devices = exchange.live.find()
    wish = _completed(devices, reference, wish)
    steps: list[str] = []
    is_done = True
    for work in _list_work(exchange, reference, wish):
        exchange.tell(work.what)
        if work.do is None and exchange.wait and not dry_run:
            exchange.clock.sleep(POLL_S)
            continue
        steps.append(work.what)
        if work.do is None or dry_run:
            is_done = False
            break
        work.do()
    return Replacement(group=devices.group.name, device=wish.device, steps=tuple(steps), done=is_done, dry_run=dry_run)


def _list_work(exchange: Exchange, reference: str, wish: Wish) -> Iterator[_Work]:
    """What there is to do, each found out when the one before it is done."""
    live = exchange.live
    if wish.is_lost:
        group = _read(live)
        if _has(group, wish.device):
            next_step(group, wish, live.look(group))  # what it refuses is refused before anything is changed
        if _lacks_device(live, wish.device):
            yield _Work("the metadata is rewritten for the devices that are left", lambda: _recover(live, wish.device))
    while True:
        group = live.read()
        if not _has(group, wish.device):
            break
        step = next_step(group, wish, live.look(group))
        if step.act == "wait":
            yield _Work(f"{step.what}: {step.done} percent")
        else:
            yield _Work(step.what, partial(_take, live, step, wish, exchange.ids))
    yield _Work(f"the metadata and the label of {reference} are taken away", lambda: _leave(exchange, wish.device))


def _take(live: LiveGroup, step: Step, wish: Wish, ids: Ids) -> None:
    live.update(lambda group: carry_out(group, step, wish, ids), ("replace", wish.device, step.act))


def _has(group: Group, device: str) -> bool:
    return any(each.uuid == device for each in group.devices)


def _completed(devices: Devices, reference: str, wish: Wish) -> Wish:
    device = find_device(devices, reference)
    return replace(wish, device=device.uuid, is_lost=wish.is_lost or device.missing)


def _lacks_device(live: LiveGroup, device: str) -> bool:
    """Whether the metadata still counts on the device, which does not hold them."""
    with opened(live.find(), wait_s=live.host.wait_s) as survey:
        is_named = survey.version is None or any(each.uuid == device for each in survey.version.devices)
        return is_named and not any(each.uuid == device for each in survey.at_head)


def _recover(live: LiveGroup, device: str) -> None:
    with opened(live.find(), write=True, wait_s=live.host.wait_s) as survey:
        transact.recover(survey, ("replace", device, "recover"), live.host.now())


def _read(live: LiveGroup) -> Group:
    """The group, as far as it can be read."""
    with opened(live.find(), wait_s=live.host.wait_s) as survey:
        return parse_group(bytes(transact.read(survey, partial=True)[1].metadata), "the metadata")


def _leave(exchange: Exchange, device: str) -> None:
    """The metadata's regions of the device are erased, where it has any, and its label goes."""
    live = exchange.live
    with opened(live.find(), write=True, wait_s=live.host.wait_s) as survey:
        if any(each.uuid == device for each in survey.standings):
            transact.reduce(survey, [device], ("replace", device, "leave"), live.host.now())
    try:
        exchange.leave(device)
    except NotFoundError:
        return

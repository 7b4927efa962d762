"""Which legs of a volume are given up when mirrors hold their writes, as a function of what the kernel says.

A leg is given up only while another one of its mirror is at work. Where the link of the whole host is cut, all legs
fail, one shortly before the other: who gave up the first would have its writes fail at the second, as a single leg
holds nothing back. So what is held stays held until a leg has its connection again; that one is kept then, as every leg
of a set holds all that was acknowledged, and the others are copied to. A write that fails on all legs at once is not
held by dm-mirror: it fails (drivers/md/dm-raid1.c, do_failures).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from drystone.base.errors import UnavailableError
from drystone.cluster.agents.views import LiveMirror, is_at_work, is_offline, numbers_of
from drystone.kernel.iscsi.abc import Session


def legs_of_live(mirrors: Collection[LiveMirror], sessions: Mapping[str, Session | None]) -> dict[str, tuple[str, ...]]:
    """The legs of mirrors as they are, by the mirrors' names; "" for what is no leg's disk.

    For a volume that is being detached: the wish names none any more, and what is above writes as it goes.
    """
    legs = {number: leg for leg, session in sessions.items() for number in numbers_of(session)}
    return {each.name: tuple(legs.get(number, "") for number in each.status.devices) for each in mirrors}


def find_losses(
    failing: Collection[LiveMirror],
    mirrors: Mapping[str, tuple[str, ...]],
    in_use: Collection[str],
    sessions: Mapping[str, Session | None],
) -> tuple[str, ...]:
    """The legs to give up, in the order of `sessions`.

    :param failing: mirrors that hold their writes, one at least. :param mirrors: the legs of all, by their names.
    :param in_use: legs that a device is on. :param sessions: of the legs, by their ids.
    :raises UnavailableError: no leg here is the cause; or of each mirror none is at work, so that all goes on waiting.
    """
    # One without I/O raises no event: on one event every mirror is swapped whose leg is gone with it.
    numbers = {number for each in failing for number in each.failed}
    lost = {
        leg
        for leg, session in sessions.items()
        if leg in in_use and (is_offline(session) or not numbers.isdisjoint(numbers_of(session)))
    }
    if not lost:
        raise UnavailableError(f"{next(iter(failing)).name} holds its writes, and no leg here is the cause")
    waiting = ""
    for name, legs in mirrors.items():
        if "" in legs or lost.isdisjoint(legs):  # on another device, of which nothing is known here, or on nothing
            continue
        at_work = [leg for leg in legs if is_at_work(sessions[leg])]
        if lost.issuperset(legs):
            lost.difference_update(at_work[:1])
        if lost.issuperset(at_work):
            waiting = name
            lost.difference_update(legs)
    if not lost:
        raise UnavailableError(
            f"{waiting} holds its writes, as none of its legs can be reached", hint="are this host's links up?"
        )
    return tuple(leg for leg in sessions if leg in lost)

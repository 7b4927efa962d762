"""What an ihost agent keeps of a dlv, and what it may do about a wish, as functions of values."""

from __future__ import annotations

import re
from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from drystone.base.errors import NotFoundError, RefusedError, UsageError
from drystone.base.names import check_name
from drystone.cluster.agents.backups import is_of_backup
from drystone.cluster.agents.clones import check_source
from drystone.cluster.agents.devices import PREFIX, check_devices, devices_of
from drystone.cluster.agents.legs import chap_of, uuid_of_leg
from drystone.cluster.agents.logs import LogNote
from drystone.cluster.agents.notes import check_epoch
from drystone.cluster.agents.swap import lower_names, mirror_of, without_sync
from drystone.cluster.model.calls import Disk, VolumeWish, target_name
from drystone.cluster.model.tables import leg_path, log_path
from drystone.dvm.graph import Graph
from drystone.dvm.state import Device, State
from drystone.kernel.iscsi.names import Portal

_LEGS = leg_path("")
_MIRROR = re.compile(r"g[0-9]{1,6}\.s[0-9]{1,6}(?:\.copy)?")


class VolumeNote(Struct, frozen=True, forbid_unknown_fields=True):
    """What was told last of a dlv.

    :ivar boot: in which the attachment was begun here. :ivar disks: all that may be logged in to: of this wish, and of
        those before. :ivar uuids: of all devices that may be here, likewise. :ivar logs: that were begun.
    :ivar written: legs that may keep in a cache what was written to them: none when all was flushed and given up.
    """

    wish: VolumeWish
    boot: str
    disks: tuple[Disk, ...] = ()
    uuids: tuple[str, ...] = ()
    logs: tuple[LogNote, ...] = ()
    written: tuple[str, ...] = ()

    def log(self, path: str) -> LogNote | None:
        """The log that was begun at a path."""
        return next((each for each in self.logs if each.path == path), None)


def take(noted: VolumeNote | None, wish: VolumeWish, boot: str) -> VolumeNote:
    """What is noted when a wish comes.

    :raises NotFoundError: nothing is noted, and it is not said either that what may be here is void. Every attachment
        begins with that: so the note of one is lost, and with it what was under way.
    :raises MismatchError: it is older than what is noted, or another one of the same epoch.
    :raises RefusedError: it is of an attachment that was begun in another boot; or of a new one, while what is here of
        an earlier one was not given up.
    """
    check_epoch(noted.wish if noted else None, wish)
    if noted is None and (wish.disks or wish.attachment != wish.epoch):
        raise NotFoundError(
            f"nothing is known of dlv {wish.dlv} here", hint="detach it as from a host that does not answer"
        )
    before = noted or VolumeNote(wish, boot)
    is_same = wish.attachment == before.wish.attachment
    if is_same:
        check_boot(before, boot)
    elif wish.disks:
        _check_given_up(before, boot)
    return VolumeNote(
        wish,
        before.boot if is_same else boot,
        tuple(dict.fromkeys((*before.disks, *wish.disks))),
        tuple(dict.fromkeys((*before.uuids, *_uuids(wish.state)))),
        tuple(_with_user(each, wish) for each in before.logs) if is_same else (),
        tuple(disk.leg for disk in wish.disks) or (before.written if is_same else ()),
    )


def _check_given_up(note: VolumeNote, boot: str) -> None:
    """:raises RefusedError: devices or sessions of the noted attachment may be here still: what they hold back, and
    whoever has them open, would write over what was written elsewhere since.
    """
    if note.boot == boot and (note.uuids or note.disks):
        raise RefusedError(
            f"what is here of an earlier attachment of dlv {note.wish.dlv} was not given up",
            hint="wish for nothing first, before this host is let in again: its held writes fail then, by intent",
        )


def is_repeated(noted: VolumeWish, wish: VolumeWish) -> bool:
    """Whether a wish is the noted one again. How logs begin is said once, and what was said first counts: the API does
    not know whether that was heard, and a mirror that stands is the same however its log began.
    """
    return _plain(noted) == _plain(wish)


def _plain(wish: VolumeWish) -> VolumeWish:
    """Without how logs begin."""
    logs = tuple(replace(log, bits="kept") for log in wish.logs)
    return replace(wish, logs=logs, state=without_sync(wish.state))


def check_boot(note: VolumeNote, boot: str) -> None:
    """:raises RefusedError: the dlv was attached in another boot: what its logs knew is lost, its legs may differ."""
    if note.written and note.boot != boot:
        raise RefusedError(
            f"this host was started anew since dlv {note.wish.dlv} was attached: which writes were under way is lost",
            hint="detach it as from a host that does not answer, and attach it anew",
        )


def _with_user(noted: LogNote, wish: VolumeWish) -> LogNote:
    """Of a log that goes on: the table that it is in from now on."""
    for each in wish.logs:
        if each.path == noted.path and each.bits == "kept":
            return replace(noted, user=log_user(wish.state, each.path))
    return noted


def check_wish(wish: VolumeWish) -> None:
    """:raises UsageError: the wish cannot be, or reaches for what is not the dlv's."""
    check_name(wish.dlv, "dlv")
    legs = [check_name(each.leg, "leg") for each in wish.disks]
    if len(set(legs)) != len(legs):
        raise UsageError("a leg is wished twice")
    for disk in wish.disks:
        Portal.parse(disk.portal)
        chap_of(disk.leg, disk.secret)
        if disk.target != target_name(disk.leg):
            raise UsageError(f"the target of leg {disk.leg} is not {disk.target!r}")
    paths = [log.path for log in wish.logs]
    beginning = log_path(wish.dlv, "")
    for path in paths:
        name = path.removeprefix(beginning)
        if not path.startswith(beginning) or _MIRROR.fullmatch(name) is None or paths.count(path) > 1:
            raise UsageError(f"{path!r} is no log of dlv {wish.dlv}, or is there twice")
    allowed = [*(leg_path(leg) for leg in legs), *paths, *check_source(wish)]
    check_devices(wish.state, f"{PREFIX}{wish.dlv}-", allowed)
    for path in paths:
        log_user(wish.state, path)


def log_user(state: State, path: str) -> str:
    """The one device whose table has the log at that path, and that table, as text. :raises UsageError: no such one."""
    users = [
        f"{device.name}: {line.params}"
        for device in without_sync(state).devices
        for line in device.table
        if path in devices_of(line)
    ]  # fmt: skip
    if len(users) != 1:
        raise UsageError(f"{len(users)} devices have the log {path}")
    return users[0]


def mirrors_of(wish: VolumeWish) -> dict[str, tuple[str, ...]]:
    """The legs of each mirror, by its device's name; "" for what is no leg but another device."""
    return {device.name: legs for device in wish.state.devices if (legs := _legs_of(device))}


def lower_of(state: State) -> State:
    """Its mirrors, and what is below them."""
    names = lower_names(state)
    return State(tuple(device for device in state.devices if device.name in names))


def lower_parts(state: State) -> list[State]:
    """Its mirrors, each with what is below it: nothing is in two of them."""
    lower = lower_of(state)
    graph = Graph(lower.devices)
    return [only_below(lower, device.name) for device in lower.devices if not graph.parents[device.name]]


def legs_of_mirrors(wish: VolumeWish) -> list[tuple[str, ...]]:
    """The legs of each mirror with what is below it, in the order of the disks."""
    found = []
    for part in lower_parts(wish.state):
        words = {word for device in part.devices for line in device.table for word in devices_of(line)}
        found.append(tuple(disk.leg for disk in wish.disks if leg_path(disk.leg) in words))
    return found


def legs_in(wish: VolumeWish, names: Collection[str]) -> set[str]:
    """The legs that devices of these names are directly on."""
    tables = [device.table for device in wish.state.devices if device.name in names]
    words = {word for table in tables for line in table for word in devices_of(line)}
    return {disk.leg for disk in wish.disks if leg_path(disk.leg) in words}


def lone_legs(wish: VolumeWish, lower: State | None = None) -> set[str]:
    """The legs that nothing stands beside: what fails on one of them fails for who uses the volume.

    :param lower: mirrors of it, with what is below them; all of them when None.
    """
    words = {
        word
        for device in (lower or lower_of(wish.state)).devices
        for line in device.table
        if (mirror := mirror_of(device)) is None or not mirror.handle_errors
        for word in devices_of(line)
    }
    return {disk.leg for disk in wish.disks if leg_path(disk.leg) in words}


def only_below(state: State, name: str) -> State:
    """A device, and what is below it."""
    names = Graph(state.devices).below(name) | {name}
    return State(tuple(device for device in state.devices if device.name in names))


def final_name(wish: VolumeWish) -> str:
    """The device that the volume's user opens; "" when none is wished."""
    uuid = f"{PREFIX}{wish.dlv}-volume"
    return next((device.name for device in wish.state.devices if device.uuid == uuid), "")


def is_unknown(uuid: str, known: Collection[str]) -> bool:
    """Whether a device is of no dlv here; those of a dpv on the same host are its agent's, and backups have theirs."""
    return uuid not in known and not uuid.startswith(uuid_of_leg("")) and not is_of_backup(uuid)


def _legs_of(device: Device) -> tuple[str, ...]:
    mirror = mirror_of(device)
    words = [leg.device for leg in mirror.legs] if mirror else []
    return tuple(word.removeprefix(_LEGS) if word.startswith(_LEGS) else "" for word in words)


def _uuids(state: State) -> tuple[str, ...]:
    return tuple(device.uuid for device in state.devices)

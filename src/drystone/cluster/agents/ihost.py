"""The agent of an ihost: the legs of a dlv as iSCSI disks, the volume upon them.

The order of a call: the note first; logins; the logs of mirrors that are put together anew; the mirrors, each by a
program of its own; then all that is above them; then what is not wished any more goes, from above: devices, logs,
sessions. A file system that is to grow does so beside all that. Every step may be repeated: after a crash the same
call, or the agent's own start, goes on where it stopped.

Three locks a dlv, as a kernel that waits for a disk may keep a call for long, and the way out of that is another call:
`taking` of the notes is held while one is written; `_turns` while a call is carried out; `_swapping` while mirrors are
changed, or looked at with what they are to be, and while it is held nobody looks at what is above them. A newer wish
can so be taken, and its mirrors swapped, under a call that hangs; that one sees the newer note before it changes a
mirror, and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from drystone.base.errors import (
    BusyError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from drystone.cluster.agents.answers import Survey, VolumeSeen
from drystone.cluster.agents.asides import Asides
from drystone.cluster.agents.boot import read_boot
from drystone.cluster.agents.clones import find_snapshot, see_clone
from drystone.cluster.agents.devices import PREFIX, Devices
from drystone.cluster.agents.failures import Failures
from drystone.cluster.agents.growing import Growths, fill_device
from drystone.cluster.agents.legs import is_leg_target
from drystone.cluster.agents.logs import (
    LogDevices,
    LogNote,
    begins_anew,
    device_name,
    dlv_of_device,
    find_log,
    log_bytes,
)
from drystone.cluster.agents.losses import find_losses, legs_of_live
from drystone.cluster.agents.notes import Notes
from drystone.cluster.agents.sessions import flush_legs, log_in, log_out
from drystone.cluster.agents.swap import fail_all, swaps
from drystone.cluster.agents.timeouts import LONE_SECONDS, MIRRORED, SessionTimeouts
from drystone.cluster.agents.turns import PATIENCE, Turns
from drystone.cluster.agents.views import (
    Above,
    LiveMirror,
    find_leg_number,
    find_leg_session,
    see_disk,
    see_mirror,
    see_mirrors,
    see_pool,
)
from drystone.cluster.agents.volume_note import (
    VolumeNote,
    check_boot,
    check_wish,
    final_name,
    is_repeated,
    is_unknown,
    legs_in,
    log_user,
    lower_of,
    lower_parts,
    mirrors_of,
    only_below,
    take,
)
from drystone.cluster.model.calls import VolumeWish
from drystone.cluster.model.dlv import VOLUME_ID
from drystone.cluster.model.tables import leg_path, snapshot_path, thin_part
from drystone.dvm.state import State, resolve_paths
from drystone.kernel.blockdev import flush_disk
from drystone.kernel.dm.nodes import make_node, node_path, remove_node
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.abc import Initiator, Timeouts

_ANSWER_SECONDS = 2.0
"""That what is above mirrors is asked for how it is."""


class IhostAgent:
    """The agent of an ihost. The constructor has no effects; `recover` is called once, at the start.

    :param folder: where it keeps its notes. :param boot: tells this boot.
    :param timeouts: of its iSCSI sessions. :param lone_seconds: the replacement timeout of a leg that nothing stands
        beside, which is waited for long; another one is given up soon, and caught up when it is back.
    :param make_node, remove_node: of /dev/mapper/NAME. :param flush: writes back what a disk has in its cache.
    :param answer_seconds: that what is above mirrors has to say how it is.
    :param measure: begins to measure devices with these UUIDs; it never raises.
    :param before_leaving: ends what else uses a dlv's pool, before that is taken down.
    :param growths: of file systems; those of this machine when None.
    """

    def __init__(
        self,
        folder: Path,
        devices: Devices,
        initiator: Initiator,
        logs: LogDevices,
        *,
        timeouts: Timeouts = MIRRORED,
        lone_seconds: int = LONE_SECONDS,
        boot: Callable[[], str] = read_boot,
        make_node: Callable[[str, DeviceNumber], str] = make_node,
        remove_node: Callable[[str], None] = remove_node,
        flush: Callable[[str], None] = flush_disk,
        answer_seconds: float = _ANSWER_SECONDS,
        measure: Callable[[Collection[str]], None] = lambda _: None,
        before_leaving: Callable[[str], None] = lambda _dlv: None,
        growths: Growths | None = None,
    ) -> None:
        self._notes = Notes(folder, VolumeNote)
        self._devices = devices
        self._initiator = initiator
        self._logs = logs
        self._timeouts = SessionTimeouts(initiator, timeouts, lone_seconds)
        self._boot = boot
        self._make_node = make_node
        self._remove_node = remove_node
        self._flush = flush
        self._turns = Turns()
        self._swapping = Turns()
        self._measure = measure
        self._before_leaving = before_leaving
        self._above: Asides[Above] = Asides(answer_seconds)
        self._growths = growths or Growths(partial(fill_device, devices.dm))

    @property
    def kind(self) -> type[VolumeWish]:
        """What it is told."""
        return VolumeWish

    def put(self, wish: VolumeWish, *, patience: float = PATIENCE) -> VolumeSeen:
        """Bring the dlv here to what is wished. When it returns all is so, and the wish is durable.

        :param patience: seconds for the call before.
        :raises MismatchError: an older epoch, or another wish of the same one; nothing was changed. Or a newer wish
            was taken while this one was carried out.
        :raises NotFoundError: an attachment of which nothing is noted here. :raises BusyError: and nothing can be, as
            devices of it are here.
        :raises RefusedError: an attachment of another boot. :raises UsageError: a wish that cannot be.
        :raises DrystoneError: what failed; the same call goes on.
        """
        self._take(wish)
        with self._notes.tried(wish.dlv), self._turns.of(wish.dlv, patience):
            return self._bring(self._notes.read(wish.dlv), patience)

    def put_recorded(self, wish: VolumeWish) -> None:
        """Have mirrors as it is recorded by now, also while another call hangs because they hold their writes.

        Nothing else of the wish is done: `put` does that, which may wait. Raises as `put`; mirrors of which all legs
        are here are as they should be then.
        """
        failures = Failures()
        note = self._take(wish)
        self._timeouts.lengthen(wish, failures)
        self._swap(self._begin_logs(note, failures), PATIENCE, failures)
        failures.tell()

    def look(self, dlv: str) -> VolumeSeen:
        """What is here of a dlv. :raises NotFoundError: nothing was ever told of it.

        It does not wait for a disk: what is above mirrors is left out when it does not answer.
        """
        return self._see(self._notes.read(dlv))

    def find_dlvs(self, uuids: Collection[str]) -> set[str]:
        """The dlvs that devices with these UUIDs are of. A note that cannot be read is of none; the survey tells."""
        if not uuids:
            return set()
        notes, _ = self._notes.read_all()
        return {dlv for dlv, note in notes.items() if not set(uuids).isdisjoint(note.uuids)}

    def is_to_be_filled(self, dlv: str) -> bool:
        """Whether a dlv is wished here with its volume, and without the device that users open."""
        note = self._notes.find(dlv)
        volume = f"{PREFIX}{dlv}-{thin_part(VOLUME_ID)}"
        if note is None or final_name(note.wish):
            return False
        return any(device.uuid == volume for device in note.wish.state.devices)

    def find_lost(self, dlv: str) -> tuple[VolumeWish, tuple[str, ...]]:
        """What is wished of a dlv, and its legs that the kernel has given up. Never waits for a disk.

        :raises UnavailableError: a mirror holds its writes, and has to: see `find_losses`.
        """
        note = self._notes.read(dlv)
        live = self._see_mirrors(note)
        failing = [each for each in live if each.handles_errors and each.failed]
        if not failing:
            return note.wish, ()
        sessions = self._initiator.sessions()
        of_legs = {each.leg: find_leg_session(sessions, each) for each in note.wish.disks or note.disks}
        if not note.wish.disks:
            return note.wish, find_losses(failing, legs_of_live(live, of_legs), note.written, of_legs)
        # Legs that no device has yet are not looked at: of a new group, say, whose dpvs were never reached.
        there = {entry.name for entry in self._devices.entries() if entry.uuid in note.uuids}
        return note.wish, find_losses(failing, mirrors_of(note.wish), legs_in(note.wish, there), of_legs)

    def find_copied(self, dlv: str) -> tuple[VolumeWish, tuple[str, ...]]:
        """What is wished of a dlv, and the legs of its mirrors that are as wished, with all regions in sync.

        :raises BusyError: mirrors are being changed: the status would be of one table, and the legs of another.
        """
        with self._swapping.of(dlv, 0):
            note = self._notes.read(dlv)
            wished = lower_of(note.wish.state)
            legs, copied = mirrors_of(note.wish), []
            for each in self._see_mirrors(note):
                # Of another table than the wished one the status would be about other legs.
                if each.is_whole and each.name in legs and not self._differs(note, only_below(wished, each.name)):
                    copied += [leg for leg in legs[each.name] if leg]
        return note.wish, tuple(copied)

    def recover(self) -> None:
        """Bring every dlv to what was wished last. What fails is in the survey; the others go on."""
        self._notes.each(self._recover)

    def _recover(self, dlv: str) -> None:
        with self._turns.of(dlv):
            note = self._notes.read(dlv)
            check_boot(note, self._boot())
            self._bring(note, PATIENCE)

    def survey(self) -> Survey:
        """All that is here, and what of it no call has named."""
        # Looked at before the notes are: what is made is noted first.
        sessions = [each for each in self._initiator.sessions() if is_leg_target(each.target)]
        entries, names = self._devices.entries(), self._logs.names()
        notes, troubles = self._notes.read_all()
        troubles |= {dlv: reason for dlv, note in notes.items() if (reason := self._find_reason(note))}
        uuids = {uuid for note in notes.values() for uuid in note.uuids}
        targets = {disk.target for note in notes.values() for disk in note.disks}
        unknown = [
            *(f"session {each.target}" for each in sessions if each.target not in targets),
            *(f"device {each.name}" for each in entries if is_unknown(each.uuid, uuids)),
            *(f"log {each}" for each in names if dlv_of_device(each) not in notes),
        ]
        return Survey({dlv: note.wish.epoch for dlv, note in notes.items()}, troubles, tuple(unknown))

    def _take(self, wish: VolumeWish) -> VolumeNote:
        """Note a wish; durable when this returns."""
        check_wish(wish)
        with self._notes.taking:
            noted = self._notes.find(wish.dlv)
            if noted is not None and is_repeated(noted.wish, wish):
                check_boot(noted, self._boot())
                return noted
            note = take(noted, wish, self._boot())
            if noted is None:
                self._refuse_strange(wish.dlv)
            self._notes.write(wish.dlv, note)
            return note

    def _refuse_strange(self, dlv: str) -> None:
        """:raises BusyError: devices of a dlv are here of which nothing is noted. What they hold back would go through
        when this host is let in again; and what is not known is not removed.
        """
        strange = [entry.name for entry in self._devices.entries() if entry.uuid.startswith(f"{PREFIX}{dlv}-")]
        if strange:
            raise BusyError(
                f"{strange[-1]} is here, and no note says why: the notes of this agent are gone",
                hint="start this host anew",
                devices=strange,
            )

    def _bring(self, note: VolumeNote, patience: float) -> VolumeSeen:
        failures = Failures()
        log_in(note.wish, self._initiator, self._timeouts, failures)
        note = self._begin_logs(note, failures)
        self._timeouts.lengthen(note.wish, failures)
        self._swap(note, patience, failures)
        failures.tell()
        self._timeouts.shorten(note.wish)
        if note.wish.disks:
            self._measure({device.uuid for device in lower_of(note.wish.state).devices})  # before they are opened
            self._raise(note)
            self._measure(note.uuids)
        elif note.written:
            self._before_leaving(note.wish.dlv)
            self._take_down(note)
        else:
            self._give_up(note, patience)
        note = self._clear(note)
        if note.wish.fill and (final := final_name(note.wish)):
            self._growths.start(note.wish.dlv, note.wish.fill, final)
        return self._see(note)

    def _begin_logs(self, note: VolumeNote, failures: Failures) -> VolumeNote:
        """Make the logs of mirrors that are put together anew: each is noted before a table can have it, and made once,
        also when two calls carry out the same wish. One that cannot be keeps none of the others.
        """
        with self._notes.taking:
            note = self._notes.newest(note)
            logs = {each.path: each for each in note.logs}
            for wished in note.wish.logs:
                user = log_user(note.wish.state, wished.path)
                if begins_anew(wished, user, logs.get(wished.path)):
                    name = device_name(wished, note.wish.dlv, note.wish.epoch)
                    with failures.kept():
                        self._logs.make(name, log_bytes(wished))
                        logs[wished.path] = LogNote(wished.path, name, user)
            after = replace(note, logs=tuple(logs.values()))
            if after != note:
                self._notes.write(note.wish.dlv, after)
        return after

    def _swap(self, note: VolumeNote, patience: float, failures: Failures) -> None:
        """Have every mirror as it is wished. It asks for nothing but mirrors, which never wait for a disk. One that
        cannot be keeps none of the others.
        """
        with self._swapping.of(note.wish.dlv, patience), ExitStack() as locked:
            self._notes.newest(note)
            find = self._numbers(note)
            for part in lower_parts(note.wish.state):
                with failures.kept():
                    state = resolve_paths(part, find)
                    programs = [*swaps(self._devices.observe({device.uuid for device in part.devices}), state)]
                    if programs:
                        self._timeouts.check_lone(note.wish, part)
                        locked.enter_context(self._devices.memory())  # once, not by each program: it takes a while
                    for program in programs:
                        self._devices.run(program)

    def _give_up(self, note: VolumeNote, patience: float) -> None:
        """Have no device left, of an attachment that ended without this host. All I/O to its mirrors fails first, also
        what they hold.
        """
        with self._swapping.of(note.wish.dlv, patience):
            self._notes.newest(note)
            names = {each.name for each in self._see_mirrors(note)}
            uuids = {entry.uuid for entry in self._devices.entries() if entry.name in names}
            for program in fail_all(self._devices.observe(uuids)):
                self._devices.run(program)
        self._before_leaving(note.wish.dlv)  # what hung in it has failed by now
        self._remove_nodes(note)
        self._devices.remove_all(note.uuids)

    def _take_down(self, note: VolumeNote) -> None:
        """Have no device left, of an attachment that ends in order: what they hold goes through as they go. By what
        nobody has open, not by their tables: those of a pool that has failed do not say what they are on.
        """
        self._refuse_held(note)
        uuid = f"{PREFIX}{note.wish.dlv}-volume"
        for entry in self._devices.entries():
            if entry.uuid == uuid and self._devices.dm.info(entry.number).open_count:
                raise BusyError(f"{entry.name} is open", hint="unmount it")
        self._remove_nodes(note)
        self._devices.remove_all(note.uuids)

    def _differs(self, note: VolumeNote, lower: State) -> bool:
        """Whether mirrors are not as they are wished."""
        try:
            state = resolve_paths(lower, self._numbers(note))
        except (NotFoundError, UnavailableError):
            return True
        return any(True for _ in swaps(self._devices.observe({device.uuid for device in lower.devices}), state))

    def _see_mirrors(self, note: VolumeNote) -> list[LiveMirror]:
        return see_mirrors(self._devices.dm, note.uuids)

    def _numbers(self, note: VolumeNote) -> Callable[[str], DeviceNumber]:
        """Finds what tables name by path: the disks of legs, logs, the snapshot that a clone is copied from."""
        sessions = self._initiator.sessions()
        disks = {leg_path(each.leg): each for each in note.wish.disks}
        source = note.wish.source

        def find(path: str) -> DeviceNumber:
            if source is not None and path == snapshot_path(source.dlv, source.thin_id):
                return find_snapshot(self._devices, source)
            if path in disks:
                return find_leg_number(sessions, disks[path])
            noted = note.log(path)
            if noted is None:
                raise NotFoundError(f"the log {path} was never begun")
            return find_log(self._logs, noted)

        return find

    def _raise(self, note: VolumeNote) -> None:
        """Have all that is above the mirrors, and what is not wished no more: devices go from above."""
        lower = {device.uuid for device in lower_of(note.wish.state).devices}
        self._refuse_held(note)
        current = self._devices.observe(note.uuids)
        there = {device.uuid: device for device in current.devices}
        # Mirrors stay as they are: they are for `_swap` alone.
        desired = [
            replace(there[device.uuid], name=device.name, suspended=False, inactive=())
            if device.uuid in lower
            else device
            for device in resolve_paths(note.wish.state, self._numbers(note)).devices
        ]
        self._remove_nodes(note)
        self._devices.bring(current, State(tuple(desired)))
        if final := final_name(note.wish):
            self._make_node(final, self._devices.number(final))

    def _remove_nodes(self, note: VolumeNote) -> None:
        """Of final devices that are not wished."""
        uuid, final = f"{PREFIX}{note.wish.dlv}-volume", final_name(note.wish)
        for entry in self._devices.entries():
            if entry.uuid == uuid and entry.name != final:
                self._remove_node(entry.name)

    def _refuse_held(self, note: VolumeNote) -> None:
        """Nothing above a mirror that holds its writes is touched: that would wait as long as it holds them."""
        held = self._find_held(note)
        if held:
            raise UnavailableError(
                f"{held[0]} holds its writes, as a leg of it has failed",
                hint="take the leg out of the in-sync set first",
                mirrors=held,
            )

    def _find_held(self, note: VolumeNote) -> list[str]:
        """The mirrors that hold their writes, wished or not."""
        return [each.name for each in self._see_mirrors(note) if each.handles_errors and each.holds]

    def _clear(self, note: VolumeNote) -> VolumeNote:
        """Give up what is not wished: logs, sessions; what was written is on the legs' disks before they are left."""
        wish = note.wish
        used = tuple(each for each in note.logs if any(each.path == log.path for log in wish.logs))
        for name in self._logs.names():
            if dlv_of_device(name) == wish.dlv and all(name != each.device for each in used):
                self._logs.remove(name)
        if not wish.disks and note.written:
            flush_legs([each for each in note.disks if each.leg in note.written], self._initiator, self._flush)
            # Noted before the first session goes: after a crash nothing is left that would have to be flushed.
            note = replace(note, written=())
            self._notes.rewrite(note)
        log_out([each for each in note.disks if each not in wish.disks], self._initiator)
        uuids = tuple(device.uuid for device in wish.state.devices)
        after = VolumeNote(wish, note.boot, wish.disks, uuids, used, tuple(each.leg for each in wish.disks))
        if after != note:
            self._notes.rewrite(after)
        return after

    def _see(self, note: VolumeNote) -> VolumeSeen:
        wish = note.wish
        sessions, mirrors = self._initiator.sessions(), self._see_mirrors(note)
        # A pool above a mirror that holds its writes, or soon will, might answer as late as it does.
        is_held = any(each.handles_errors and each.holds for each in mirrors)
        above = None if is_held else self._above.ask(wish.dlv, lambda: self._see_all(note))
        if above is None:
            above = self._devices.observe({device.uuid for device in lower_of(wish.state).devices}), None, None
        final = final_name(wish)
        legs = mirrors_of(wish)
        return VolumeSeen(
            wish.dlv,
            wish.epoch,
            node_path(final) if final and self._devices.is_there(final) else "",
            tuple(see_disk(each, find_leg_session(sessions, each)) for each in note.disks),
            tuple(see_mirror(each, legs.get(each.name, ())) for each in mirrors),
            above[0],
            self._find_reason(note),
            pool=above[1],
            filesystem=self._growths.find(wish.dlv, wish.fill),
            clone=above[2],
            set_epoch=wish.set_epoch,
        )

    def _see_all(self, note: VolumeNote) -> Above:
        dlv, dm = note.wish.dlv, self._devices.dm
        return self._devices.observe(note.uuids), see_pool(dm, f"{PREFIX}{dlv}-pool"), see_clone(dm, dlv)

    def _find_reason(self, note: VolumeNote) -> str:
        """Why nothing is done about a dlv; "" when it is."""
        try:
            check_boot(note, self._boot())
        except RefusedError as error:
            return error.message
        return ""

"""The agent of a dpv: slices of its disk, a device on each, exported to who is let in.

The order of a call, and why: the note first, so that older calls are refused from now on; then the fences, so that who
is shut out is out even when the rest fails; then slices, devices, what is to be wiped, exports. Every step may be
repeated: after a crash the same call, or the agent's own start, goes on where it stopped.

A disk that hangs keeps a call for as long as it does, and no fence may wait for that. So the note and the fences ask
nothing of the disk, and have locks of their own: `taking` of the notes, and `_admitting`, under which alone somebody
is let in, when no newer wish is noted. `_turns` is for the rest.

A leg is made when the call says that it may be, once. One that is recorded as made and is not on the disk, as that was
replaced, say, is refused: it may be the one with all acknowledged writes, and an empty one would be taken for it.

After a boot of the dpv nobody is let in until a call says again who is: while the dpv was away, who was let in last
may have been shut out by the record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from msgspec.structs import replace

from drystone.base.errors import MismatchError, UsageError
from drystone.base.names import check_name
from drystone.base.sizes import SECTOR
from drystone.cluster.agents.answers import LegSeen, LegsSeen, Survey
from drystone.cluster.agents.boot import read_boot
from drystone.cluster.agents.devices import PREFIX, Devices, check_devices, devices_of
from drystone.cluster.agents.failures import Failures
from drystone.cluster.agents.legs import LUN, chap_of, is_leg_target, serial_of, uuid_of_leg
from drystone.cluster.agents.legs_note import LegsNote, spend, take
from drystone.cluster.agents.notes import Notes
from drystone.cluster.agents.slices import Slice, Slices, slice_lines
from drystone.cluster.agents.turns import PATIENCE, Turns
from drystone.cluster.model.calls import Export, LegsWish, target_name
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.tables import slice_path
from drystone.dvm.state import State
from drystone.kernel.blockdev import device_number, device_path, open_device
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.names import Portal, check_iqn
from drystone.kernel.lio.abc import Lio, Target
from drystone.kernel.lio.configfs import HBA

_SECONDS, _LATE_SECONDS = 20.0, 1.0
"""That a fence is waited for, and one behind another that is late."""
_LOOK_SECONDS = 2.0
"""That who asks what is here waits for somebody to be let in or shut out."""
_STARTED_ANEW = "this dpv was started anew since: nobody is let in until a call says again who is"
WIPED = 4096
"""Bytes at the beginning of a leg: the block in which dm-thin looks for a pool's metadata."""


def wipe_beginning(path: str) -> None:
    """Zero the first block of a device. Durable when it returns."""
    with open_device(path, write=True) as device:
        device.zero_out(0, WIPED)
        device.flush()


class DpvAgent:
    """The agent of a dpv. The constructor has no effects; `recover` is called once, at the start.

    :param folder: where it keeps its notes. :param portals: where its targets listen.
    :param find_number: of the block device at a path. :param find_path: of a block device.
    :param boot: tells this boot. :param patience: seconds that a call waits for the one before.
    """

    def __init__(
        self,
        folder: Path,
        slices: Slices,
        devices: Devices,
        lio: Lio,
        portals: Sequence[Portal],
        *,
        find_number: Callable[[str], DeviceNumber] = device_number,
        find_path: Callable[[DeviceNumber], str] = device_path,
        wipe: Callable[[str], None] = wipe_beginning,
        boot: Callable[[], str] = read_boot,
        patience: float = PATIENCE,
    ) -> None:
        self._notes = Notes(folder, LegsNote)
        self._slices = slices
        self._devices = devices
        self._lio = lio
        self._portals = tuple(portals)
        self._find_number = find_number
        self._find_path = find_path
        self._wipe = wipe
        self._boot = boot
        self._patience = patience
        self._claiming = Turns("legs of")
        self._admitting = Turns()
        self._turns = Turns()

    @property
    def kind(self) -> type[LegsWish]:
        """What it is told."""
        return LegsWish

    def put(self, wish: LegsWish) -> LegsSeen:
        """Bring the dlv's legs here to what is wished. When it returns all is so, and the wish is durable.

        :raises MismatchError: an older epoch, or another wish of the same one; nothing was changed. Or a newer wish
            was taken while this one was carried out.
        :raises UsageError: a wish that cannot be. :raises BusyError: an earlier call is under way; fences are done.
        :raises DamagedError: legs that were made are not on the disk; fact `missing`: their ids. Fences are done.
        :raises DrystoneError: what failed; the same call goes on.
        """
        _check(wish)
        note = self._take(wish)
        with self._notes.tried(wish.dlv):
            return self._carry_out(note)

    def look(self, dlv: str) -> LegsSeen:
        """What is here of a dlv, also while its disk hangs.

        Who is not in then, nor wished in that epoch, does not come in any more.

        :raises NotFoundError: nothing was ever told of it. :raises BusyError: somebody is being let in, or shut out.
        """
        with self._admitting.of(dlv, min(self._patience, _LOOK_SECONDS)):
            note, targets = self._notes.read(dlv), self._targets()
        return self._see(note, targets)

    def recover(self) -> None:
        """Bring every dlv to what was wished last. What fails is in the survey; the others go on."""
        self._notes.each(lambda dlv: self._carry_out(self._notes.read(dlv)))

    def survey(self) -> Survey:
        """All that is here, and what of it no call has named."""
        notes, troubles = self._notes.read_all()
        troubles |= {dlv: reason for dlv, note in notes.items() if (reason := self._find_reason(note))}
        known = {leg for note in notes.values() for leg in note.legs}
        dlvs = {dlv: note.wish.epoch for dlv, note in notes.items()}
        return Survey(dlvs, troubles, tuple(self._find_unknown(known)))

    def _take(self, wish: LegsWish) -> LegsNote:
        """Note a wish; durable when this returns. The disk is asked only where legs are named that are not known."""
        noted = self._notes.find(wish.dlv)
        fresh = {each.leg for each in wish.exports} - set(noted.legs if noted else ())
        if not fresh:
            return self._note(wish, fresh)
        with self._claiming.of(self._slices.disk, self._patience):
            self._check_free(wish.dlv, fresh)
            return self._note(wish, fresh)

    def _note(self, wish: LegsWish, fresh: Collection[str]) -> LegsNote:
        """:param fresh: legs that were seen to be nobody's."""
        with self._notes.taking:
            noted = self._notes.find(wish.dlv)
            note = take(noted, wish, fresh, self._boot())
            if note != noted:
                self._notes.write(wish.dlv, note)
            return note

    def _check_free(self, dlv: str, legs: set[str]) -> None:
        """:raises MismatchError: one is another dlv's."""
        for each in self._slices.read().slices:
            if each.leg in legs and each.dlv != dlv:
                raise MismatchError(f"leg {each.leg} is dlv {each.dlv}'s, not dlv {dlv}'s")

    def _find_unknown(self, legs: set[str]) -> list[str]:
        targets = {target_name(leg) for leg in legs}
        uuids = {uuid_of_leg(leg) for leg in legs}
        return [
            *(f"target {iqn}" for iqn in self._targets() if iqn not in targets),
            *(f"backstore {each.name}" for each in self._lio.backstores() if each.hba == HBA and each.name not in legs),
            *(f"device {each.name}" for each in self._devices.entries() if each.uuid not in uuids),
            *(f"slice {each.leg}" for each in self._slices.seen().slices if each.leg not in legs),
        ]

    def _carry_out(self, note: LegsNote) -> LegsSeen:
        self._shut_out(note)
        with self._turns.of(note.wish.dlv, self._patience):
            return self._bring(self._notes.newest(note))

    def _shut_out(self, note: LegsNote) -> None:
        """The fences: who is not let in is out when this returns. One that is late keeps none of the others.

        :raises DrystoneError: of the first that is not completed. The next call waits for the same one.
        """
        wished = {each.leg: self._admitted(note, each) for each in note.wish.exports}
        failures = Failures()
        with self._admitting.of(note.wish.dlv, self._patience):
            self._notes.newest(note)
            targets = self._targets()
            for leg in note.legs:
                target = targets.get(target_name(leg))
                for acl in target.acls if target else ():
                    if acl.initiator not in wished.get(leg, ()):
                        seconds = _LATE_SECONDS if failures.first else _SECONDS
                        with failures.kept():
                            self._lio.revoke(target_name(leg), acl.initiator, timeout=seconds)
        failures.tell()

    def _admitted(self, note: LegsNote, export: Export) -> tuple[str, ...]:
        """Who is let in by now."""
        return export.initiators if note.boot == self._boot() else ()

    def _find_reason(self, note: LegsNote) -> str:
        """Why nobody is let in although somebody is wished; "" when it is as wished."""
        return "" if all(self._admitted(note, each) == each.initiators for each in note.wish.exports) else _STARTED_ANEW

    def _bring(self, note: LegsNote) -> LegsSeen:
        wished = {each.leg for each in note.wish.exports}
        targets = self._targets()
        gone = [leg for leg in note.legs if leg not in wished]
        for leg in gone:
            self._withdraw(leg, targets)
        sizes = {each.leg: each.size for each in note.wish.exports}
        slices = self._slices.have(note.wish.dlv, sizes, [each.leg for each in note.wish.exports if each.make])
        state = self._place(note.wish, slices)
        self._devices.bring(self._devices.observe({uuid_of_leg(leg) for leg in note.legs}), state)
        paths = {
            export.leg: self._find_path(self._devices.number(device.name))
            for device, export in zip(state.devices, note.wish.exports, strict=True)
        }
        fresh = [each for each in note.wish.exports if not slices[each.leg].is_ready]
        self._make_ready(fresh, paths)
        note = self._spend(note)
        for each in note.wish.exports:
            self._export(note, each, paths[each.leg])
        if gone:
            self._slices.remove(note.wish.dlv, gone)
            note = replace(note, legs=tuple(sorted(wished)))
            self._notes.rewrite(note)
        return self._see(note, self._targets())

    def _withdraw(self, leg: str, targets: dict[str, Target]) -> None:
        """Have it exported no more. Nobody is let in by now."""
        target = targets.get(target_name(leg))
        if target is not None:
            for lun in target.luns:
                self._lio.remove_lun(target.iqn, lun.number)
            self._lio.remove_target(target.iqn)
        self._lio.remove_backstore(leg)

    def _place(self, wish: LegsWish, slices: dict[str, Slice]) -> State:
        """The wished devices, each on its leg's slice."""
        disk = self._find_number(self._slices.disk)
        pairs = zip(wish.state.devices, wish.exports, strict=True)
        return State(
            tuple(replace(device, table=slice_lines(slices[export.leg], disk)) for device, export in pairs)
        )  # fmt: skip

    def _make_ready(self, fresh: Collection[Export], paths: dict[str, str]) -> None:
        """Wipe what is to be wiped, once: slices are noted as ready before anybody can get at them."""
        for each in fresh:
            if each.wipe:
                self._wipe(paths[each.leg])
        if fresh:
            self._slices.mark_ready([each.leg for each in fresh])

    def _spend(self, note: LegsNote) -> LegsNote:
        """Note that the legs are there, before anybody can get at them: none of them is made again by this wish."""
        after = replace(note, wish=spend(note.wish))
        if after != note:
            self._notes.rewrite(after)
        return after

    def _export(self, note: LegsNote, export: Export, path: str) -> None:
        self._lio.create_backstore(export.leg, path, serial_of(export.leg))
        self._lio.create_target(export.target)
        self._lio.add_lun(export.target, LUN, export.leg)
        for portal in self._portals:
            self._lio.add_portal(export.target, portal)
        with self._admitting.of(note.wish.dlv, self._patience):
            self._notes.newest(note)
            for initiator in self._admitted(note, export):
                self._lio.grant(export.target, initiator, chap_of(export.leg, export.secret), [LUN])
        self._lio.enable_target(export.target)

    def _targets(self) -> dict[str, Target]:
        return {each.iqn: each for each in self._lio.targets() if is_leg_target(each.iqn)}

    def _see(self, note: LegsNote, targets: dict[str, Target]) -> LegsSeen:
        slices = self._slices.seen()
        legs = []
        for leg in note.legs:
            found, target = slices.find(leg), targets.get(target_name(leg))
            acls = target.acls if target else ()
            legs.append(
                LegSeen(
                    leg,
                    size=found.extents * EXTENT if found else 0,
                    is_ready=found is not None and found.is_ready,
                    exported=target is not None and target.enabled,
                    initiators=tuple(acl.initiator for acl in acls),
                    logged_in=tuple(acl.initiator for acl in acls if acl.logged_in),
                )
            )
        state = self._devices.observe({uuid_of_leg(leg) for leg in note.legs})
        return LegsSeen(note.wish.dlv, note.wish.epoch, tuple(legs), state, self._find_reason(note))


def _check(wish: LegsWish) -> None:
    """:raises UsageError: the wish cannot be, or reaches for what is not the dlv's."""
    check_name(wish.dlv, "dlv")
    legs = [check_name(each.leg, "leg") for each in wish.exports]
    if len(set(legs)) != len(legs):
        raise UsageError("a leg is wished twice")
    check_devices(wish.state, PREFIX, [slice_path(leg) for leg in legs])
    if [device.uuid for device in wish.state.devices] != [uuid_of_leg(leg) for leg in legs]:
        raise UsageError("the devices are not those of the legs, one each, in their order")
    for device, export in zip(wish.state.devices, wish.exports, strict=True):
        if export.target != target_name(export.leg):
            raise UsageError(f"the target of leg {export.leg} is not {export.target!r}")
        if export.size <= 0 or export.size % EXTENT or device.length * SECTOR != export.size:
            raise UsageError(f"leg {export.leg} has {export.size} bytes, which are not those of its device in extents")
        if [devices_of(line) for line in device.table] != [[slice_path(export.leg)]]:
            raise UsageError(f"{device.name!r} is not on the slice of leg {export.leg}")
        chap_of(export.leg, export.secret)
        for initiator in export.initiators:
            check_iqn(initiator, "initiator")

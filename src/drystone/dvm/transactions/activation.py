"""Updates that change device-mapper with the metadata: `dvm transact update --activate`.

Metadata prepared on all devices, the program with the commit inside run in one locked process, and afterwards the
metadata settled by what the program did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from drystone.base.errors import DrystoneError, InternalError, MismatchError
from drystone.dvm.describe import describe
from drystone.dvm.discovery.devices import Devices
from drystone.dvm.dmactivate import activate as compile_program
from drystone.dvm.groups.group import Group, uuid_prefix
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.program import Program
from drystone.dvm.replication import replicate
from drystone.dvm.replication.documents import Transaction
from drystone.dvm.replication.views import look
from drystone.dvm.replication.writing import committed_slot
from drystone.dvm.result import Result
from drystone.dvm.signals import HeldSignals
from drystone.dvm.state import State, observe, resolve_paths, with_uuid
from drystone.dvm.transactions.exchange import require_unused
from drystone.dvm.transactions.page_blocks import PageBlocks
from drystone.dvm.transactions.survey import Standing, Survey
from drystone.dvm.transactions.two_phase import Sector, find_order, with_commit
from drystone.dvm.transactions.version import Version, build_version
from drystone.dvm.transactions.waking import awake, hands_off, list_stages, volume_uuid
from drystone.dvm.volactivate import Activation as Active
from drystone.dvm.volactivate import LeftOut, activate, blanking, blanks, list_users, paths_of
from drystone.formats.region.layout import PAGE, SLOT_OFFSETS
from drystone.formats.region.slots import build_slot, place_of
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber

Run = Callable[[Program], Result]


class Plan(msgspec.Struct, frozen=True):
    """What is done besides the metadata.

    :ivar blanking: writes zeros where new volumes begin. :ivar program: from what is there to what is wanted.
    :ivar waking: desired states of the group as it was that are reached first, one after the other: see `waking`.
    :ivar left_out: volumes that stay as they are, because they cannot be whole. :ivar degraded: those that go on so.
    """

    blanking: Program
    program: Program
    waking: tuple[State, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    degraded: tuple[LeftOut, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """In words."""
        pools = [f"wake {device.name}" for device in self.waking[-1].devices if device.is_pool] if self.waking else []
        programs = [each for each in (self.blanking, self.program) if not each.is_empty]
        return (*pools, *(step for each in programs for step in describe(each)))


class Activation:
    """Puts new metadata in place and device-mapper with them.

    :param run: runs a program. :param number: major:minor of a path.
    :param partial: volumes that cannot be whole for want of a device are left as they are, instead of a refusal.
    :param only: names of the volumes to which it is limited, with what they need; all without. Others stay as they are.
    """

    def __init__(
        self,
        dm: DeviceMapper,
        run: Run,
        devices: Devices,
        *,
        number: Callable[[str], DeviceNumber] | None = None,
        partial: bool = False,
        only: Sequence[str] = (),
    ) -> None:
        self.dm = dm
        self.run = run
        self.devices = devices
        self.number = number or PageBlocks().number
        self.partial = partial
        self.only = tuple(only)
        self._made: tuple[bytes, bytes, Plan] | None = None

    def steps(self, old: bytes, new: bytes) -> tuple[str, ...]:
        """What would be done, in words. Raises as `plan`."""
        self._made = (old, new, self.plan(old, new))
        return self._made[2].steps

    def plan(self, old: bytes, new: bytes) -> Plan:
        """What leads from the old metadata to the new; nothing is changed.

        :raises UsageError: one is no group document, or a wish that no program can fulfil.
        :raises MismatchError: a volume needs a device that is missing: the program would take it away.
        :raises RefusedError: what is new would begin where the old group still has something.
        :raises BusyError: a volume is in use whose content would be exchanged.
        """
        before = _parse(old)
        after = parse_group(new, "the new metadata")
        paths = paths_of(after, self.devices)
        found = self._activate(after, paths)
        if found.left_out and not self.partial:
            names = ", ".join(each.name for each in found.left_out[:8])
            raise MismatchError(
                f"devices that volumes need are missing: {names} could not stay active",
                hint="without --activate the metadata alone is changed",
                missing=sorted({uuid for each in found.left_out for uuid in each.missing}),
            )
        current = self._observe(after, found)
        require_unused(current, found.state, self.dm)
        waking: tuple[State, ...] = ()
        if before is not None:
            stages = list_stages(before, after, current)
            waking = tuple(self._activate(before, paths, without).state for without in stages)
        if waking:
            current = awake(waking[-1])
        program = compile_program(current, found.state)
        return Plan(blanking(blanks(before, after, paths)), program, waking, found.left_out, found.degraded)

    def start(self, metadata: bytes, *, dry_run: bool = False) -> Plan:
        """Make the volumes of metadata that are in place active; the plan that was carried out.

        :raises DrystoneError: as `plan`, or of a program that failed; the metadata stay what they are.
        """
        plan = self.plan(metadata, metadata)
        if not dry_run:
            with HeldSignals().held():
                self._follow(metadata, plan)
        return plan

    def stop(self, metadata: bytes, *, dry_run: bool = False) -> Program:
        """Take the volumes out of device-mapper, with all that stands on them; the metadata stay what they are.

        :raises BusyError: one is in use; all is as it was.
        """
        group = parse_group(metadata, "the metadata")
        if self.only:
            going = {f"{uuid_prefix(group)}{uuid}" for uuid in list_users(group, self.only)}
            current = observe(self.dm, lambda entry: volume_uuid(entry.uuid) in going)
        else:
            current = observe(self.dm, with_uuid(uuid_prefix(group)))
        program = compile_program(current, State())
        if not dry_run:
            with HeldSignals().held():
                self.run(program).require_done()
        return program

    def write(self, found: Survey, members: Sequence[Standing], version: Version, parent: Transaction) -> Transaction:
        """Both phases. When it returns, metadata and device-mapper are the new ones.

        :raises DrystoneError: of a failure before the commit: all is as it was. Of one after it: the metadata is the
            new one, and the facts tell what of device-mapper is left to do.
        """
        with HeldSignals().held():
            return self._write(found, members, version, parent)

    def follow(self, metadata: bytes) -> None:
        """Bring device-mapper to metadata that are in place, as after an update that was cut short behind its commit.

        :raises DrystoneError: as `plan`, or of a program that failed; the metadata stay what they are.
        """
        self.start(metadata)

    def _write(self, found: Survey, members: Sequence[Standing], version: Version, parent: Transaction) -> Transaction:
        assert found.version is not None
        plan = self._take_plan(bytes(found.version.metadata), bytes(version.metadata))
        devices = [each.opened for each in members]
        if plan.waking:
            self._wake(plan)
            plan = self.plan(bytes(found.version.metadata), bytes(version.metadata))
        if not plan.blanking.is_empty:
            self.run(plan.blanking).require_done()
        transaction = replicate.prepare(devices, build_version(version), parent=parent.hash)
        order = find_order(plan.program)
        try:
            if order == "before":
                transaction = replicate.commit(devices)
            program = plan.program
            if order == "inside":
                sectors = [_commit_sector(each) for each in members]
                program = with_commit(program, sectors, f"the metadata of {found.document.group.name} is committed")
            self.run(program).require_done()
            return replicate.commit(devices) if order == "after" else transaction
        except DrystoneError as error:
            self._settle(members, transaction, error)
            raise

    def _follow(self, metadata: bytes, plan: Plan) -> None:
        if plan.waking:
            self._wake(plan)
            plan = self.plan(metadata, metadata)
        if not plan.program.is_empty:
            self.run(plan.program).require_done()

    def _wake(self, plan: Plan) -> None:
        """Reach the states before the last one: each program is made when the one before it has run."""
        for state in plan.waking:
            uuids = {device.uuid for device in plan.waking[-1].devices}
            current = observe(self.dm, lambda entry: entry.uuid in uuids)  # noqa: B023  # it is called right here
            program = compile_program(current, state)
            if not program.is_empty:
                self.run(program).require_done()

    def _activate(self, group: Group, paths: dict[str, str], without: Sequence[str] = ()) -> Active:
        """The desired state of a group, with numbers in place of paths."""
        found = activate(group, paths, only=self.only or None, without=without)
        return replace(found, state=resolve_paths(found.state, self.number))

    def _observe(self, group: Group, found: Active) -> State:
        """What is there of the group, but what is left out, and, with `only`, but what is not wanted."""
        select = hands_off(group, found.left_out, found.state)
        if not self.only:
            return observe(self.dm, select)
        wanted = {device.uuid for device in found.state.devices}
        return observe(self.dm, lambda entry: entry.uuid in wanted)

    def _take_plan(self, old: bytes, new: bytes) -> Plan:
        """The plan whose steps were told, once: a second attempt looks again."""
        made, self._made = self._made, None
        return made[2] if made is not None and made[:2] == (old, new) else self.plan(old, new)

    def _settle(self, members: Sequence[Standing], wanted: Transaction, error: DrystoneError) -> None:
        """After a failure: the metadata back where it was, or, when one region has committed, forward on all."""
        devices = [each.opened for each in members]
        try:
            after = replicate.recover(devices)
            is_new = any(each.committed is not None and each.committed.hash == wanted.hash for each in after.regions)
        except DrystoneError as other:
            error.facts["metadata"] = f"not settled: {other.message}; dvm transact recover does that"
            return
        error.facts["metadata"] = f"@{wanted.sequence}, the new one" if is_new else "as it was"
        if is_new:
            error.hint = (
                error.hint
                or "the metadata is committed; dvm transact update --activate ... -- cat leads the devices there"
            )


def _parse(metadata: bytes) -> Group | None:
    """The group that there was; None before the first one."""
    return None if msgspec.json.decode(metadata) is None else parse_group(metadata, "the old metadata")


def _commit_sector(each: Standing) -> Sector:
    """The slot by which a prepared region commits, where it goes on its device."""
    view = look(each.opened)
    slot = view.slot
    if slot is None or slot.next is None:
        raise InternalError(f"{each.opened.name} is not prepared")
    new = msgspec.structs.replace(committed_slot(slot, slot.next), generation=slot.generation + 1)
    offset = each.seat.region.begin * PAGE + SLOT_OFFSETS[place_of(new.generation)]
    return Sector(each.seat.region.path, offset, build_slot(new))

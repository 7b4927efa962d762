"""Updates that change device-mapper with the metadata: `dvm transact update --activate`.

Metadata prepared on all devices, the program with the commit inside run in one locked process, and afterwards the
metadata settled by what the program did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

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
from drystone.dvm.state import observe, resolve_paths, with_uuid
from drystone.dvm.transactions.page_blocks import PageBlocks
from drystone.dvm.transactions.survey import Standing, Survey
from drystone.dvm.transactions.two_phase import Sector, find_order, with_commit
from drystone.dvm.transactions.version import Version, build_version
from drystone.dvm.volactivate import activate, blanking, blanks, paths_of
from drystone.formats.region.layout import PAGE, SLOT_OFFSETS
from drystone.formats.region.slots import build_slot, place_of
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber

Run = Callable[[Program], Result]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done besides the metadata.

    :ivar blanking: writes zeros where new volumes begin. :ivar program: from what is there to what is wanted.
    """

    blanking: Program
    program: Program

    @property
    def steps(self) -> tuple[str, ...]:
        """In words."""
        return (*describe(self.blanking), *describe(self.program))


class Activation:
    """Puts new metadata in place and device-mapper with them.

    :param run: runs a program. :param number: major:minor of a path.
    """

    def __init__(
        self,
        dm: DeviceMapper,
        run: Run,
        devices: Devices,
        *,
        number: Callable[[str], DeviceNumber] | None = None,
    ) -> None:
        self.dm = dm
        self.run = run
        self.devices = devices
        self.number = number or PageBlocks().number
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
        """
        before = _parse(old)
        after = parse_group(new, "the new metadata")
        paths = paths_of(after, self.devices)
        found = activate(after, paths)
        if found.left_out:
            names = ", ".join(each.name for each in found.left_out[:8])
            raise MismatchError(
                f"devices that volumes need are missing: {names} could not stay active",
                hint="without --activate the metadata alone is changed",
                missing=sorted({uuid for each in found.left_out for uuid in each.missing}),
            )
        wanted = resolve_paths(found.state, self.number)
        current = observe(self.dm, with_uuid(uuid_prefix(after)))
        return Plan(blanking(blanks(before, after, paths)), compile_program(current, wanted))

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
        with HeldSignals().held():
            self.run(self.plan(metadata, metadata).program).require_done()

    def _write(self, found: Survey, members: Sequence[Standing], version: Version, parent: Transaction) -> Transaction:
        assert found.version is not None
        plan = self._take_plan(bytes(found.version.metadata), bytes(version.metadata))
        devices = [each.opened for each in members]
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
    new = replace(committed_slot(slot, slot.next), generation=slot.generation + 1)
    offset = each.seat.region.begin * PAGE + SLOT_OFFSETS[place_of(new.generation)]
    return Sector(each.seat.region.path, offset, build_slot(new))

"""What the disks of the machine say of themselves (SMART), asked now and then by smartctl, and what follows from it.

A disk that says it fails still holds what nobody else may have: so it is emptied and not given up, if not told
otherwise (docs/decisions/0065). A disk that cannot be asked (virtual ones, some bridges) is as good as it looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Literal

from drystone.base.errors import DamagedError, DrystoneError
from drystone.fleet.disk.health import Verdict
from drystone.fleet.storage.shelf import Bay, Shelf
from drystone.kernel.physical import disks_of_folder
from drystone.kernel.programs import find_program
from drystone.kernel.smart import ARGUMENTS, SmartReport, parse_report

log = logging.getLogger(__name__)

Policy = Literal["drain", "bad", "report", "off"]

_SECONDS = 60.0
"""For which smartctl is waited for: a disk that sleeps, or is busy with errors, takes long."""
_END_SECONDS = 2.0
_FIRST = 5.0
"""Seconds until disks are asked that were opened since."""


class SmartWatch:
    """Asks the disks below every bay.

    :param program: smartctl, by name or path. :param policy: what becomes of a disk that says it fails: it is emptied,
        counts as bad at once, or is only reported. :param sectors: unreadable ones that a disk may have.
    :param every: seconds from one question to the next.
    """

    def __init__(self, shelf: Shelf, program: str, policy: Policy, sectors: int, every: float) -> None:
        self._shelf = shelf
        self._program = program
        self._policy = policy
        self._sectors = sectors
        self._every = every
        self._running: dict[str, Process] = {}
        """By the disk that each was asked about."""
        self._due: dict[str, tuple[str, float]] = {}
        """Bay to the id of its disk, and when that is asked again (of the loop's clock)."""
        self._told: dict[str, tuple[str, dict[str, SmartReport]]] = {}
        """Bay to the id of its disk, and what the disks below that said last."""

    def reports(self) -> dict[str, dict[str, SmartReport]]:
        """Of the disks (`sda`) below each bay, by its name: what they said last."""
        return {name: told for name, (_, told) in self._told.items()}

    async def run(self) -> None:
        """Ask for as long as the server runs."""
        if self._policy == "off":
            await asyncio.Event().wait()
        path = find_program(self._program)
        if path is None:
            log.warning("%s is not installed (package smartmontools): disks are not asked how they are", self._program)
            await asyncio.Event().wait()
            return
        try:
            while True:
                for bay in self._shelf.bays.values():
                    if self._is_due(bay):
                        await self._ask(path, bay)
                await asyncio.sleep(_FIRST)
        finally:
            for process in self._running.values():
                await _end(process)

    def _is_due(self, bay: Bay) -> bool:
        """Whether the disk in a bay is to be asked now; then it is due again later."""
        if bay.disk is None:
            return False
        disk_id, now = bay.disk.identity.disk_id, asyncio.get_running_loop().time()
        known, due = self._due.get(bay.name, ("", 0.0))
        if known == disk_id and now < due:
            return False
        self._due[bay.name] = disk_id, now + self._every
        return True

    async def _ask(self, program: str, bay: Bay) -> None:
        assert bay.disk is not None, "due"
        disk_id = bay.disk.identity.disk_id
        try:
            disks = await bay.run(disks_of_folder, bay.root)
        except (DrystoneError, OSError) as error:
            log.info("which disks are below %s is not known: %s", bay.name, error)
            return
        known_of, known = self._told.get(bay.name, ("", {}))
        told: dict[str, SmartReport] = {}
        for each in disks:
            report = await self._read(program, each)
            before = known.get(each) if known_of == disk_id else None
            if report is None or (before is not None and not report.knows):
                report = before  # it sleeps, or hangs: what it said still holds
            if report is not None:
                told[each] = report
        self._told[bay.name] = disk_id, told
        verdict = decide(disk_id, told, self._policy, self._sectors)
        if verdict != bay.verdict:
            if verdict is not None:
                log.warning("disk %s: %s", bay.name, verdict.reason)
            bay.verdict = verdict
            bay.suspect.set()

    async def _read(self, program: str, disk: str) -> SmartReport | None:
        """What a disk says; None when it cannot be asked now."""
        before = self._running.get(disk)
        if before is not None and before.returncode is None:
            return None  # it hangs still, with the disk
        try:
            process = await asyncio.create_subprocess_exec(
                program, *ARGUMENTS, f"/dev/{disk}", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
            )
        except OSError as error:
            log.warning("%s cannot be run: %s", program, error)
            return None
        self._running[disk] = process
        try:
            async with asyncio.timeout(_SECONDS):
                data, _ = await process.communicate()
            return parse_report(data)
        except TimeoutError:
            log.warning("disk %s did not say in %g s how it is", disk, _SECONDS)
            await _end(process)
        except DamagedError as error:
            log.warning("disk %s: %s", disk, error)
        return None


def decide(disk_id: str, told: dict[str, SmartReport], policy: Policy, sectors: int) -> Verdict | None:
    """What follows for a disk of the fleet from what the disks below it say; None: nothing."""
    spelt = {disk: spell_trouble(report, sectors) for disk, report in sorted(told.items())}
    reason = "; ".join(f"{disk}: {trouble}" for disk, trouble in spelt.items() if trouble)
    if not reason:
        return None
    return Verdict(disk_id, f"SMART: {reason}", is_bad=policy == "bad", is_failing=policy == "drain")


def spell_trouble(report: SmartReport, sectors: int) -> str:
    """Why a disk fails by its own account, "" when it does not. :param sectors: unreadable ones that it may have."""
    reasons = []
    if report.passed is False:
        reasons.append("it says that it fails")
    if report.sectors is not None and report.sectors > sectors:
        reasons.append(f"{report.sectors} unreadable sector{'' if report.sectors == 1 else 's'}")
    return ", ".join(reasons)


async def _end(process: Process) -> None:
    """End a program. One that cannot end before its disk answers is not waited for."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            process.kill()
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()

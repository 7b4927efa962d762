"""The disks of one server: found, opened, watched. Each has threads of its own, so that a hung one delays no other.

A disk is a folder `data_N` below the root. One that has no identity is given one when its name was never seen, or
when another, empty file system is mounted there; where only the identity is gone, the disk is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec

from drystone.base.errors import DrystoneError, KernelError, TimedOutError, UnavailableError
from drystone.base.files import replace_file
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.health import Verdict
from drystone.fleet.disk.identity import initialize, read_identity
from drystone.fleet.documents import DiskReport

log = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_FOLDER = re.compile(r"data_([1-9][0-9]{0,3})")
_THREADS = 16
"""For each disk."""
_SLOW_THREADS = 3
"""For each disk, for what goes on for hours: a scrub, deletions."""
_SECONDS = 60.0
"""How long one step on a disk may take before whoever waits for it gives up."""
_GRACE_SECONDS = 0.5
_PROBE_SECONDS = 8.0
"""A disk that does not answer for so long is bad."""


class Bay:
    """A place for a disk.

    :ivar disk: None while there is none that can be used. :ivar hangs: it did not answer in time; nobody else waits.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.name
        self.disk: Disk | None = None
        self.last = DiskReport(root.name, "", "missing", 0, 0, "not opened yet")
        self.hangs = False
        self.verdict: Verdict | None = None
        """What was found about the disk beside what it met."""
        self.suspect = asyncio.Event()
        """Set when something failed that the next look may explain."""
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=root.name)
        self._slow = ThreadPoolExecutor(_SLOW_THREADS, thread_name_prefix=f"{root.name}-slow")

    async def run(
        self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Call a function in a thread of this disk. A call that was begun goes on when the caller is cancelled.

        :raises TimedOutError: it takes longer than a minute: the disk hangs. :raises UnavailableError: the disk failed,
            also in ways that say nothing yet about why (its folder is gone, as it was unmounted a moment ago).
        """
        if self.hangs:
            raise UnavailableError(f"disk {self.name} hangs")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()

        def tell(result: Result | None, error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, answer, result, error)

        def step() -> None:
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # in a thread: whoever waits is told
                tell(None, error)
            else:
                tell(result, None)

        self._pool.submit(step)
        timer = loop.call_later(_SECONDS, _settle, answer, None, TimeoutError())
        try:
            return await answer
        except KernelError as error:
            self.suspect.set()
            raise UnavailableError(f"disk {self.name}: {error.message}") from error
        except TimeoutError as error:
            raise TimedOutError(f"disk {self.name} did not answer in {_SECONDS:g} s") from error
        finally:
            timer.cancel()

    async def run_long(
        self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Call a function that may take hours, in a thread that only such calls have."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._slow, lambda: function(*args, **kwargs))

    async def put_away(self) -> None:
        """Close the disk, so that it can be opened anew when it is there again; what is under way has a moment."""
        if self.disk is not None:
            disk, self.disk = self.disk, None
            await asyncio.sleep(_GRACE_SECONDS)
            await self.run(disk.close)

    async def close(self) -> None:
        """Close the disk. One that hangs or fails is left as it is: its next opening finds what is there."""
        if self.disk is not None:
            disk, self.disk = self.disk, None
            try:
                await self.run(disk.close)
            except (DrystoneError, OSError) as error:
                log.warning("disk %s was not closed in order: %s", self.name, error)
        self._pool.shutdown(wait=False)
        self._slow.shutdown(wait=False)


def _settle(answer: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    """Tell whoever waits for a step how it ended; the log, where nobody does any more."""
    if not answer.done():
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)
    elif error is not None:
        log.info("a step on a disk that nobody waited for failed: %s", error)


class Shelf:
    """The disks below `root`.

    :param state: folder where the names of disks that were once used are kept.
    """

    def __init__(self, root: Path, state: Path) -> None:
        self._root = root
        self._seen = state / "disks.json"
        self.bays: dict[str, Bay] = {}
        self.before_use: Callable[[Disk], None] = lambda _: None
        """Called with each disk that was opened, in the event loop, before anybody finds it."""

    def find_folders(self) -> None:
        """Make a bay of each `data_N` that there is now. :raises UnavailableError: there is none."""
        found = sorted(
            (int(match[1]), path) for path in self._root.glob("data_*") if (match := _FOLDER.fullmatch(path.name))
        )
        for _, path in found:
            self.bays.setdefault(path.name, Bay(path))
        if not self.bays:
            raise UnavailableError(f"there is no {self._root / 'data_1'}", hint="mount disks at data_1, data_2, ...")

    def _load_seen(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._seen.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}

    def _keep_seen(self, seen: dict[str, str]) -> None:
        self._seen.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._seen, msgspec.json.encode(seen))

    async def open(self, fleet: str) -> bool:
        """Open every disk that can be and is not; whether one was opened that was not.

        :param fleet: its id; "" while unknown: then only disks that have an identity are opened.
        """
        before = {name for name, bay in self.bays.items() if bay.disk is not None}
        async with asyncio.TaskGroup() as group:
            for bay in self.bays.values():
                if bay.disk is None:
                    group.create_task(self._open_bay(bay, fleet))
        opened = {name: bay.disk.identity.disk_id for name, bay in self.bays.items() if bay.disk is not None}
        if opened.keys() != before:
            self._keep_seen(self._load_seen() | opened)
        return opened.keys() != before

    async def _open_bay(self, bay: Bay, fleet: str) -> None:
        seen = bay.name in self._load_seen()

        def open_disk() -> Disk | None:
            if not _has_identity(bay.root):
                if not fleet or (seen and not _is_empty_mount(bay.root)):
                    return None
                initialize(bay.root, fleet)
            disk = Disk(bay.root, bay.name)
            disk.open(fleet or read_identity(bay.root).fleet)
            return disk

        try:
            disk = await bay.run(open_disk)
            if disk is not None:
                self.before_use(disk)
                bay.disk = disk
            else:
                bay.last = DiskReport(bay.name, "", "missing", 0, 0, "its identity is gone: is it mounted?")
        except (DrystoneError, OSError) as error:
            if bay.last.reason != str(error):
                log.warning("disk %s cannot be used: %s", bay.name, error)
            bay.last = DiskReport(bay.name, "", "bad", 0, 0, str(error))

    def fleet(self) -> str:
        """The fleet that the open disks belong to, "" when none has an identity."""
        return next((bay.disk.identity.fleet for bay in self.bays.values() if bay.disk is not None), "")

    def find(self, disk_id: str) -> Bay | None:
        """The bay with a disk, None when it is not here or cannot be used."""
        for bay in self.bays.values():
            if bay.disk is not None and bay.disk.identity.disk_id == disk_id:
                return bay
        return None

    def disk_ids(self) -> frozenset[str]:
        """Of all disks that `find` finds."""
        return frozenset(bay.disk.identity.disk_id for bay in self.bays.values() if bay.disk is not None)

    async def watch(self) -> None:
        """Look at every disk once; `reports` then has what was seen."""
        async with asyncio.TaskGroup() as group:
            for bay in self.bays.values():
                group.create_task(_look_at(bay))

    async def wait_for_suspicion(self, seconds: float) -> None:
        """Wait for `seconds`, or until something failed on a disk."""
        waits = [asyncio.create_task(bay.suspect.wait()) for bay in self.bays.values()]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
        for bay in self.bays.values():
            bay.suspect.clear()

    def reports(self) -> tuple[DiskReport, ...]:
        """What was seen last of each disk."""
        return tuple(bay.last for bay in self.bays.values())

    async def close(self) -> None:
        """Close all of them."""
        for bay in self.bays.values():
            await bay.close()


async def _look_at(bay: Bay) -> None:
    disk = bay.disk
    if disk is None:
        return
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            report = await bay.run_long(disk.report)
        bay.last = report if bay.verdict is None else bay.verdict.add_to(report)
        bay.hangs = False
    except TimeoutError:
        bay.hangs = True
        bay.last = msgspec.structs.replace(bay.last, health="bad", reason=f"no answer in {_PROBE_SECONDS:g} s")
    if bay.last.health == "missing":
        log.warning("disk %s is gone: %s", bay.name, bay.last.reason)
        try:
            await bay.put_away()
        except (DrystoneError, OSError) as error:
            log.warning("disk %s was not closed in order: %s", bay.name, error)


def _has_identity(root: Path) -> bool:
    try:
        read_identity(root)
    except UnavailableError:
        return False
    return True


def _is_empty_mount(root: Path) -> bool:
    """Whether another file system is mounted at `root`, with nothing in it but what mkfs leaves."""
    mounted = root.stat().st_dev != root.parent.stat().st_dev
    return mounted and all(each.name == "lost+found" for each in root.iterdir())

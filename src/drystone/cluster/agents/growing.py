"""File systems that grow to the size of their volumes, each in a thread of its own.

A mounted file system grows by writes to itself, which wait as long as a mirror below holds them. So nobody waits for
that: what became of it is in what the ihost sees. It is remembered in memory only: an agent that was started anew grows
a file system anew that has its size already, which changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock, Thread

from drystone.base.errors import DrystoneError, RefusedError
from drystone.base.sizes import SECTOR
from drystone.cluster.agents.answers import FileSystemSeen
from drystone.dvm.planning.resizing import plan_resize
from drystone.dvm.transactions.file_systems import MachineFileSystems
from drystone.kernel.dm.abc import DeviceMapper

log = logging.getLogger(__name__)


def fill_device(dm: DeviceMapper, name: str) -> None:
    """Have the ext4 or xfs on a device be as large as that. One that is mounted stays so; an ext4 that is not is
    checked first. Durable as far as the file system's own program makes it: that ends after its last flush.

    :raises RefusedError: there is none; or it grows only while it is mounted, and is not.
    :raises UnsupportedError: there is something else. :raises BusyError: it is in use, and not mounted here.
    :raises DamagedError: it has errors. :raises DrystoneError: its program failed.
    """
    info = dm.info(name)
    size = sum(line.length for line in dm.table(name)) * SECTOR
    systems = MachineFileSystems()
    content = systems.look(info)
    if not content.kind:
        raise RefusedError(f"there is no file system on {name}")
    for step in plan_resize(name, size, size, content):
        if step.act == "check-file-system":
            systems.check(content.kind, systems.path(info))
        else:
            systems.grow(content.kind, systems.path(info), content.mounted)


def _begin(work: Callable[[], None]) -> None:
    Thread(target=work, daemon=True).start()


class Growths:
    """The constructor has no effects.

    :param grow: brings what is on the device of that name to its size. :param begin: has something done, by others.
    """

    def __init__(self, grow: Callable[[str], None], begin: Callable[[Callable[[], None]], None] = _begin) -> None:
        self._grow = grow
        self._begin = begin
        self._guard = Lock()
        self._wanted: dict[str, tuple[int, str]] = {}
        """Of dlvs whose file systems grow now: for which wish, and on which device."""
        self._ended: dict[str, FileSystemSeen] = {}

    def start(self, dlv: str, fill: int, device: str) -> None:
        """Have what is on `device` grow, unless that was done for `fill`. After what is under way for another one."""
        with self._guard:
            if self._find(dlv, fill) is not None:
                return
            is_under_way = dlv in self._wanted
            self._wanted[dlv] = (fill, device)
        if not is_under_way:
            self._begin(lambda: self._do(dlv))

    def find(self, dlv: str, fill: int) -> FileSystemSeen | None:
        """What became of it; None: it is not done yet, or was not asked for."""
        with self._guard:
            return self._find(dlv, fill)

    def _find(self, dlv: str, fill: int) -> FileSystemSeen | None:
        found = self._ended.get(dlv)
        return found if found is not None and found.fill == fill else None

    def _do(self, dlv: str) -> None:
        while (wanted := self._wanted.get(dlv)) is not None:
            fill, device = wanted
            problem = "a defect of the agent, which is in its log"
            try:
                self._grow(device)
                problem = ""
            except (DrystoneError, OSError) as error:
                problem = str(error)
                log.warning("the file system on %s: %s", device, problem)
            except Exception:  # the supervisor of a thread: whoever waits for the file system is told
                log.exception("the file system on %s", device)
            with self._guard:
                self._ended[dlv] = FileSystemSeen(fill, problem)
                if self._wanted[dlv] == wanted:
                    del self._wanted[dlv]

"""What makes a worker quick: the modules that tools use are in memory, and so are the pages that they write to.

After a fork each page of memory that is written to is copied first, which is most of what a small command would wait
for. A worker that waits for its client does commands meanwhile, on a group of its own in a plain file, with its output
dropped: what it touches then is its own when the client comes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from drystone.base.errors import KernelError
from drystone.cli.dvm.plain.run import run_words

_SIZE = 8 << 20
"""Of the file that stands for a disk; sparse."""
_GROUP = "rehearsal"


class Stage:
    """A group on a file in a folder, and commands that change nothing outside it.

    :ivar client: the program that `transact update` is given as its mutator.
    """

    def __init__(self, folder: str, client: str) -> None:
        self.client = client
        self.disk, self.devices, self.group = (str(Path(folder, name)) for name in ("disk", "devices", "group"))

    def build(self) -> None:
        """Make the group, with a volume. For a process of its own."""
        with Path(self.disk).open("xb") as stream:
            stream.truncate(_SIZE)
        self._do("discover", "add", _GROUP, "--file", self.disk, self.disk, "1:257", output=self.devices)
        self._do("metadata", "init", "--extent-size", "128k", "--devices", self.devices, output=self.group)
        self._do("transact", "expand", _GROUP, "--devices", self.devices, "--metadata", self.group)
        self._update("create", "first", "--size", "1m")

    def rehearse(self, is_wanted: Callable[[], bool]) -> None:
        """Do what commands do, one after the other, until somebody waits for this process."""
        sys.argv = [self.client]
        for step in (self._report, self._report_live, self._create, self._remove, self._execute):
            if is_wanted():
                return
            step()

    def _report(self) -> None:
        self._do("show", _GROUP, "lvs", "--text", "--device", self.disk)

    def _report_live(self) -> None:
        self._do("show", _GROUP, "lvs", "--live", "--text", "--device", self.disk)

    def _create(self) -> None:
        self._update("create", "new", "--size", "1m")

    def _remove(self) -> None:
        self._update("remove", "new")

    def _execute(self) -> None:
        """What changes device-mapper, on a simulated one; and memory is locked once, which reads in what is not yet."""
        from drystone.dvm.dmactivate import activate
        from drystone.dvm.dmexec import execute
        from drystone.dvm.state import Device, Line, State
        from drystone.kernel.dm.simulated.device_mapper import SimulatedDeviceMapper
        from drystone.kernel.memory import locked_memory

        wanted = State((Device("new", "DRYSTONE-rehearsal", (Line(0, 8, "zero"),)),))
        with contextlib.suppress(KernelError), locked_memory():  # refused by a low limit of locked memory
            execute(activate(State(), wanted), SimulatedDeviceMapper())

    def _update(self, *words: str) -> None:
        self._do("transact", "update", _GROUP, "--device", self.disk, "--", self.client, "metadata", *words)

    @staticmethod
    def _do(*words: str, output: str = os.devnull) -> None:
        """Run a tool. One that fails does so for a reason of this machine's, which its client will be told."""
        with _redirected(output):
            run_words(words)


@contextlib.contextmanager
def _redirected(output: str) -> Iterator[None]:
    """The standard streams: nothing to be read, and what is printed goes into the file `output`, errors nowhere."""
    kept = [os.dup(number) for number in range(3)]
    streams = sys.stdin, sys.stdout, sys.stderr
    taken = [
        os.open(os.devnull, os.O_RDONLY),
        os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        os.open(os.devnull, os.O_WRONLY),
    ]
    try:
        for number, handle in enumerate(taken):
            os.dup2(handle, number)
            os.close(handle)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(at, how, closefd=False) for at, how in enumerate("rww"))
        yield
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        for number, handle in enumerate(kept):
            os.dup2(handle, number)
            os.close(handle)

"""One guest as its supervisor sees it: the kernel's process, its console, its serial line, its end of the wire."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from drystone.lab.boot import command_line, write_boot_folder
from drystone.lab.frames import SERIAL_ROOM, FrameLine
from drystone.lab.machine import Kernel
from drystone.lab.spec import LabSpec, NodeSpec

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PANIC = "Kernel panic - not syncing"
_EVERY_BOOT = ("SELinux: ", "mmapper_init - ", "Failed to initialize ubd device 0 :")
"""What the console shows at every boot, healthy or not."""
_REGISTERS = re.compile(r"(R[A-Z0-9]{2}: [0-9a-f]{16}|Modules linked in:)")
"""Lines before a panic that matter less than its place, which is on the lines `Pid:` and `RIP:`."""
_SOCKET_BUFFER = 1 << 20
CONSOLE_LINES = 200


class Node:
    """A guest. `state` is down, booting, up or failed; the supervisor's loop calls it when a descriptor is ready."""

    def __init__(self, kernel: Kernel, lab: LabSpec, spec: NodeSpec, folder: Path) -> None:
        self.spec = spec
        self.state = "down"
        self.reason = ""
        self.failure: dict[str, object] | None = None
        self.pid = 0
        self.pidfd = -1
        self.line: FrameLine | None = None
        self.wire: socket.socket | None = None
        self.console = -1
        self.began = 0.0
        self.boot_seconds = 0.0
        self._kernel = kernel
        self._lab = lab
        self._folder = folder
        self._serial: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: deque[str] = deque(maxlen=CONSOLE_LINES)
        self._tail = ""

    def boot(self) -> None:
        """Start the kernel. The guest is up when its agent says so.

        :raises OSError: the kernel could not be started.
        """
        write_boot_folder(self._kernel, self._lab, self.spec, self._folder)
        ours, theirs = socket.socketpair()
        wire, far_wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (wire, far_wire):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        console, far_console = os.pipe()
        try:
            process = subprocess.Popen(
                command_line(self._kernel, self.spec, self._folder, theirs.fileno(), far_wire.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=far_console,
                stderr=far_console,
                pass_fds=(theirs.fileno(), far_wire.fileno()),
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "TMPDIR": self._lab.memory_place},
                start_new_session=True,
                preexec_fn=_prepare_kernel,  # noqa: PLW1509 - the supervisor has one thread
            )
        finally:
            theirs.close()
            far_wire.close()
            os.close(far_console)
        for handle in (ours.fileno(), wire.fileno(), console):
            os.set_blocking(handle, False)
        self._process, self.pid, self.pidfd = process, process.pid, os.pidfd_open(process.pid)
        self._serial, self.line, self.wire, self.console = ours, FrameLine(ours.fileno(), SERIAL_ROOM), wire, console
        self.state, self.reason, self.failure, self.began = "booting", "", None, time.monotonic()
        self._lines.clear()
        self._tail = ""

    def kill(self) -> None:
        """The power cut: the kernel and its helpers are gone at once."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def hold(self, *, still: bool) -> None:
        """Stop the kernel in its tracks, or let it go on: its main process alone, as stopped helpers make it panic."""
        if self.pid:
            os.kill(self.pid, signal.SIGSTOP if still else signal.SIGCONT)

    def reap(self, reason: str) -> None:
        """End what is left of the kernel and close everything of it. Nothing of the guest runs when this returns."""
        pid = self.pid
        self.kill()
        assert self._process is not None
        assert self._serial is not None
        assert self.wire is not None
        status = self._process.wait()
        with contextlib.suppress(ChildProcessError):
            while True:  # its helpers, which the supervisor inherits
                os.waitpid(-pid, 0)
        self.read_console()  # a pipe holds no more than one reading takes
        os.close(self.pidfd)
        os.close(self.console)
        self._serial.close()
        self.wire.close()
        self._process = self._serial = self.line = self.wire = None
        self.pid, self.pidfd, self.console = 0, -1, -1
        self.state, self.reason = "down", reason or self._explain(status)

    def _explain(self, status: int) -> str:
        """Why the kernel ended by itself: its panic, or the status it ended with."""
        panic = next((line.strip() for line in self._lines if _PANIC in line), "")
        if panic:
            return panic
        return "it was powered off or rebooted" if status == 0 else f"its kernel ended with status {status}"

    def fail(self, error: dict[str, object]) -> None:
        """Remember, after reap, that the guest did not end as somebody wished; `error` is the error's document."""
        self.state, self.failure = "failed", error

    def read_console(self) -> bool:
        """Take what the console has; False at its end."""
        try:
            data = os.read(self.console, 1 << 16)
        except BlockingIOError:
            return True
        *whole, self._tail = (self._tail + data.decode(errors="replace")).split("\n")
        self._tail = self._tail[-4096:]
        self._lines.extend(line.rstrip("\r") for line in whole)
        return bool(data)

    def console_lines(self) -> list[str]:
        """The console's last lines."""
        return [*self._lines, *([self._tail] if self._tail else [])]

    def describe(self) -> dict[str, Any]:
        """What `lab status` shows."""
        return {
            "node": self.spec.name,
            "state": self.state,
            "reason": self.reason,
            "address": self.spec.address,
            "pid": self.pid,
            "memory": self.spec.memory,
            "disks": [disk.path for disk in self.spec.disks],
            "boot_seconds": round(self.boot_seconds, 3),
        }


def last_words(console: Iterable[str]) -> list[str]:
    """The lines of a console that say why its guest ended: not those of every boot, nor a panic's trace."""
    lines = [line.strip() for line in console]
    end = next((number for number, line in enumerate(lines) if _PANIC in line), len(lines))
    return [line for line in lines[:end] if line and not line.startswith(_EVERY_BOOT) and not _REGISTERS.match(line)]


def inherit_orphans() -> None:
    """Make this process the one that inherits the helpers of kernels that end, and can wait for them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prepare_kernel() -> None:
    """In the child: be killed when the supervisor is, and leave no core file after a panic."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

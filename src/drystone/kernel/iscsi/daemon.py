"""iscsid, the process that logs in and keeps sessions: whether it runs, and how it is started.

Where systemd is, its socket starts it (iscsiadm asks for it, see `iscsid.startup` in iscsid.conf); elsewhere, such as
in the lab, it is started here. Source: open-iscsi `usr/mgmt_ipc.h` (the name of its socket).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from drystone.base.clock import Clock
from drystone.base.errors import UnavailableError, UnsupportedError
from drystone.kernel.modules import load_module
from drystone.kernel.programs import Outcome

Run = Callable[[str, Sequence[str]], Outcome]
"""Run a program of open-iscsi, by name and arguments, to its end."""

_SOCKET = "@ISCSIADM_ABSTRACT_NAMESPACE"
_PATIENCE, _PAUSE = 10.0, 0.05
"""Seconds."""


def is_running(proc: str = "/proc") -> bool:
    """Whether somebody listens at iscsid's socket: iscsid, or systemd for it."""
    try:
        lines = Path(proc, "net", "unix").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.endswith(f" {_SOCKET}") for line in lines)


def ensure_running(
    run: Run,
    *,
    clock: Clock,
    proc: str = "/proc",
    systemd: str = "/run/systemd/system",
    load: Callable[[str], bool] = load_module,
) -> None:
    """Have iSCSI over TCP in the kernel, and iscsid or who starts it at the socket. Where it runs, nothing is done.

    :raises UnsupportedError: this kernel has no iSCSI. :raises UnavailableError: iscsid did not come.
    """
    if is_running(proc):
        return
    if not load("iscsi_tcp"):
        raise UnsupportedError("this kernel has no iSCSI over TCP", hint="modprobe iscsi_tcp")
    load("sd_mod")  # without it a disk that is attached has no node; where udev runs, it sees to that
    started = run("systemctl", ["start", "iscsid.socket"]) if Path(systemd).is_dir() else run("iscsid", [])
    end = clock.monotonic() + _PATIENCE
    while not is_running(proc):
        if started.code or clock.monotonic() >= end:
            raise UnavailableError(f"iscsid did not start: {started.last_line()}", hint="read its log")
        clock.sleep(_PAUSE)

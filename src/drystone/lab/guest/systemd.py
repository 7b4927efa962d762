"""A guest whose first process is this machine's systemd: what it finds below /etc and /usr/lib, and how it takes over.

Of the package's units those of a machine's start, its journal, udev and its end are there; of its generators the one
for fstab. Nothing that this machine has in /etc/systemd or /etc/fstab is.
"""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

from drystone.lab.guest import calls

PROGRAM = "/usr/lib/systemd/systemd"
_UNITS = "usr/lib/systemd/system"
_GENERATORS = "usr/lib/systemd/system-generators"
_GENERATOR = f"{_GENERATORS}/systemd-fstab-generator"
_OPAQUE = "trusted.overlay.opaque"
"""What hides the folder of the same name in the layers below (Linux, Documentation/filesystems/overlayfs.rst)."""
_TARGETS = (
    "basic", "emergency", "final", "local-fs", "local-fs-pre", "multi-user", "network", "network-online", "network-pre",
    "paths", "poweroff", "reboot", "remote-fs", "remote-fs-pre", "shutdown", "slices", "sockets", "swap", "sysinit",
    "time-set", "time-sync", "timers", "umount",
)  # fmt: skip
_STARTED = {
    "sysinit.target": ("systemd-journald.service", "systemd-udevd.service", "systemd-udev-trigger.service"),
    "sockets.target": (
        "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-udevd-control.socket",
        "systemd-udevd-kernel.socket",
    ),
}  # fmt: skip
"""Units by what starts them, as in the package."""
_OTHERS = (
    "emergency.service", "modprobe@.service", "systemd-fsck@.service", "systemd-poweroff.service",
    "systemd-reboot.service",
)  # fmt: skip


def lay_out(layer: Path, boot: dict[str, Any]) -> None:
    """Fill the folder `layer`, which lies over this machine's tree.

    :raises OSError: the package has not what is asked of it, or no room.
    """
    for name in ("etc/systemd", _UNITS, _GENERATORS):
        folder = layer / name
        folder.mkdir(parents=True)
        os.setxattr(folder, _OPAQUE, b"y")
    for name in (*(f"{each}.target" for each in _TARGETS), *_OTHERS, *(u for some in _STARTED.values() for u in some)):
        (layer / _UNITS / name).write_bytes(Path("/", _UNITS, name).read_bytes())
    for target, units in _STARTED.items():
        wants = layer / _UNITS / f"{target}.wants"
        wants.mkdir()
        for name in units:
            (wants / name).symlink_to(f"../{name}")
    (layer / _UNITS / "default.target").symlink_to("multi-user.target")
    (layer / _GENERATOR).write_bytes(Path("/", _GENERATOR).read_bytes())
    (layer / _GENERATOR).chmod(0o755)
    os.mknod(layer / ".dockerenv", stat.S_IFCHR)  # not there: a container's systemd leaves out much
    (layer / "etc/fstab").write_text("")
    (layer / "etc/hostname").write_text(f"{boot['name']}\n")
    (layer / "etc/machine-id").write_text(f"{boot['machine_id']}\n")


def take_over() -> None:
    """Become systemd in this process; in a child of it, which systemd's end spares, return.

    :raises OSError: systemd could not be run.
    """
    if os.fork() == 0:
        os.setsid()
        calls.outlive_shutdown()
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.execve(PROGRAM, [PROGRAM], {"PATH": path})  # noqa: S606 - a program of its own is what is wanted

"""A guest's first process: from the host's file tree, read-only, to a root of the guest's own, then the agent.

Nothing that the guest writes reaches the host, except into the folders that the boot document names. The root is an
overlay whose upper side is a tmpfs; the old root is let go of by pivot_root, which the kernel's own helpers (modprobe)
follow.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from drystone.lab.guest import calls

PLACE = "/run/drystone"
"""Where the lab keeps its things inside a guest; a tmpfs."""


def _mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    Path(target).mkdir(parents=True, exist_ok=True)
    calls.mount(source, target, kind, flags, options)


def build_root(boot: dict[str, Any]) -> None:
    """Make the overlay, mount what a Linux root needs, and pivot into it.

    :raises OSError: a mount failed.
    """
    for path in boot["overlay_modules"]:
        calls.load_module(path)
    calls.mount("", "/", "", calls.MS_REMOUNT | calls.MS_RDONLY | calls.MS_NOSUID)
    calls.mount("", "/", "", calls.MS_PRIVATE | calls.MS_REC)
    place = boot["mount_point"]
    calls.mount("tmpfs", place, "tmpfs", 0, "mode=755")
    upper, work, root = f"{place}/upper", f"{place}/work", f"{place}/root"
    for folder in (upper, work):
        Path(folder).mkdir()
    lower = ":".join((*_lay_over(boot), "/"))
    _mount("overlay", root, "overlay", calls.MS_NOSUID, f"lowerdir={lower},upperdir={upper},workdir={work}")
    _mount("/dev", f"{root}/dev", "", calls.MS_MOVE)
    _mount("proc", f"{root}/proc", "proc")
    _mount("sysfs", f"{root}/sys", "sysfs")
    _mount("tmpfs", f"{root}/run", "tmpfs", 0, "mode=755")
    _mount("tmpfs", f"{root}/dev/shm", "tmpfs", 0, "mode=1777")  # noqa: S108 - every Linux root has it
    _mount("devpts", f"{root}/dev/pts", "devpts", 0, "mode=620,ptmxmode=666")
    Path(f"{root}{PLACE}/old").mkdir(parents=True)
    for folder in sorted({*boot["folders"], *_disk_folders(boot)}):
        _mount("none", f"{root}{folder}", "hostfs", calls.MS_NOSUID, folder)
    release = os.uname().release
    modules = Path(f"{root}/lib/modules/{release}")
    modules.parent.mkdir(exist_ok=True)
    if not modules.exists():
        modules.symlink_to(boot["modules_folder"])
    calls.pivot_root(root, f"{root}{PLACE}/old")
    os.chdir("/")
    calls.detach(f"{PLACE}/old")


def _disk_folders(boot: dict[str, Any]) -> set[str]:
    return {str(Path(file).parent) for disk in boot["disks"] for file in (disk["path"], disk["log"]) if file}


def _lay_over(boot: dict[str, Any]) -> list[str]:
    """The folders that lie over the host's tree, the uppermost first."""
    layers = []
    if boot["over"]:
        layers.append(f"{boot['mount_point']}/over")
        _mount("none", layers[-1], "hostfs", calls.MS_RDONLY | calls.MS_NOSUID, boot["over"])
    if boot["init"] == "systemd":
        from drystone.lab.guest.systemd import lay_out

        layers.append(f"{boot['mount_point']}/systemd")
        lay_out(Path(layers[-1]), boot)
    return layers


def set_up(boot: dict[str, Any]) -> None:
    """Modules, names, interfaces.

    :raises OSError: a step failed.
    """
    os.umask(0o022)
    Path("/run/lock").mkdir()
    Path("/run/tmp").mkdir()
    Path("/run/tmp").chmod(0o1777)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        Path("/dev", name).symlink_to(f"/proc/self/fd{target}")  # what udev makes elsewhere
    for path in boot["modules"]:
        calls.load_module(path)
    calls.set_host_name(boot["name"])
    hosts = "".join(f"{address} {name}\n" for name, address in boot["hosts"])
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
    from drystone.lab.guest.network import bring_up

    bring_up("lo", "127.0.0.1", 8)
    bring_up("vec0", boot["address"])
    if boot["disks"]:
        from drystone.lab.guest.disks import serve_disks

        serve_disks(boot["disks"], boot["cache"])
    # The boot is quiet; from here on the console shows what leads up to a panic, and the place where it happens.
    Path("/proc/sys/kernel/printk").write_text("7")


def main(path: str) -> None:
    """Boot from the document at `path` (on the host's file tree), then serve until the power goes."""
    boot = json.loads(Path(path).read_text())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    build_root(boot)
    set_up(boot)
    if boot["init"] == "systemd":
        from drystone.lab.guest.systemd import take_over

        for folder in _disk_folders(boot) - {*boot["folders"]}:
            calls.detach(folder)  # held open by the disks' server, systemd could not unmount it at its end
        take_over()
    from drystone.lab.guest.agent import Agent, open_line

    Agent(open_line("/dev/ttyS0"), boot).serve()

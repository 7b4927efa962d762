"""How a guest is booted: the kernel's command line and the document that its first process reads. Values only."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from drystone.lab.machine import Kernel
from drystone.lab.modules import DISK_MODULES, ROOT_MODULES, USUAL_MODULES, plan_modules
from drystone.lab.spec import LabSpec, NodeSpec

_CACHE_SHARE = 8
"""The disks of a guest keep at most memory / 8 of unflushed bytes each."""
INIT = """import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {source!r})
from drystone.lab.guest.start import main
main({document!r})
"""
"""The guest's first program. It stands in the node's folder, as a kernel's command line is no place for odd paths."""


def command_line(kernel: Kernel, node: NodeSpec, folder: Path, serial: int, wire: int) -> list[str]:
    """The words that boot `node` out of its folder; `serial` and `wire` are descriptors that the kernel inherits."""
    return [
        str(kernel.program),
        f"mem={node.memory >> 20}M",
        f"umid={node.name}",
        f"uml_dir={folder}/uml",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        f"init={folder}/python",
        "con=null",
        "con0=fd:0,fd:1",
        "ssl=null",
        f"ssl0=fd:{serial}",
        f"vec0:transport=fd,fd={wire},depth=64,mac={node.mac}",
        "noreboot=1",  # a reboot would find its line to the supervisor gone: it ends the guest instead
        "pty.legacy_count=0",  # or 512 devices that nobody uses, and udev looks at each
        "quiet",
        "--",
        "-S",
        "-E",
        f"{folder}/init.py",
    ]


def boot_document(kernel: Kernel, lab: LabSpec, node: NodeSpec, folder: Path) -> dict[str, Any]:
    """What the guest's first process is told.

    :raises NotFoundError: a module that the lab asks for does not exist.
    """
    built_in = (kernel.modules / "modules.builtin").read_text().split()
    root_modules = plan_modules(ROOT_MODULES, kernel.modules, built_in)
    names = [*USUAL_MODULES, *(DISK_MODULES if node.disks else ()), *lab.modules]
    return {
        "name": node.name,
        "address": node.address,
        "hosts": [(each.name, each.address) for each in lab.nodes],
        "mount_point": str(folder / "mnt"),
        "folders": [*lab.folders],
        "init": lab.init,
        "over": lab.over,
        "machine_id": hashlib.md5(f"{lab.name}/{node.name}".encode(), usedforsecurity=False).hexdigest(),
        "disks": [{"path": disk.path, "size": disk.size, "log": disk.log} for disk in node.disks],
        "cache": node.memory // _CACHE_SHARE,
        "overlay_modules": root_modules,
        "modules": [path for path in plan_modules(names, kernel.modules, built_in) if path not in root_modules],
        "modules_folder": str(kernel.modules),
    }


def write_boot_folder(kernel: Kernel, lab: LabSpec, node: NodeSpec, folder: Path) -> None:
    """Fill the node's folder with what its boot reads.

    :raises OSError: it could not be written. :raises NotFoundError: see boot_document.
    """
    document = boot_document(kernel, lab, node, folder)
    for name in ("mnt", "uml"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "boot.json").write_text(json.dumps(document))
    (folder / "init.py").write_text(INIT.format(source=lab.source, document=f"{folder}/boot.json"))
    interpreter = folder / "python"
    if not interpreter.is_symlink():
        interpreter.symlink_to(os.path.realpath(sys.executable))

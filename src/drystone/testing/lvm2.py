"""LVM2 itself, as oracle and peer: Debian's `lvm`, kept to the devices that it is given and to a folder of its own.

Without device-mapper in the kernel it still writes and reads its metadata (`--driverloaded n`): volumes are then made
inactive, and kinds whose making needs the kernel (raid1, mirror) come in by `vgcfgrestore`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SECONDS = 120
_INACTIVE = ("-an", "-Zn", "-Wn")

_CONFIGURATION = """\
devices {{
    dir="/dev"
    scan=["/dev"]
    filter=[{accepted}, "r|.*|"]
    global_filter=[{accepted}, "r|.*|"]
    use_devicesfile=0
    obtain_device_list_from_udev=0
    external_device_info_source="none"
    hints="none"
}}
global {{ locking_dir="{folder}/lock" use_lvmpolld=0 event_activation=0 }}
activation {{ udev_sync=0 udev_rules=0 monitoring=0 }}
backup {{ backup=0 archive=0 }}
allocation {{ zero_metadata=0 }}
"""


def has_lvm2() -> bool:
    """Whether the machine has it."""
    return shutil.which("lvm") is not None


@dataclass(frozen=True, slots=True)
class Lvm2:
    """`lvm` with a configuration in `folder`; see `configure`. `driver`: whether device-mapper is in the kernel."""

    folder: Path
    driver: bool = False

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of its commands.

        :raises AssertionError: it failed, and `check` is set; the message is what it said.
        """
        done = subprocess.run(
            ["lvm", *words, *(() if self.driver else ("--driverloaded", "n"))],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LVM_SYSTEM_DIR": str(self.folder), "DM_DISABLE_UDEV": "1", "TZ": "UTC", "LC_ALL": "C"},
        )
        if check and done.returncode:
            raise AssertionError(f"lvm {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def create(self, group: str, name: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`lvcreate`, inactive where there is no device-mapper."""
        inactive = () if self.driver else _INACTIVE
        return self.run("lvcreate", "-y", *inactive, *words, "-n", name, group, check=check)

    def report(self, command: str, fields: Sequence[str], *words: str) -> list[dict[str, Any]]:
        """The rows of `pvs`, `vgs` or `lvs`, or of its segments; sizes in bytes."""
        asked = ("--reportformat", "json", "--units", "b", "--nosuffix", "-o", ",".join(fields))
        found = json.loads(self.run(command, *asked, *words).stdout)["report"][0]
        rows: list[dict[str, Any]] = found["seg" if "--segments" in words else command[:-1]]
        return rows


def configure(folder: Path, devices: Sequence[str], *, driver: bool = False) -> Lvm2:
    """LVM2 for these devices alone; others it does not see."""
    accepted = ", ".join(f'"a|^{device}$|"' for device in devices)
    (folder / "lvm.conf").write_text(_CONFIGURATION.format(accepted=accepted or '"r|.*|"', folder=folder))
    return Lvm2(folder, driver)

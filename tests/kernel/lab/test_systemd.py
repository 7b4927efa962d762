"""A guest whose first process is systemd: nothing of this machine's units is in it, and it ends in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.lab.lab import Lab
from drystone.lab.machine import SYSTEMD
from drystone.lab.manager import Manager

pytestmark = pytest.mark.skipif(not SYSTEMD.exists(), reason="the package systemd is not installed")

UNIT = """\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'cp /etc/given /run/taken'
ExecStop=/bin/sh -c 'echo stopped > /mnt/stopped'
[Install]
WantedBy=multi-user.target
"""
BUSY = "mkfs.ext4 -q /dev/lab/disk0 && mount /dev/lab/disk0 /mnt && cd /mnt && { sleep 9999 > /dev/null 2>&1 & }"
"""A file system that can be unmounted only once systemd's last step has ended whoever is in it."""


def test_it_starts_what_it_is_given_and_stops_it_before_the_disks_go(
    lab_factory: Callable[..., Lab], tmp_path: Path
) -> None:
    units = tmp_path / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (units / "demo.service").write_text(UNIT)
    (units / "multi-user.target.wants/demo.service").symlink_to("../demo.service")
    (tmp_path / "etc/given").write_text("first\n")
    lab = lab_factory(init="systemd", over=tmp_path, disks=[32 << 20], memory=256 << 20)
    (guest,) = lab.guests
    manager = Manager(guest)
    assert manager.wait_until_started() == "running"
    assert guest.run(["cat", "/proc/1/comm", "/etc/hostname", "/run/taken"]).check().text == "systemd\nnode1\nfirst\n"
    services = manager.systemctl("list-units", "--all", "--plain", "--no-legend", "--type=service", "--state=loaded")
    started = {line.split()[0] for line in services.splitlines() if " active " in line}
    assert started == {
        "demo.service",
        "systemd-journald.service",
        "systemd-udev-trigger.service",
        "systemd-udevd.service",
    }
    guest.run(["sh", "-c", BUSY]).check()
    manager.power_off()
    assert not [line for line in guest.console() if "Failed" in line and "systemd-shutdown" in line]
    (tmp_path / "etc/given").write_text("second\n")
    guest.boot()
    assert manager.wait_until_started() == "running"
    assert "needs_recovery" not in guest.run(["dumpe2fs", "-h", "/dev/lab/disk0"]).check().text, "it was unmounted"
    found = guest.run(["sh", "-c", "cat /run/taken; mount /dev/lab/disk0 /mnt; cat /mnt/stopped"]).check().text
    assert found == "second\nstopped\n"

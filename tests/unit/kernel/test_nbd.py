"""What sysfs says of network block devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError
from drystone.kernel import nbd
from drystone.kernel.nbd import NbdDevice

DEVICE = NbdDevice(3)


def make(tmp_path: Path, **files: str) -> str:
    folder = tmp_path / "block" / "nbd3"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return str(tmp_path)


def test_a_connected_device(tmp_path: Path) -> None:
    sysfs = make(tmp_path, pid=f"{os.getpid()}\n", backend="drystone it\n")
    assert nbd.is_connected(DEVICE, sysfs)
    assert not nbd.is_orphaned(DEVICE, sysfs)
    assert nbd.find_identifier(DEVICE, sysfs) == "drystone it"


def test_a_device_whose_server_is_gone(tmp_path: Path) -> None:
    sysfs = make(tmp_path, pid="4194305\n")
    assert nbd.is_connected(DEVICE, sysfs)
    assert nbd.is_orphaned(DEVICE, sysfs)
    assert nbd.find_identifier(DEVICE, sysfs) == ""


def test_a_device_that_is_not_connected(tmp_path: Path) -> None:
    sysfs = make(tmp_path)
    assert not nbd.is_connected(DEVICE, sysfs)
    assert not nbd.is_orphaned(DEVICE, sysfs)


@pytest.mark.parametrize("path", ["", "/dev/nbd", "/dev/nbd1p1", "/dev/nbd-1", "/dev/nbd٣", "/dev/sda", "nbd1"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(NotFoundError):
        nbd.parse_path(path)
    assert nbd.parse_path(DEVICE.path) == DEVICE

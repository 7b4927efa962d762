"""What sysfs says of network block devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError, UsageError
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
    assert not nbd.is_orphaned(DEVICE, sysfs=sysfs)
    assert nbd.find_identifier(DEVICE, sysfs) == "drystone it"


def test_any_bytes_may_identify_a_device(tmp_path: Path) -> None:
    sysfs = make(tmp_path)
    (tmp_path / "block" / "nbd3" / "backend").write_bytes(b"drystone \xff\n")
    assert nbd.find_identifier(DEVICE, sysfs) == "drystone \udcff"


def test_an_identifier_must_fit_into_a_page_of_sysfs() -> None:
    with pytest.raises(UsageError, match="longer"):
        nbd.connect([], 512, identifier="x" * 4096)


def test_a_device_whose_server_is_gone(tmp_path: Path) -> None:
    sysfs = make(tmp_path, pid="4194305\n")
    assert nbd.is_connected(DEVICE, sysfs)
    assert nbd.is_orphaned(DEVICE, sysfs=sysfs)
    assert nbd.find_identifier(DEVICE, sysfs) == ""


def test_a_process_that_has_the_id_of_the_server_by_chance_is_not_it(tmp_path: Path) -> None:
    sysfs = make(tmp_path, pid=f"{os.getpid()}\n")
    begun = nbd.begun_at("self")
    assert begun == nbd.begun_at(str(os.getpid())) != nbd.begun_at("1")
    assert not nbd.is_orphaned(DEVICE, begun, sysfs)
    assert nbd.is_orphaned(DEVICE, f"{begun}0", sysfs)
    assert nbd.begun_at("4194305") == ""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(f"7 (a) b ) S {' '.join(map(str, range(4, 53)))}\n")
    assert nbd.begun_at("7", str(tmp_path)) == "22"


def test_a_device_that_is_not_connected(tmp_path: Path) -> None:
    sysfs = make(tmp_path)
    assert not nbd.is_connected(DEVICE, sysfs)
    assert not nbd.is_orphaned(DEVICE, sysfs=sysfs)


@pytest.mark.parametrize("path", ["", "/dev/nbd", "/dev/nbd1p1", "/dev/nbd-1", "/dev/nbd٣", "/dev/sda", "nbd1"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(NotFoundError):
        nbd.parse_path(path)
    assert nbd.parse_path(DEVICE.path) == DEVICE

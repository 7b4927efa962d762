from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.identity import FileNumber, find_place, lasting_name, list_below, share_storage


def test_links_lead_to_the_same_storage(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_bytes(b"1")
    other.write_bytes(b"1")
    (tmp_path / "soft").symlink_to(file)
    (tmp_path / "hard").hardlink_to(file)
    (tmp_path / "folder").symlink_to(tmp_path)
    for same in (file, tmp_path / "soft", tmp_path / "hard", tmp_path / "folder" / "a"):
        assert share_storage(str(file), str(same))
        assert share_storage(str(same), str(file))
    assert not share_storage(str(file), str(other))


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        share_storage(str(tmp_path), str(tmp_path / "none"))
    with pytest.raises(NotFoundError):
        find_place(str(tmp_path / "none" / "deeper"))


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """253:1 on 253:0 on loop 7:0 over a file; 8:1 is a partition of 8:0."""
    devices = tmp_path / "devices"
    links = tmp_path / "dev" / "block"
    links.mkdir(parents=True)
    for number, place in (("253:1", "dm-1"), ("253:0", "dm-0"), ("7:0", "loop0"), ("8:0", "sda"), ("8:1", "sda/sda1")):
        (devices / place).mkdir(parents=True)
        (devices / place / "dev").write_text(f"{number}\n")
        (links / number).symlink_to(devices / place)
    for upper, lower in (("dm-1", "dm-0"), ("dm-0", "loop0")):
        (devices / upper / "slaves").mkdir()
        (devices / upper / "slaves" / lower).symlink_to(devices / lower)
    (tmp_path / "file").write_bytes(b"1")
    (devices / "loop0" / "loop").mkdir()
    (devices / "loop0" / "loop" / "backing_file").write_text(f"{tmp_path / 'file'}\n")
    (devices / "sda" / "sda1" / "partition").write_text("1\n")
    return tmp_path


def test_what_a_device_is_built_upon(sysfs: Path) -> None:
    file = find_place(str(sysfs / "file"))
    assert isinstance(file, FileNumber)
    stack = {DeviceNumber(253, 1), DeviceNumber(253, 0), DeviceNumber(7, 0), file}
    assert list_below(DeviceNumber(253, 1), str(sysfs)) == stack
    assert list_below(DeviceNumber(8, 1), str(sysfs)) == {DeviceNumber(8, 1), DeviceNumber(8, 0)}
    assert list_below(DeviceNumber(8, 0), str(sysfs)) == {DeviceNumber(8, 0)}
    assert list_below(DeviceNumber(9, 9), str(sysfs)) == {DeviceNumber(9, 9)}
    assert list_below(file, str(sysfs)) == {file}


def test_a_loop_whose_file_is_gone(sysfs: Path) -> None:
    (sysfs / "file").unlink()
    assert list_below(DeviceNumber(7, 0), str(sysfs)) == {DeviceNumber(7, 0)}


def test_what_a_device_is_known_by_after_a_restart(sysfs: Path, tmp_path: Path) -> None:
    devices = tmp_path / "devices"
    disk, part = DeviceNumber(8, 0), DeviceNumber(8, 1)
    assert lasting_name(disk, str(sysfs)) == lasting_name(part, str(sysfs)) == ""
    (devices / "sda" / "device").mkdir()
    (devices / "sda" / "device" / "serial").write_text("A1 \n")
    (devices / "sda" / "sda1" / "start").write_text("2048\n")
    assert lasting_name(disk, str(sysfs)) == "device/serial A1"
    assert lasting_name(part, str(sysfs)) == "device/serial A1, from sector 2048"
    (devices / "sda" / "wwid").write_text("eui.1\n")
    assert lasting_name(disk, str(sysfs)) == "wwid eui.1"
    (devices / "dm-0" / "dm").mkdir(exist_ok=True)
    (devices / "dm-0" / "dm" / "uuid").write_text("LVM-x\n")
    assert lasting_name(DeviceNumber(253, 0), str(sysfs)) == "dm/uuid LVM-x"
    assert lasting_name(DeviceNumber(7, 0), str(sysfs)).startswith("loop/backing_file /")
    with pytest.raises(NotFoundError):
        lasting_name(DeviceNumber(9, 9), str(sysfs))

"""Lines of mountinfo."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, KernelError, NotFoundError, UsageError
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.mounts import list_mounts, mount, mount_at, parse_mountinfo, unmount

LINE = rb"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 shared:2 - ext3 /dev/root\134x rw,errors=continue"


def test_every_field_of_a_line() -> None:
    (found,) = parse_mountinfo(LINE + b"\n")
    assert (found.mount_id, found.parent_id, found.number) == (36, 35, DeviceNumber(98, 0))
    assert (found.root, found.target) == ("/mnt1", "/mnt 2")
    assert found.options == ("rw", "noatime")
    assert found.optional == ("master:1", "shared:2")
    assert (found.kind, found.source) == ("ext3", "/dev/root\\x")
    assert found.super_options == ("rw", "errors=continue")


def test_a_line_without_optional_fields_and_with_an_empty_source() -> None:
    (found,) = parse_mountinfo(b"1 0 0:2 / /a rw - tmpfs  rw\n")
    assert found.optional == ()
    assert found.source == ""


def test_a_path_may_be_a_hyphen() -> None:
    (found,) = parse_mountinfo(b"1 0 0:2 - - rw shared:1 - tmpfs - rw")
    assert (found.root, found.target, found.source) == ("-", "-", "-")
    assert found.optional == ("shared:1",)


@pytest.mark.parametrize(
    "line", [b"x", b"1 0 0:2 / /a rw tmpfs none rw", b"1 0 02 / /a rw - tmpfs none rw", b"1 0 0:2 / - a b c"]
)
def test_other_lines_are_damage(line: bytes) -> None:
    with pytest.raises(DamagedError):
        parse_mountinfo(line)


def test_this_machines_own_mounts_are_read() -> None:
    assert any(each.target == "/proc" for each in list_mounts())
    found = mount_at("/proc")
    assert found is not None
    assert found.kind == "proc"
    assert mount_at("/proc/self") is None


def test_no_mountinfo_is_an_error_with_its_errno(tmp_path: Path) -> None:
    with pytest.raises(KernelError) as caught:
        list_mounts(str(tmp_path / "missing"))
    assert caught.value.facts["errno_name"] == "ENOENT"


def test_unmounting_what_is_not_mounted(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("unmounting is for root: EPERM comes first")
    with pytest.raises(NotFoundError):
        unmount(str(tmp_path))


@pytest.mark.parametrize(("source", "target"), [("a\0b", "/mnt"), ("/dev/null", "/m\0nt")])
def test_a_nul_in_a_path_is_refused(source: str, target: str) -> None:
    with pytest.raises(UsageError):
        mount(source, target, "ext4")

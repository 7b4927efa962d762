"""What is missing on a machine is named, with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import ExhaustedError, UnsupportedError
from drystone.lab.machine import available_memory, check_memory, check_systemd, find_kernel, find_memory_place

MEMINFO = "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    1048576 kB\nBuffers: 1 kB\n"


def test_the_kernel_is_found_with_its_modules() -> None:
    kernel = find_kernel()
    assert kernel.program.name == "linux.uml"
    assert (kernel.modules / "modules.dep").is_file()
    assert kernel.release == kernel.modules.name


def test_a_missing_kernel_names_its_package(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        find_kernel(search_path=str(tmp_path))
    assert caught.value.hint == "apt-get install user-mode-linux"


def test_missing_modules_name_their_package(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="user-mode-linux"):
        find_kernel(modules_root=tmp_path)


def test_a_missing_systemd_names_its_package(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        check_systemd(tmp_path / "systemd")
    assert caught.value.hint == "apt-get install systemd"
    (tmp_path / "systemd").touch()
    check_systemd(tmp_path / "systemd")


def test_available_memory_is_what_the_kernel_says() -> None:
    assert available_memory(MEMINFO) == 1 << 30
    assert available_memory("") == 0


def test_memory_that_is_not_there_is_refused() -> None:
    check_memory(1 << 30, MEMINFO)
    with pytest.raises(ExhaustedError, match=r"1\.0 GiB are available"):
        check_memory((1 << 30) + 1, MEMINFO)


def test_a_place_for_memory_has_the_room(tmp_path: Path) -> None:
    assert find_memory_place(4096, ("/nowhere", str(tmp_path))) == tmp_path
    with pytest.raises(ExhaustedError, match="shm"):
        find_memory_place(1 << 60, (str(tmp_path),))

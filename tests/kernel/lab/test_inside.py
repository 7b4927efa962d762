"""A module that runs inside a guest, as every kernel test that drives none does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from drystone.lab.environment import in_guest

pytestmark = pytest.mark.lab(memory="128M", disks=["16M", "8M"], modules=["dm-thin-pool"])


def test_it_runs_in_a_guest() -> None:
    assert in_guest()
    assert os.uname().nodename == "node1"


def test_the_guest_is_as_the_marker_says() -> None:
    assert os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 128 << 20
    assert "dm_thin_pool " in Path("/proc/modules").read_text()
    sizes = [Path("/sys/block", Path(f"/dev/lab/disk{n}").readlink().name, "size").read_text() for n in (0, 1)]
    assert [int(size) * 512 for size in sizes] == [16 << 20, 8 << 20]


def test_temporary_files_are_on_a_tmpfs(tmp_path: Path) -> None:
    assert Path("/run/tmp") in tmp_path.parents


@pytest.mark.parametrize("feature", ["write_cache", "fua"])
def test_the_disks_have_a_cache_and_forced_writes(feature: str) -> None:
    text = Path("/sys/block/nbd0/queue", feature).read_text().strip()
    assert text == {"write_cache": "write back", "fua": "1"}[feature]


def test_only_what_kernel_tests_need_is_imported(request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.hasplugin("pytest_timeout")
    assert not {"hypothesis", "schemathesis", "faker", "xdist", "anyio"} & sys.modules.keys()

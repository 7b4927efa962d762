"""Which module files are loaded, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError
from drystone.lab.modules import module_name, plan_modules

DEPENDENCIES = """kernel/md/dm-mod.ko:
kernel/md/dm-bufio.ko: kernel/md/dm-mod.ko
kernel/md/dm-thin-pool.ko: kernel/md/dm-bufio.ko kernel/md/dm-mod.ko
kernel/fs/overlay.ko:
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "modules.dep").write_text(DEPENDENCIES)
    return tmp_path


def test_what_a_module_needs_comes_first_and_nothing_twice(folder: Path) -> None:
    names = [module_name(path) for path in plan_modules(["dm_thin_pool", "dm-mod", "overlay"], folder)]
    assert names == ["dm-mod", "dm-bufio", "dm-thin-pool", "overlay"]


def test_what_is_built_in_is_not_loaded(folder: Path) -> None:
    assert plan_modules(["ext4"], folder, ["kernel/fs/ext4/ext4.ko"]) == []


def test_a_module_that_does_not_exist_is_named(folder: Path) -> None:
    with pytest.raises(NotFoundError, match="dm-nonsense"):
        plan_modules(["dm-nonsense"], folder)

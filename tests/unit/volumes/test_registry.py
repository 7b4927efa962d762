"""A driver of somebody else comes by an entry point."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import UnsupportedError
from drystone.volumes.registry import GROUP, find_factory, known_drivers


def install(folder: Path, name: str, place: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {place}\n")


def test_a_third_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "memorydriver", "memorydriver_module:FACTORY")
    (tmp_path / "memorydriver_module.py").write_text("class Factory:\n    prefix = 'mem'\nFACTORY = Factory()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "memorydriver" in known_drivers()
    assert find_factory("memorydriver").prefix == "mem"


def test_a_driver_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "brokendriver", "no_such_module_anywhere:FACTORY")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UnsupportedError, match="cannot be loaded"):
        find_factory("brokendriver")

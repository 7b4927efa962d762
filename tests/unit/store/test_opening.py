"""Destinations and the stores they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import UnsupportedError, UsageError
from drystone.store import open_store
from drystone.store.folder import FolderStore


@pytest.mark.parametrize("prefix", ["vfs://", ""])
def test_folders(prefix: str, tmp_path: Path) -> None:
    store = open_store(f"{prefix}{tmp_path}/with blank%20")
    assert isinstance(store, FolderStore)
    assert store.root == tmp_path / "with blank%20"


@pytest.mark.parametrize("url", ["", "vfs://", "vfs://relative"])
def test_wrong_destinations(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)


@pytest.mark.parametrize("url", ["s3://bucket@region/path/", "gs://x", "http://localhost/"])
def test_other_schemes_are_named(url: str) -> None:
    with pytest.raises(UnsupportedError, match=url.split(":", maxsplit=1)[0]):
        open_store(url)

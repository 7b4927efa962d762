"""A backup's URL: the destination verbatim, and back."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.volumes.backups import BackupAddress, parse_address


@pytest.mark.parametrize(
    "destination", ["vfs:///srv/backup", "s3://bucket@region/path/", "/plain?x=1", "vfs:///a?backup=b"]
)
def test_there_and_back(destination: str) -> None:
    address = BackupAddress(destination, "b-1", "v-1")
    assert address.url == f"{destination}?backup=b-1&volume=v-1"
    assert parse_address(address.url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "vfs:///srv",
        "vfs:///srv?backup=b",
        "vfs:///srv?backup=&volume=v",
        "vfs:///srv?backup=b&volume=",
        "?backup=b&volume=v",
        "vfs:///srv?backup=b&volume=v&more=1",
    ],
)
def test_what_is_no_url_of_a_backup(url: str) -> None:
    with pytest.raises(UsageError, match="no backup's URL"):
        parse_address(url)

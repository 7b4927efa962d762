"""URLs of backups: the destination verbatim."""

from __future__ import annotations

import pytest

from drystone.backup.url import BackupUrl, is_backup_url, parse_backup_url
from drystone.base.errors import UsageError

BACKUP, VOLUME = "1" * 8 + "-1111-4111-8111-" + "1" * 12, "2" * 8 + "-1111-4111-8111-" + "2" * 12


@pytest.mark.parametrize(
    "destination", ["vfs:///srv/backup", "/a b/c%20d", "s3://b@r/p/?x=1", "vfs:///?backup=x&volume=y"]
)
def test_they_go_round(destination: str) -> None:
    url = BackupUrl(destination, BACKUP, VOLUME)
    assert str(url) == f"{destination}?backup={BACKUP}&volume={VOLUME}"
    assert parse_backup_url(str(url)) == url
    assert is_backup_url(str(url))


@pytest.mark.parametrize(
    "text", ["", "x", f"?backup={BACKUP}&volume={VOLUME}", f"d?backup={BACKUP}", f"d?backup=x&volume={VOLUME}",
             f"d?backup={BACKUP}&volume={VOLUME}&more"],
)  # fmt: skip
def test_others_are_refused(text: str) -> None:
    assert not is_backup_url(text)
    with pytest.raises(UsageError):
        parse_backup_url(text)

"""What counts as put."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from drystone.backup.format.digest import checksum
from drystone.backup.format.keys import VOLUMES, manifest_key
from drystone.backup.objects import read_manifest
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.vault import put_own
from drystone.base.errors import DamagedError, DrystoneError, ExistsError
from drystone.store.folder import FolderStore, SystemSteps
from drystone.testing.sources import MemorySource
from drystone.testing.stores import FaultyStore, MemoryStore

VOLUME = "11111111-1111-4111-8111-111111111111"


class FailingSync(SystemSteps):
    """The disk refuses to make the names below a volume durable."""

    def sync_folder(self, path: Path) -> None:
        if path.name == "backups":
            raise OSError(errno.EIO, "Input/output error")
        super().sync_folder(path)


def test_a_manifest_whose_name_could_not_be_synced_is_not_acknowledged(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, FailingSync())
    store_before = FolderStore(tmp_path)
    store_before.put_if_absent(f"{VOLUMES}/{VOLUME}/backups/other", b"so that the folders are there")
    repository = create_repository(store)
    with pytest.raises(DrystoneError, match="EIO"):
        repository.create(MemorySource(b"content"), BackupRequest(VOLUME, "s"))


def test_an_answer_that_was_lost_is_no_success() -> None:
    store = MemoryStore()
    with pytest.raises(DrystoneError):
        put_own(FaultyStore(store, "L"), "a", b"bytes")
    put_own(store, "a", b"bytes")
    with pytest.raises(ExistsError):
        put_own(store, "a", b"other bytes")


def test_a_manifest_that_is_another_than_the_state_has_is_refused() -> None:
    """Whole ones too: of another backup, or of the same with other bytes."""
    store = MemoryStore()
    repository = create_repository(store)
    first, second = (repository.create(MemorySource(data), BackupRequest(VOLUME, "s")) for data in (b"1", b"2"))
    key, other = (manifest_key(VOLUME, each.backup) for each in (first, second))
    stored = store.objects[key]
    assert read_manifest(repository.vault, VOLUME, first.backup, checksum(stored).hex()).head == first
    with pytest.raises(DamagedError, match="digest differs"):
        read_manifest(repository.vault, VOLUME, first.backup, checksum(b"other").hex())
    store.objects[key] = store.objects[other]
    with pytest.raises(DamagedError, match=f"is that of {second.backup}"):
        read_manifest(repository.vault, VOLUME, first.backup)

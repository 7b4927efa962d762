from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from blake3 import blake3

from drystone.backup.format.codec import Codec
from drystone.backup.format.keys import pack_id, pack_key
from drystone.backup.format.pack import Kind, Record, make_record
from drystone.backup.tuning import Tuning
from drystone.backup.vault import create_vault
from drystone.backup.writing.writer import PackWriter
from drystone.base.errors import DrystoneError, ExhaustedError, ExistsError
from drystone.store.folder import FolderStore
from drystone.testing.stores import MemoryStore, RecordedSteps


def putting() -> int:
    return sum(each.name.startswith("put") for each in threading.enumerate())


def test_the_threads_that_put_run_before_there_are_packs_and_end_with_the_writer() -> None:
    before = putting()
    with PackWriter(create_vault(MemoryStore()), b"w" * 12, Tuning(pack=1 << 20)) as writer:
        assert putting() == before + 2
        assert writer.packs == []
    assert putting() == before


def records(count: int) -> list[Record]:
    plains = [blake3(b"%d" % number).digest(300_000) for number in range(count)]
    return [make_record(Kind.CHUNK, Codec.PLAIN, blake3(each).digest(), each, len(each)) for each in plains]


def test_a_pack_that_goes_in_pieces_is_the_same_as_a_whole_one(tmp_path: Path) -> None:
    folder, memory = FolderStore(tmp_path), MemoryStore()
    for store in (folder, memory):
        with PackWriter(create_vault(store), b"w" * 12, Tuning(memory=48 << 20, pack=7 << 20)) as writer:
            places = [writer.add(each) for each in records(60)]
            writer.flush()
            assert len(writer.packs) == 3
            listed = dict(store.list("drystone-backup/packs"))
            assert writer.stored == sum(listed.values())
    for key, _ in memory.list("drystone-backup/packs"):
        assert folder.get(key) == memory.get(key)
    assert {place.pack for place in places} == set(writer.packs)


@pytest.mark.parametrize("failing", ["append", "sync", "link"])
def test_a_piece_that_cannot_be_put_ends_the_writer_and_leaves_no_part_of_a_pack(tmp_path: Path, failing: str) -> None:
    def fail(_number: int, step: str) -> None:
        if step == failing and armed:
            raise OSError(errno.ENOSPC, "no space")

    armed: list[bool] = []
    store = FolderStore(tmp_path, RecordedSteps(fail))
    vault = create_vault(store)
    armed.append(True)

    def write() -> None:
        with PackWriter(vault, b"w" * 12, Tuning(memory=48 << 20)) as writer:
            for each in records(40):
                writer.add(each)
            writer.flush()

    with pytest.raises(ExhaustedError):
        write()
    assert list(store.list("drystone-backup/packs")) == []
    assert [name for _, _, names in os.walk(tmp_path) for name in names if name.startswith(".")] == []


def test_a_pack_of_which_a_piece_is_missing_does_not_get_its_name(tmp_path: Path) -> None:
    """Its end may be on its way already when the piece fails."""

    def fail(_number: int, step: str) -> None:
        if step == "append" and armed:
            armed.clear()
            raise OSError(errno.EIO, "this once")

    armed: list[bool] = []
    store = FolderStore(tmp_path, RecordedSteps(fail))
    vault = create_vault(store)
    armed.append(True)

    def write() -> None:
        with PackWriter(vault, b"w" * 12, Tuning(memory=48 << 20)) as writer:
            writer.add(records(1)[0])
            writer.flush()

    with pytest.raises(DrystoneError):
        write()
    assert not armed
    assert list(store.list("drystone-backup/packs")) == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_pack_whose_name_is_taken_is_an_error_and_replaces_nothing(tmp_path: Path, whole: bool) -> None:
    store = MemoryStore() if whole else FolderStore(tmp_path)
    vault = create_vault(store)
    key = pack_key(pack_id(b"w" * 12, 0))
    store.put_if_absent(key, b"another's")

    def write() -> None:
        with PackWriter(vault, b"w" * 12, Tuning(memory=48 << 20)) as writer:
            writer.add(records(1)[0])
            writer.flush()

    with pytest.raises(ExistsError):
        write()
    assert store.get(key) == b"another's"


def test_a_writer_that_is_given_up_leaves_no_part_of_a_pack(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with PackWriter(create_vault(store), b"w" * 12, Tuning(memory=48 << 20)) as writer:
        for each in records(40):
            writer.add(each)
    assert list(store.list("drystone-backup/packs")) == []
    assert [name for _, _, names in os.walk(tmp_path) for name in names if name.startswith(".")] == []

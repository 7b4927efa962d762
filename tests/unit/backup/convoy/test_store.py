"""Convoy stores: both generations, what is wrong with them, and nothing else than what their sums say comes out."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from drystone.backup.convoy.documents import LARGEST, parse_backup
from drystone.backup.convoy.store import ConvoyStore, is_convoy_store
from drystone.base.errors import DamagedError, DrystoneError, ExistsError, NotFoundError, UsageError
from drystone.store.abc import Data
from drystone.store.folder import FolderStore
from drystone.testing.convoy_store import BLOCK, ConvoyWriter

VOLUME = "11111111-2222-4333-8444-555555555555"
BACKUP = "aaaaaaaa-2222-4333-8444-555555555555"
SIZE = 5 * BLOCK
RNG = random.Random(7)
FIRST, SECOND = RNG.randbytes(BLOCK), RNG.randbytes(BLOCK)
IMAGE = FIRST + bytes(BLOCK) + SECOND + FIRST + bytes(BLOCK)


MADE: dict[Path, bytes] = {}
"""The files of a store, which take half a second to make."""


def write(folder: Path, *, named: bool = False) -> tuple[ConvoyWriter, str, str]:
    writer = ConvoyWriter(folder, named=named)
    if named:
        writer.write_volume("vol1", SIZE)
        writer.write_backup("vol1", "backup-1234", IMAGE)
        return writer, "vol1", "backup-1234"
    for path, data in MADE.items():
        writer.write_bytes(folder / path, data)
    if not MADE:
        writer.write_volume(VOLUME, SIZE)
        writer.write_backup(VOLUME, BACKUP, IMAGE)
        MADE.update({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    return writer, VOLUME, BACKUP


@pytest.mark.parametrize("named", [False, True])
def test_a_backup_is_listed_restored_and_verified(tmp_path: Path, named: bool) -> None:
    _, volume, backup = write(tmp_path / "store", named=named)
    store = FolderStore(tmp_path / "store")
    convoy = ConvoyStore(store)
    assert is_convoy_store(store)
    (found,) = convoy.list()
    assert convoy.list(volume) == [found] == [convoy.inspect(volume, backup)]
    assert (found.volume, found.backup, found.size, found.blocks) == (volume, backup, SIZE, 3)
    assert (found.created, found.volume_created) == ("2015-11-02T16:04:05+01:00", "2015-11-02T15:04:05+01:00")
    target = tmp_path / "image"
    reports: list[tuple[int, int]] = []
    assert convoy.restore(volume, backup, str(target), progress=lambda *each: reports.append(each)) == []
    assert target.read_bytes() == IMAGE
    assert reports[0] == (0, 3 * BLOCK)
    assert reports[-1] == (3 * BLOCK, 3 * BLOCK)
    with pytest.raises(ExistsError):
        convoy.restore(volume, backup, str(target))
    convoy.verify(volume, backup)


def test_an_image_is_read_anywhere(tmp_path: Path) -> None:
    _, volume, backup = write(tmp_path)
    with ConvoyStore(FolderStore(tmp_path)).image(volume, backup) as image:
        assert image.size == SIZE
        assert image.read(0, SIZE) == IMAGE
        assert list(image.extents(0, SIZE)) == [(0, BLOCK), (2 * BLOCK, 2 * BLOCK)]
        for _ in range(20):
            begin = RNG.randrange(SIZE)
            length = RNG.randrange(min(SIZE - begin, 3 << 20))
            assert image.read(begin, length) == IMAGE[begin : begin + length]


def test_an_empty_folder_is_no_convoy_store_and_has_no_backups(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert not is_convoy_store(store)
    assert ConvoyStore(store).list() == []
    with pytest.raises(NotFoundError, match="no volume vol1"):
        ConvoyStore(store).inspect("vol1", "b")
    write(tmp_path)
    with pytest.raises(NotFoundError, match="no backup nothing"):
        ConvoyStore(store).inspect(VOLUME, "nothing")


def test_the_end_of_the_last_block_is_cut_when_it_is_zeros(tmp_path: Path) -> None:
    writer = ConvoyWriter(tmp_path)
    writer.write_volume(VOLUME, BLOCK + 4096)
    writer.write_backup(VOLUME, BACKUP, FIRST + SECOND[:4096])
    convoy = ConvoyStore(FolderStore(tmp_path))
    convoy.restore(VOLUME, BACKUP, str(tmp_path / "image"))
    assert (tmp_path / "image").read_bytes() == FIRST + SECOND[:4096]
    writer.write_volume(VOLUME, BLOCK + 1024)
    with pytest.raises(DamagedError, match="beyond the image's end"):
        convoy.verify(VOLUME, BACKUP)


def test_a_single_file_is_copied_and_is_no_image(tmp_path: Path) -> None:
    writer = ConvoyWriter(tmp_path / "store")
    writer.write_volume(VOLUME, 0, Driver="vfs")
    data = RNG.randbytes(3 << 20)
    writer.write_file(VOLUME, BACKUP, data)
    convoy = ConvoyStore(FolderStore(tmp_path / "store"))
    assert convoy.inspect(VOLUME, BACKUP).size == len(data)
    convoy.restore(VOLUME, BACKUP, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == data
    convoy.verify(VOLUME, BACKUP)
    with pytest.raises(UsageError, match="no image"):
        convoy.image(VOLUME, BACKUP)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not unpack|not the gzip"),
        (b"no gzip", "does not unpack"),
        (gzip.compress(FIRST, 1)[:-9], "not the gzip|does not unpack"),
        (gzip.compress(bytes(64 << 20), 1), "not the gzip of 2097152 bytes"),
        (gzip.compress(FIRST[:-1], 1), "not the gzip of 2097152 bytes"),
        (gzip.compress(FIRST, 1) + b"more", "not the gzip of 2097152 bytes"),
        (gzip.compress(FIRST, 1) * 2, "not the gzip of 2097152 bytes"),
        (gzip.compress(SECOND, 1), "other bytes than its sum says"),
        (None, "missing"),
    ],
)
def test_a_wrong_block_is_named_with_its_offsets(tmp_path: Path, data: bytes | None, words: str) -> None:
    writer, volume, backup = write(tmp_path / "store")
    path = writer.block_path(volume, hashlib.sha512(FIRST).hexdigest()[:64])
    path.unlink() if data is None else path.write_bytes(data)
    convoy = ConvoyStore(FolderStore(tmp_path / "store"))
    with pytest.raises(DamagedError, match=words) as caught:
        convoy.verify(volume, backup)
    assert caught.value.facts["ranges"] == [[0, BLOCK], [3 * BLOCK, BLOCK]]
    with pytest.raises(DamagedError, match="at byte"):
        convoy.restore(volume, backup, str(tmp_path / "image"))
    assert not (tmp_path / "image").exists()
    damages = convoy.restore(volume, backup, str(tmp_path / "image"), skip_damaged=True)
    assert [each.offset for each in damages] == [0, 3 * BLOCK]
    assert (tmp_path / "image").read_bytes() == bytes(2 * BLOCK) + SECOND + bytes(2 * BLOCK)
    with convoy.image(volume, backup) as image:
        assert image.read(BLOCK, 2 * BLOCK) == bytes(BLOCK) + SECOND
        with pytest.raises(DamagedError, match=words) as named:
            image.read(3 * BLOCK - 1, 2)
        assert named.value.facts["offset"] == 3 * BLOCK


def test_a_file_of_another_volume_is_not_restored(tmp_path: Path) -> None:
    writer = ConvoyWriter(tmp_path / "store")
    other = VOLUME[:-1] + "6"
    for volume in (VOLUME, other):
        writer.write_volume(volume, 0, Driver="vfs")
        writer.write_file(volume, BACKUP, b"of " + volume.encode())
    theirs = writer.folder_of(other) / "BackupFiles" / f"{BACKUP}.bak"
    writer.write_map(VOLUME, BACKUP, SingleFile={"FilePath": str(theirs.relative_to(tmp_path / "store"))})
    with pytest.raises(DamagedError, match="not its volume's"):
        ConvoyStore(FolderStore(tmp_path / "store")).restore(VOLUME, BACKUP, str(tmp_path / "file"))


SUM = "0" * 64


@pytest.mark.parametrize(
    "wrong",
    [
        {"Blocks": [{"Offset": 1, "BlockChecksum": SUM}]},
        {"Blocks": [{"Offset": -BLOCK, "BlockChecksum": SUM}]},
        {"Blocks": [{"Offset": 1 << 80, "BlockChecksum": SUM}]},
        {"Blocks": [{"Offset": SIZE, "BlockChecksum": SUM}]},
        {"Blocks": [{"Offset": 0, "BlockChecksum": "../../../../etc/passwd"}]},
        {"Blocks": [{"Offset": 0, "BlockChecksum": SUM[1:]}]},
        {"Blocks": [{"Offset": 0, "BlockChecksum": SUM.replace("0", "A")}]},
        {"Blocks": [{"Offset": 0}]},
        {"Blocks": [{"Offset": 0, "BlockChecksum": SUM}] * 2},
        {"Blocks": {}},
        {"Size": -1},
        {"Size": "many"},
        {"Size": 1 << 70},
        {"SingleFile": {"FilePath": "../../../etc/passwd"}},
        {"SingleFile": {"FilePath": "/etc/passwd"}},
        {"SingleFile": {"FilePath": f"convoy-objectstore/volumes/11/11/{VOLUME}x/BackupFiles/b.bak"}},
        {"SingleFile": {"FilePath": "x"}, "Blocks": [{"Offset": 0, "BlockChecksum": SUM}]},
        {"UUID": "another"},
        {"VolumeUUID": "another"},
        {"UUID": None},
    ],
)
def test_a_wrong_document_is_damage_that_names_the_backup(tmp_path: Path, wrong: dict[str, Any]) -> None:
    writer, volume, backup = write(tmp_path)
    writer.write_map(volume, backup, **wrong)
    convoy = ConvoyStore(FolderStore(tmp_path))
    with pytest.raises(DamagedError) as caught:
        convoy.inspect(volume, backup)
    assert caught.value.facts["backup"] == backup
    damages: list[DamagedError] = []
    assert convoy.list(damaged=damages.append) == []
    assert len(damages) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"UUID": "\\ud800"}', json.dumps({"Size": [1]})])
def test_what_is_no_document_is_damage(tmp_path: Path, text: str) -> None:
    writer, volume, backup = write(tmp_path)
    convoy = ConvoyStore(FolderStore(tmp_path))
    (writer.folder_of(volume) / "backups" / f"backup_{backup}.cfg").write_text(text)
    with pytest.raises(DamagedError):
        convoy.inspect(volume, backup)
    (writer.folder_of(volume) / "volume.cfg").write_text(text)
    with pytest.raises(DamagedError, match="document of volume"):
        convoy.inspect(volume, backup)


def test_a_document_that_is_too_long_is_not_looked_into() -> None:
    with pytest.raises(DamagedError, match="are the most"):
        parse_backup(bytes(LARGEST + 1), "it")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a" * 300, ".x", "x\n", "Ä"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    convoy = ConvoyStore(FolderStore(tmp_path))
    for volume, backup in ((name, BACKUP), (VOLUME, name)):
        with pytest.raises(UsageError):
            convoy.inspect(volume, backup)


def test_a_missing_volume_document_is_damage(tmp_path: Path) -> None:
    writer, volume, backup = write(tmp_path)
    (writer.folder_of(volume) / "volume.cfg").unlink()
    convoy = ConvoyStore(FolderStore(tmp_path))
    with pytest.raises(DrystoneError):
        convoy.inspect(volume, backup)
    with pytest.raises(DamagedError, match="document of volume"):
        convoy.list()


class ReadOnlyStore(FolderStore):
    """A folder that nobody may write to."""

    def put_if_absent(self, key: str, data: Data) -> bool:
        raise AssertionError(key)

    def delete(self, key: str) -> None:
        raise AssertionError(key)

    def clean(self) -> int:
        raise AssertionError


def test_nothing_is_written_to_the_store(tmp_path: Path) -> None:
    _, volume, backup = write(tmp_path / "store")
    before = sorted((tmp_path / "store").rglob("*"))
    convoy = ConvoyStore(ReadOnlyStore(tmp_path / "store"))
    assert convoy.list() == [convoy.inspect(volume, backup)]
    convoy.restore(volume, backup, str(tmp_path / "image"))
    convoy.restore_in_place(volume, backup, str(tmp_path / "image"))
    convoy.verify(volume, backup)
    with convoy.image(volume, backup) as image:
        image.read(0, 1)
    assert sorted((tmp_path / "store").rglob("*")) == before


class CountingStore(FolderStore):
    """A folder that knows what was read whole."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.got: list[str] = []

    def get(self, key: str) -> bytes:
        self.got.append(key)
        return super().get(key)


@pytest.mark.parametrize("named", [False, True])
def test_no_document_is_read_twice(tmp_path: Path, named: bool) -> None:
    _, volume, backup = write(tmp_path, named=named)
    for listed in (False, True):
        store = CountingStore(tmp_path)
        convoy = ConvoyStore(store)
        (found,) = convoy.list(volume) if listed else [convoy.inspect(volume, backup)]
        assert found.backup == backup
        read = [key for key in store.got if (tmp_path / key).exists()]
        assert len(read) == len({*read}) == 2

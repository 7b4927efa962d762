"""Stores that Convoy wrote, on our command line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from drystone.cli.backup import backup
from drystone.cli.exits import run
from drystone.testing.convoy_store import BLOCK, ConvoyWriter

VOLUME = "11111111-2222-4333-8444-555555555555"
BACKUP = "aaaaaaaa-2222-4333-8444-555555555555"
IMAGE = random.Random(1).randbytes(BLOCK) + bytes(BLOCK)


@pytest.fixture
def dest(tmp_path: Path) -> str:
    writer = ConvoyWriter(tmp_path / "store")
    writer.write_volume(VOLUME, len(IMAGE))
    writer.write_backup(VOLUME, BACKUP, IMAGE)
    return f"vfs://{tmp_path}/store"


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    code = run(backup, [*(str(word) for word in words), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def test_they_are_listed_shown_verified_and_restored(
    dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (listed,) = answer(capsys, "list", dest)
    assert listed["url"] == f"{dest}?backup={BACKUP}&volume={VOLUME}"
    assert listed["size"] == len(IMAGE)
    assert listed["created"].startswith("20")
    assert answer(capsys, "show", listed["url"]) == listed
    assert answer(capsys, "verify", listed["url"])["verified"]
    answer(capsys, "restore", listed["url"], tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == IMAGE
    for words in (("list", dest), ("show", listed["url"])):
        assert run(backup, words) == 0
        assert BACKUP in capsys.readouterr().out


def test_damage_there_is_told_after_the_list(dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (document,) = (tmp_path / "store").rglob("backup_*.cfg")
    document.write_text("{")
    assert run(backup, ["list", dest, "--json"]) == 10
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert json.loads(printed.err)["code"] == "damaged"


@pytest.mark.parametrize("named", [False, True])
def test_both_are_read_where_we_go_on_where_convoy_left_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    dest, image, out = f"vfs://{tmp_path}/store", tmp_path / "image", tmp_path / "out"
    volume, name = ("vol1", "b1") if named else (VOLUME, BACKUP)
    writer = ConvoyWriter(tmp_path / "store", named=named)
    writer.write_volume(volume, len(IMAGE))
    writer.write_backup(volume, name, IMAGE)
    image.write_bytes(b"ours" * 4096)
    made = answer(capsys, "create", image, "--dest", dest, "--no-encryption")["url"]
    theirs = f"{dest}?backup={name}&volume={volume}"
    assert [each["url"] for each in answer(capsys, "list", dest)] == [theirs, made]
    for url, data in ((theirs, IMAGE), (made, image.read_bytes())):
        answer(capsys, "restore", "--overwrite", url, out)
        assert out.read_bytes() == data
    assert run(backup, ["restore", theirs.replace("?backup=", "?backup=0"), str(tmp_path / "none")]) == 3

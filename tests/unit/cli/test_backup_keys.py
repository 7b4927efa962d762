"""Encrypted repositories as they are typed: how they are made and opened, and their keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drystone.cli.backup import backup
from drystone.cli.exits import run


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DRYSTONE_PASSPHRASE", "DRYSTONE_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"some secret " * 200_000)
    return path


@pytest.fixture
def dest(tmp_path: Path) -> str:
    return f"vfs://{tmp_path}/backups"


def secret(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    code = run(backup, [*(str(word) for word in words), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out) if printed.out else None


def refuse(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = run(backup, [str(word) for word in words])
    return code, capsys.readouterr().err


def test_a_new_repository_wants_a_passphrase(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = refuse(capsys, "create", image, "--dest", dest)
    assert code == 13
    for way in ("--passphrase-file", "--key-file", "DRYSTONE_PASSPHRASE", "--no-encryption"):
        assert way in error
    assert not (tmp_path / "backups").exists()
    file = secret(tmp_path, "file", b"word")
    code, error = refuse(capsys, "create", image, "--dest", dest, "--no-encryption", "--passphrase-file", file)
    assert code == 2
    assert not (tmp_path / "backups").exists()


@pytest.mark.parametrize("way", ["--passphrase-file", "--key-file", "DRYSTONE_PASSPHRASE", "DRYSTONE_PASSPHRASE_FILE"])
def test_each_way_makes_and_opens_it(
    way: str,
    image: Path,
    dest: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = secret(tmp_path, "file", b"k" * 40)
    words: tuple[str | Path, ...] = ()
    if way.startswith("--"):
        words = (way, file)
    else:
        monkeypatch.setenv(way, str(file) if way.endswith("FILE") else "k" * 40)
    made = answer(capsys, "create", image, "--dest", dest, *words)
    stored = b"".join(each.read_bytes() for each in (tmp_path / "backups").rglob("*") if each.is_file())
    assert str(image).encode() not in stored
    assert answer(capsys, "list", dest, *words)[0]["url"] == made["url"]
    answer(capsys, "restore", made["url"], tmp_path / "out", *words)
    assert (tmp_path / "out").read_bytes() == image.read_bytes()
    for name in ("DRYSTONE_PASSPHRASE", "DRYSTONE_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    code, error = refuse(capsys, "list", dest)
    assert (code, "encrypted" in error) == (2, True)
    wrong = secret(tmp_path, "wrong", b"w" * 40)
    for option in ("--passphrase-file", "--key-file"):
        code, error = refuse(capsys, "verify", made["url"], option, wrong)
        assert (code, "fits none" in error) == (2, True)


def test_an_unencrypted_one_takes_no_notice_of_a_passphrase(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(capsys, "create", image, "--dest", dest, "--no-encryption")
    monkeypatch.setenv("DRYSTONE_PASSPHRASE", "word")
    answer(capsys, "create", image, "--dest", dest)
    assert len(answer(capsys, "list", dest)) == 2
    assert answer(capsys, "key", "list", dest) == []
    monkeypatch.delenv("DRYSTONE_PASSPHRASE")
    file = secret(tmp_path, "file", b"word")
    code, said = refuse(capsys, "create", image, "--dest", dest, "--passphrase-file", file)
    assert (code, "is not encrypted" in said) == (0, True)


def test_a_file_that_others_can_read_gives_a_warning(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = secret(tmp_path, "file", b"word")
    file.chmod(0o644)
    assert run(backup, ["create", str(image), "--dest", dest, "--passphrase-file", str(file)]) == 0
    assert "drystone: warning:" in (error := capsys.readouterr().err)
    assert "can be read by others" in error
    assert run(backup, ["list", dest, "--passphrase-file", str(file), "--json"]) == 0
    assert "can be read by others" in json.loads(capsys.readouterr().err)["warning"]


def test_a_missing_file_is_told_as_such(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = refuse(capsys, "create", image, "--dest", dest, "--passphrase-file", tmp_path / "none")
    assert (code, f"there is no file {tmp_path / 'none'}" in error) == (3, True)


def test_keys_are_added_changed_and_removed(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, three = (secret(tmp_path, name, name.encode() * 20) for name in ("one", "two", "three"))
    url = answer(capsys, "create", image, "--dest", dest, "--passphrase-file", one)["url"]
    with_one = ("--passphrase-file", one)
    added = answer(capsys, "key", "add", dest, *with_one, "--new-key-file", two, "--label", "safe")
    assert (added["label"], added["kind"]) == ("safe", "key-file")
    answer(capsys, "verify", url, "--key-file", two)
    listed = answer(capsys, "key", "list", dest, "--key-file", two)
    assert [each["kind"] for each in listed] == ["passphrase", "key-file"]
    changed = answer(capsys, "key", "change", dest, *with_one, "--new-passphrase-file", three)
    assert refuse(capsys, "list", dest, *with_one)[0] == 2
    assert answer(capsys, "list", dest, "--passphrase-file", three)[0]["url"] == url
    answer(capsys, "key", "remove", dest, "safe", "--passphrase-file", three)
    assert refuse(capsys, "list", dest, "--key-file", two)[0] == 2
    code, error = refuse(capsys, "key", "remove", dest, changed["slot"][:8], "--passphrase-file", three)
    assert (code, "last key slot" in error) == (13, True)
    assert refuse(capsys, "key", "remove", dest, "none", "--passphrase-file", three)[0] == 3
    assert refuse(capsys, "key", "add", dest, "--passphrase-file", three)[0] == 2, "no terminal to ask at"
    assert refuse(capsys, "key", "change", dest)[0] == 2


def test_a_copy_of_the_slots_brings_a_lost_one_back(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--passphrase-file", secret(tmp_path, "one", b"one"))
    url = answer(capsys, "create", image, "--dest", dest, *words)["url"]
    copy = tmp_path / "slots.json"
    assert answer(capsys, "key", "export", dest, "-o", copy, *words) == {"output": str(copy)}
    assert copy.stat().st_mode & 0o077 == 0
    assert answer(capsys, "key", "export", dest, *words) == json.loads(copy.read_text())
    (slot,) = (tmp_path / "backups" / "drystone-backup" / "keys").iterdir()
    slot.unlink()
    assert refuse(capsys, "list", dest, *words)[0] == 2
    (back,) = answer(capsys, "key", "import", dest, copy)
    assert back["slot"] == slot.name
    answer(capsys, "verify", url, *words)
    assert answer(capsys, "key", "import", dest, copy) == []


def test_a_copy_of_another_repository_is_refused(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--passphrase-file", secret(tmp_path, "one", b"one"))
    other = f"{dest}-other"
    for each in (dest, other):
        answer(capsys, "create", image, "--dest", each, *words)
    copy = tmp_path / "slots.json"
    answer(capsys, "key", "export", other, "-o", copy, *words)
    assert refuse(capsys, "key", "import", dest, copy)[0] == 11
    document = json.loads(copy.read_text())
    mine = json.loads((tmp_path / "backups" / "drystone-backup" / "repository").read_text())
    copy.write_text(json.dumps({**document, "repository": mine["id"]}))
    assert refuse(capsys, "key", "import", dest, copy)[0] == 11
    for text in ("{}", "rubbish", json.dumps({**document, "format": "x"})):
        copy.write_text(text)
        assert refuse(capsys, "key", "import", dest, copy)[0] == 10
    copy.write_text(json.dumps({**document, "version": 2}))
    assert refuse(capsys, "key", "import", dest, copy)[0] == 9
    plain = f"{dest}-plain"
    answer(capsys, "create", image, "--dest", plain, "--no-encryption")
    assert refuse(capsys, "key", "export", plain)[0] == 2


def test_nothing_of_a_passphrase_is_printed(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--passphrase-file", secret(tmp_path, "one", b"swordfish"))
    for command in (("create", image, "--dest", dest), ("list", dest), ("key", "list", dest), ("key", "export", dest)):
        assert run(backup, [*(str(word) for word in command), *(str(word) for word in words)]) == 0
        printed = capsys.readouterr()
        assert "swordfish" not in printed.out + printed.err

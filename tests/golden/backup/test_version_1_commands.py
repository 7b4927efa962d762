"""The golden repository of version 1 by the command line: what reads works, what writes is refused in a line."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from drystone.base.errors import UnsupportedError
from drystone.cli.backup import backup
from drystone.cli.exits import run

GOLDEN = Path(__file__).parent
VOLUME = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
FIRST, SECOND = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"


@pytest.fixture
def dest(tmp_path: Path) -> str:
    shutil.copytree(GOLDEN / "v1", tmp_path / "v1")
    return f"vfs://{tmp_path}/v1"


def snapshot(tmp_path: Path) -> dict[str, bytes]:
    files = [path for path in (tmp_path / "v1").rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> str:
    assert run(backup, [str(word) for word in words]) == code
    return capsys.readouterr().out


def url(dest: str, name: str) -> str:
    return f"{dest}?backup={name}&volume={VOLUME}"


def test_what_reads_works(dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = json.loads((GOLDEN / "v1.json").read_text())
    before = snapshot(tmp_path)
    listed = json.loads(answer(capsys, "list", dest, "--json"))
    assert {each["url"].partition("backup=")[2][:36] for each in listed} == set(expected)
    for each in listed:
        facts = expected[each["url"].partition("backup=")[2][:36]]
        assert each["size"] == facts["size"]
        shown = json.loads(answer(capsys, "show", each["url"], "--json"))
        assert shown["size"] == facts["size"]
        answer(capsys, "verify", each["url"])
        back, raw = tmp_path / "back", tmp_path / "raw"
        answer(capsys, "restore", each["url"], back, "--overwrite")
        raw.unlink(missing_ok=True)
        answer(capsys, "export", each["url"], raw)
        for path in (back, raw):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == facts["sha256"]
        if facts["size"]:
            back.write_bytes(bytes(facts["size"]))
            answer(capsys, "restore", each["url"], back, "--in-place")
            assert back.read_bytes() == raw.read_bytes()
            assert json.loads(answer(capsys, "diff", each["url"], back, "--json"))["ranges"] == []
    ranges = json.loads(answer(capsys, "diff", url(dest, FIRST), url(dest, SECOND), "--json"))["ranges"]
    assert ranges
    assert snapshot(tmp_path) == before


def test_what_writes_is_refused(dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 100_000)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("walls of stone")
    before = snapshot(tmp_path)
    for words in (
        ("create", image, "--dest", dest),
        ("create", image, "--dest", dest, "--no-encryption"),
        ("delete", url(dest, FIRST)),
        ("prune", dest, "--keep-last", "1"),
        ("prune", dest),
        ("scrub", dest),
        ("scrub", dest, "--repair"),
        ("rebuild", dest),
        ("rebuild", dest, "--force"),
    ):
        code = run(backup, [str(word) for word in words])
        printed = capsys.readouterr()
        assert code == UnsupportedError.exit_code, (words, printed.err)
        assert printed.out == "", words
        assert "version 1" in printed.err
        assert len(printed.err.splitlines()) <= 2
        assert snapshot(tmp_path) == before, words

"""`drystone backup` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drystone.backup.format.keys import PACKS
from drystone.cli.backup import backup
from drystone.cli.exits import run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"some content " * 200_000)
    return path


@pytest.fixture
def dest(tmp_path: Path) -> str:
    return f"vfs://{tmp_path}/backups"


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert run(backup, [str(word) for word in words]) == 0
    return capsys.readouterr().out


def refuse(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = run(backup, [str(word) for word in words])
    printed = capsys.readouterr()
    assert printed.out == ""
    return code, printed.err


def make(capsys: pytest.CaptureFixture[str], image: Path, dest: str, *words: str) -> str:
    return answer(capsys, "create", image, "--dest", dest, "--no-encryption", *words).strip()


def test_a_new_repository_is_only_made_unencrypted_when_that_is_said(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = refuse(capsys, "create", image, "--dest", f"{dest}?backup=", "--no-encryption")
    assert (code, f"destination: {dest}" in error) == (2, True)
    code, error = refuse(capsys, "create", image, "--dest", dest)
    assert code == 13
    assert "--no-encryption" in error
    assert not (tmp_path / "backups").exists()
    make(capsys, image, dest)
    assert answer(capsys, "create", image, "--dest", dest).startswith(f"{dest}?backup=")


def test_a_round(image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = make(capsys, image, dest)
    assert answer(capsys, "restore", url, tmp_path / "out") == ""
    assert (tmp_path / "out").read_bytes() == image.read_bytes()
    assert answer(capsys, "verify", url).startswith("verified: ")
    assert refuse(capsys, "restore", url, tmp_path / "out")[0] == 4
    answer(capsys, "restore", url, tmp_path / "out", "--overwrite")
    answer(capsys, "delete", url)
    assert refuse(capsys, "delete", url)[0] == 3
    assert json.loads(answer(capsys, "list", dest, "--json")) == []


def test_lists(image: Path, dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = make(capsys, image, dest), make(capsys, image, dest)
    listed = json.loads(answer(capsys, "list", dest, "--json"))
    assert [each["url"] for each in listed] == [first, second]
    assert listed[0]["size"] == image.stat().st_size
    assert listed[0]["source"] == str(image)
    assert listed[0]["stored"] > 0 == listed[1]["stored"]
    assert listed[1]["parent"] == listed[0]["backup"], "the newest of the same source is the base"
    assert first in answer(capsys, "list", dest)
    shown = json.loads(answer(capsys, "show", first, "--json"))
    assert shown == listed[0]
    assert "2.5 MiB" in answer(capsys, "show", first)


def test_names_keep_sources_apart(image: Path, dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = make(capsys, image, dest, "--name", "one"), make(capsys, image, dest, "--name", "other")
    assert one.rpartition("=")[2] != other.rpartition("=")[2]
    again = make(capsys, image, dest, "--base", one)
    assert again.rpartition("=")[2] == one.rpartition("=")[2]
    assert refuse(capsys, "create", image, "--dest", dest, "--base", one.replace("backups", "elsewhere"))[0] == 11


def test_progress_as_json_lines(image: Path, dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(backup, ["create", str(image), "--dest", dest, "--no-encryption", "--json"]) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.err.splitlines()]
    assert lines[-1]["done"] == lines[-1]["total"] == image.stat().st_size
    assert json.loads(printed.out)["url"].startswith(dest)


def test_damage_is_named(image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = make(capsys, image, dest)
    for pack in (tmp_path / "backups" / PACKS).rglob("*"):
        if pack.is_file():
            pack.write_bytes(pack.read_bytes().replace(b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfe"))
    code, error = refuse(capsys, "verify", url)
    assert code == 10
    assert "damaged at byte 0 of the image" in error
    assert refuse(capsys, "restore", url, tmp_path / "out")[0] == 10
    assert not (tmp_path / "out").exists()


def test_a_damaged_manifest_does_not_hide_the_others(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = [make(capsys, image, dest) for _ in range(3)]
    backup_uuid = urls[2].partition("?backup=")[2].partition("&")[0]
    manifest = next((tmp_path / "backups").rglob(backup_uuid))
    manifest.write_bytes(manifest.read_bytes()[:-1])
    assert [each["url"] for each in json.loads(answer(capsys, "list", dest, "--json"))] == urls
    code, error = refuse(capsys, "show", urls[2])
    assert code == 10
    assert backup_uuid in error
    assert run(backup, ["create", str(image), "--dest", dest, "--json"]) == 0
    printed = capsys.readouterr()
    again = json.loads(printed.out)
    assert again["parent"] in urls[1]
    assert backup_uuid in again["warnings"][0]
    assert json.loads(printed.err.splitlines()[-1]) == {"warning": again["warnings"][0]}
    answer(capsys, "delete", urls[2])
    assert len(json.loads(answer(capsys, "list", dest, "--json"))) == 3


def test_a_backup_whose_packs_are_gone_is_not_built_upon(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(capsys, image, dest)
    for pack in (tmp_path / "backups" / PACKS).rglob("*"):
        if pack.is_file():
            pack.unlink()
    assert run(backup, ["create", str(image), "--dest", dest]) == 0
    printed = capsys.readouterr()
    assert "drystone: warning:" in printed.err
    assert "a full backup was made instead" in printed.err
    answer(capsys, "verify", printed.out.strip())


def test_full_stores_everything_again(image: Path, dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = make(capsys, image, dest)
    made = json.loads(answer(capsys, "create", image, "--dest", dest, "--full", "--json"))
    assert made["parent"] == ""
    assert made["stored"] > 0
    assert made["warnings"] == []
    assert refuse(capsys, "create", image, "--dest", dest, "--full", "--base", first)[0] == 2


def test_wrong_arguments(image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(capsys, "create", tmp_path / "none", "--dest", dest)[0] == 3
    assert refuse(capsys, "create", tmp_path, "--dest", dest)[0] == 2
    assert refuse(capsys, "create", image, "--dest", "ftp://host/folder")[0] == 9
    assert refuse(capsys, "create", image, "--dest", dest, "--memory", "1m", "--no-encryption")[0] == 2
    assert refuse(capsys, "list", dest)[0] == 3
    assert refuse(capsys, "show", "nonsense")[0] == 2
    assert refuse(capsys, "prune", tmp_path)[0] == 3
    assert not (tmp_path / "backups").exists()


def test_prune_removes_what_no_backup_names(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = make(capsys, image, dest)
    left = tmp_path / "backups" / PACKS / "00" / ("0" * 32)
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"left")
    done = json.loads(answer(capsys, "prune", dest, "--json"))["done"]
    assert (done["packs"], done["bytes"]) == (1, 4)
    assert answer(capsys, "prune", dest).endswith("done: 0 packs deleted, 0 B\n")
    answer(capsys, "verify", url)


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "\x1b[2J"])
def test_a_name_fits_in_a_line(name: str, image: Path, dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refuse(capsys, "create", image, "--dest", dest, "--no-encryption", "--name", name)
    assert (code, "is no name for a source" in error) == (2, True)


def test_a_url_holds_in_every_folder(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = make(capsys, image, "backups")
    assert url.startswith(f"{tmp_path}/backups?backup=")
    assert json.loads(answer(capsys, "list", "backups", "--json"))[0]["url"] == url
    make(capsys, image, "backups", "--base", f"vfs://{url}")


def test_scrubs_and_prunes_are_measured(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(capsys, image, dest)
    make(capsys, image, dest, "--full")
    answer(capsys, "prune", dest, "--keep-last", "1", "--metrics", tmp_path / "prune")
    answer(capsys, "scrub", dest, "--metrics", tmp_path / "scrub")
    pruned, scrubbed = (tmp_path / "prune").read_text(), (tmp_path / "scrub").read_text()
    labels = f'{{command="prune",source="{dest}"}}'
    assert f"drystone_backup_deleted_backups{labels} 1.0" in pruned
    assert f"drystone_backup_freed_bytes{labels}" in pruned
    assert 'drystone_backup_damaged_places{command="scrub"' in scrubbed

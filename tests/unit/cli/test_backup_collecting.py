"""`drystone backup` prune, scrub, verify, stats, rebuild and delete as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from drystone.backup.format.keys import PACKS, STATE
from drystone.cli.backup import backup
from drystone.cli.exits import run

MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(blake3(b"image").digest(4 * MIB))
    return path


@pytest.fixture
def dest(tmp_path: Path) -> str:
    return f"vfs://{tmp_path}/backups"


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> str:
    assert run(backup, [str(word) for word in words]) == code
    return capsys.readouterr().out


def refuse(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = run(backup, [str(word) for word in words])
    printed = capsys.readouterr()
    assert printed.out == ""
    return code, printed.err


def document(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> Any:
    return json.loads(answer(capsys, *words, "--json", code=code))


def make(capsys: pytest.CaptureFixture[str], image: Path, dest: str, *words: str) -> str:
    return answer(capsys, "create", image, "--dest", dest, "--no-encryption", *words).strip()


def change(image: Path, at: int) -> None:
    data = bytearray(image.read_bytes())
    data[at : at + MIB] = blake3(b"%d" % at).digest(MIB)
    image.write_bytes(data)


def break_largest_pack(tmp_path: Path) -> None:
    packs = [path for path in (tmp_path / "backups" / PACKS).rglob("*") if path.is_file()]
    pack = max(packs, key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[MIB + MIB // 2] ^= 1
    pack.write_bytes(data)


def test_prune_shows_the_plan_and_does_it(image: Path, dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    urls = [make(capsys, image, dest)]
    for number in range(3):
        change(image, number * MIB)
        urls.append(make(capsys, image, dest))
    words = ("prune", dest, "--keep-last", "2", "--max-unused", "0%")
    plan = document(capsys, *words, "--dry-run")
    assert plan["done"] is None
    assert [len(plan["keep"]), len(plan["delete"])] == [2, 2]
    assert plan["keep"][0]["reasons"] == ["last 1 of 2"]
    assert plan["freed"] > 0
    assert len(document(capsys, "list", dest)) == 4
    text = answer(capsys, *words, "--dry-run")
    assert "2 of 4 backups go" in text
    assert text.count("delete") == 2
    done = document(capsys, *words)
    assert done["freed"] == plan["freed"]
    assert done["done"]["packs"] > 0
    assert [each["url"] for each in document(capsys, "list", dest)] == urls[2:]
    for url in urls[2:]:
        answer(capsys, "verify", url)
    assert document(capsys, "prune", dest)["done"]["packs"] == 0
    name = str(image.absolute())
    assert len(document(capsys, "prune", dest, "--keep-daily", "3", "--volume", name)["keep"]) == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--max-unused", "x"], 2), (["--max-unused", "101"], 2), (["--keep-within", "3"], 2),
        (["--keep-last", "-1"], 2), (["--timezone", "Mars/Olympus"], 2), (["--max-rewrite", "lots"], 2),
        (["--volume", "nothing"], 3),
    ],
)  # fmt: skip
def test_wrong_wishes_change_nothing(
    image: Path, dest: str, words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    make(capsys, image, dest)
    assert refuse(capsys, "prune", dest, *words)[0] == code


def test_scrub_names_damage_and_repairs_it(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = make(capsys, image, dest)
    assert document(capsys, "scrub", dest)["found"]["damaged"] is False
    break_largest_pack(tmp_path)
    found = document(capsys, "scrub", dest, code=10)["found"]
    (hit,) = found["lost"][0]["hits"]
    assert hit["backup"] in url
    assert hit["offset"] % MIB == 0
    text = answer(capsys, "scrub", dest, code=10)
    assert f"bytes {hit['offset']} to {hit['offset'] + MIB}" in text
    assert run(backup, ["verify", url]) == 10
    capsys.readouterr()
    assert "repaired: 1 chunks" in answer(capsys, "scrub", dest, "--repair-from", image)
    assert answer(capsys, "verify", url).startswith("verified: ")
    assert document(capsys, "scrub", dest)["left"]["damaged"] is False
    assert refuse(capsys, "scrub", dest, "--percent", "0")[0] == 2
    assert refuse(capsys, "scrub", dest, "--repair-from", tmp_path / "none")[0] == 3


def test_verify_against_a_source(image: Path, dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = make(capsys, image, dest)
    assert answer(capsys, "verify", url, "--source", image, "--sample", "50%").startswith("verified: ")
    change(image, 2 * MIB)
    code, error = refuse(capsys, "verify", url, "--source", image)
    assert code == 11
    assert f"at byte {2 * MIB}" in error
    for wrong in ("0", "x", "200"):
        assert refuse(capsys, "verify", url, "--sample", wrong)[0] == 2


def test_stats(image: Path, dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    make(capsys, image, dest)
    make(capsys, image, dest)
    found = document(capsys, "stats", dest)
    assert (found["backups"], found["logical"], found["unique"], found["dedupe_ratio"]) == (2, 8 * MIB, 4 * MIB, 2.0)
    assert [each["source"] for each in found["volumes"]] == [str(image)]
    text = answer(capsys, "stats", dest)
    assert "4.0 MiB, used 2.00 times" in text


def test_rebuild(image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = make(capsys, image, dest)
    assert refuse(capsys, "rebuild", dest)[0] == 13
    newest = max(path for path in (tmp_path / "backups" / STATE).iterdir())
    newest.write_bytes(b"gone")
    assert refuse(capsys, "list", dest)[0] == 10
    assert len(document(capsys, "rebuild", dest)["backups"]) == 1
    answer(capsys, "verify", url)


def test_several_backups_are_deleted_at_once(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = [make(capsys, image, dest, "--full") for _ in range(3)]
    assert refuse(capsys, "delete", urls[0], urls[1].replace("backups?", "elsewhere?"))[0] == 2
    done = document(capsys, "delete", *urls[:2])
    assert done["urls"] == urls[:2]
    assert done["waiting"] == 0
    assert refuse(capsys, "delete", urls[0])[0] == 3
    answer(capsys, "verify", urls[2])
    assert document(capsys, "delete", urls[2])["url"] == urls[2]
    assert not [path for path in (tmp_path / "backups" / PACKS).rglob("*") if path.is_file()]

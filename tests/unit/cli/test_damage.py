"""`drystone thin damage` and `drystone era damage`: what they write, tell and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drystone.cli.exits import run
from drystone.cli.main import drystone
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.damage.examples import EXAMPLES
from drystone.testing.damage.table import KINDS, Target, apply_damage, plan_damage


@pytest.fixture(params=["thin", "era"])
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


@pytest.fixture
def image(target: Target, tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(EXAMPLES[target][0]())
    return path


def test_the_copy_is_damaged_and_the_file_is_not(
    target: Target, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, before = tmp_path / "copy", image.read_bytes()
    words = [target, "damage", "--kind", "pointer-loop", "--seed", "3", "-o", str(copy), "--json", str(image)]
    assert run(drystone, words) == 0
    document = json.loads(capsys.readouterr().out)
    plan = plan_damage(target, "pointer-loop", MemoryBlocks(before), seed=3)
    assert image.read_bytes() == before
    assert copy.read_bytes() == apply_damage(plan, before) != before
    assert document["blocks"] == list(plan.blocks)
    assert (document["changes"][0]["before"], document["changes"][0]["after"]) == (
        plan.changes[0].before,
        plan.changes[0].after,
    )
    assert f"metadata block {plan.block}" in document["named"]


def test_text_says_what_was_changed(image: Path, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    copy = image.with_name("copy")
    assert run(drystone, [target, "damage", "-k", "truncated", "-o", str(copy), str(image)]) == 0
    size = copy.stat().st_size
    assert capsys.readouterr().out == f"{copy}: file: the file's size is {size}, was {image.stat().st_size}\n"


def test_bits_are_flipped_at_a_rate(image: Path, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    copy = image.with_name("copy")
    assert run(drystone, [target, "damage", "--flips", "1e-5", "-o", str(copy), "--json", str(image)]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    pairs = zip(copy.read_bytes(), image.read_bytes(), strict=True)
    assert sum((a ^ b).bit_count() for a, b in pairs) == len(changes) > 0


def test_the_list_has_every_kind(target: Target, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, [target, "damage", "--list", "--json"]) == 0
    assert [each["kind"] for each in json.loads(capsys.readouterr().out)] == list(KINDS[target])
    assert run(drystone, [target, "damage", "--list", str(image)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(KINDS[target]) + 1
    assert any(line.startswith("checksum ") and "metadata bitmap" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-k", "rot", "-o", "COPY", "IMAGE"], 3, "there is no damage 'rot'"),
        (["-k", "zeroed", "-o", "IMAGE", "IMAGE"], 4, "is there already"),
        (["-k", "zeroed", "IMAGE"], 2, "damage wants FILE, --output"),
        (["-k", "zeroed", "--flips", "0.1", "-o", "COPY", "IMAGE"], 2, "one of --kind and --flips"),
        (["--flips", "7", "-o", "COPY", "IMAGE"], 2, "rate 7.0"),
        (["-k", "zeroed", "--block", "99999", "-o", "COPY", "IMAGE"], 2, "fits no block 99999"),
        (["-k", "zeroed", "-o", "COPY", "NOTHING"], 3, "there is no"),
    ],
)
def test_wrong_words_change_nothing(
    target: Target, image: Path, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = image.read_bytes()
    names = {"IMAGE": str(image), "COPY": str(image.with_name("copy")), "NOTHING": str(image.with_name("nothing"))}
    assert run(drystone, [target, "damage", *(names.get(word, word) for word in words)]) == code
    assert message in capsys.readouterr().err
    assert image.read_bytes() == before
    assert not image.with_name("copy").exists()


def test_what_is_no_metadata_is_refused(target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "noise"
    path.write_bytes(b"x" * 8192)
    assert run(drystone, [target, "damage", "-k", "zeroed", "-o", str(tmp_path / "copy"), str(path)]) == 10
    assert f"{path}: block 0: superblock is damaged already" in capsys.readouterr().err

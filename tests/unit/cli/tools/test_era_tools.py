"""The era tools as commands: flags, output, exit codes, and what they leave of their output when they fail."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from drystone.cli.pdata_tools import run_tool
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata

IMAGE = write_era_metadata(
    [1, 2, 2, 0], {3: {0}, 4: {0, 1}}, current={3}, current_era=5, held=Held([1, 2, 2, 0], {3: {0}}, 4)
)
ARRAY = '  <era_array>\n    <era block="0" era="%d"/>\n    <era block="1" era="%d"/>\n    <era block="2" era="2"/>\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.img"
    path.write_bytes(IMAGE)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target.img"
    path.write_bytes(b"old" * 100_000)
    return path


def run(*words: str | Path) -> int:
    return run_tool([str(word) for word in words])


def damage(file: Path, block: int) -> None:
    data = bytearray(file.read_bytes())
    data[block * BLOCK + 1000] ^= 1
    file.write_bytes(data)


def test_dump(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("era_dump", file) == 0
    text = capsys.readouterr().out
    assert text.startswith('<superblock uuid="" block_size="128" nr_blocks="4" current_era="5">\n  <writeset era="3"')
    assert '  <writeset era="5" nr_bits="4">\n    <bit block="0" value="false"/>\n' in text
    assert text.endswith('    <era block="3" era="0"/>\n  </era_array>\n</superblock>\n')


def test_dump_of_the_snapshot_folded(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("era_dump", "--logical", "-m", file) == 0
    text = capsys.readouterr().out
    assert 'current_era="4"' in text
    assert ARRAY % (3, 2) + '    <era block="3" era="0"/>' in text


def test_dump_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("era_dump", "--logical", "--json", file) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "superblock": {"block_size": 128, "nr_blocks": 4, "current_era": 5},
        "writesets": [],
        "era_array": [[0, 2, 4], [2, 1, 2], [3, 1, 5]],
    }


def test_dump_into_a_file(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("era_dump", file) == 0
    assert run("era_dump", file, "-o", tmp_path / "out.xml") == 0
    assert (tmp_path / "out.xml").read_text() == capsys.readouterr().out


def test_dump_past_damage(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = read_superblock(MemoryBlocks(IMAGE)).era_array_root
    damage(file, root)
    assert run("era_dump", file) == 1
    assert f"era_dump: {file}: block {root}: era array: checksum" in capsys.readouterr().err
    assert run("era_dump", "-r", "--logical", file) == 0
    text, told = capsys.readouterr()
    assert text.count('era="5"') == 4 + 1
    assert told == f"era_dump: {file}: era array: blocks 0 to 3 cannot be read, and are taken as written in era 5\n"


def test_invalidate(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("era_invalidate", "--written-since", "4", file) == 0
    assert capsys.readouterr().out == '<blocks>\n  <range begin="0" end="2"/>\n  <block block="3"/>\n</blocks>\n'
    assert run("era_invalidate", "--written-since", "3", "--metadata-snapshot", "--format", "ranges", file) == 0
    assert capsys.readouterr().out == "0 1\n"
    assert run("era_invalidate", "--written-since", "5", "--json", file) == 0
    assert json.loads(capsys.readouterr().out) == {
        "written_since": 5,
        "current_era": 5,
        "nr_blocks": 4,
        "block_size": 65536,
        "ranges": [[3, 1]],
    }


def test_check(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("era_check", file) == 0
    assert capsys.readouterr() == (f"{file}: sound; 4 blocks, current era 5\n", "")
    assert run("era_check", "-q", "-m", file) == 0
    assert capsys.readouterr() == ("", "")
    root = read_superblock(MemoryBlocks(IMAGE)).current_root
    damage(file, root)
    assert run("era_check", file) == 1
    assert capsys.readouterr().err.startswith(f"era_check: {file}: block {root}: current writeset of era 5: checksum")
    assert run("era_check", "-q", file) == 1
    assert capsys.readouterr() == ("", "")
    assert run("era_check", "--json", file) == 1
    assert json.loads(capsys.readouterr().out)["errors"][0]["block"] == root
    assert run("era_check", "--super-block-only", file) == 0


def test_restore(file: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("xml", "json"):
        dump = tmp_path / f"dump.{form}"
        assert run("era_dump", "--format", form, "-o", dump, file) == 0
        assert run("era_restore", "-i", dump, "-o", target) == 0
        assert capsys.readouterr().out == f"{target}: 4 blocks, current era 5\n"
        assert run("era_restore", "-q", "-i", dump, "-o", target) == 0
        assert capsys.readouterr() == ("", "")
        again = tmp_path / "again"
        assert run("era_dump", "--format", form, "-o", again, target) == 0
        assert again.read_bytes() == dump.read_bytes()


def test_restore_of_what_is_no_dump_changes_nothing(
    file: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = target.read_bytes()
    for text in (b"", b"nothing", b"<thin/>", b"{}", b'{"superblock": 1}', IMAGE):
        dump = tmp_path / "dump"
        dump.write_bytes(text)
        assert run("era_restore", "-i", dump, "-o", target) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"era_restore: {dump}: ")
        assert told.count("\n") == 1
    assert run("era_restore", "-i", tmp_path / "none", "-o", target) == 1
    assert run("era_restore", "-i", file, "-o", tmp_path / "none") == 1
    assert not (tmp_path / "none").exists()
    assert target.read_bytes() == before


def test_restore_onto_what_is_too_small(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump, target = tmp_path / "dump", tmp_path / "target"
    assert run("era_dump", "-o", dump, file) == 0
    for size in (0, 1, BLOCK, 4 * BLOCK):
        target.write_bytes(bytes(size))
        assert run("era_restore", "-i", dump, "-o", target) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"era_restore: {target}: ")
        assert told.count("\n") == 1


def test_repair(file: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = read_superblock(MemoryBlocks(IMAGE)).era_array_root
    damage(file, root)
    before = file.read_bytes()
    assert run("era_repair", "-i", file, "-o", target) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"damaged: block {root}: era array: checksum")
    assert lines[1] == "lost: era array: blocks 0 to 3 cannot be read, and are taken as written in era 5"
    assert lines[2] == f"{target}: 4 blocks, current era 5, 1 losses"
    assert file.read_bytes() == before
    assert run("era_check", "-q", target) == 0
    assert run("era_repair", "--json", "-i", file, "-o", target) == 0
    losses = [{"what": "era array", "begin": 0, "end": 4, "taken_for_era": 5}]
    assert json.loads(capsys.readouterr().out)["losses"] == losses


def test_repair_never_writes_to_its_input(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    hard = tmp_path / "hard"
    hard.hardlink_to(file)
    for target in (file, link, hard):
        assert run("era_repair", "-i", file, "-o", target) == 1
        assert f"{target} is the input, {file}" in capsys.readouterr().err
    assert file.read_bytes() == IMAGE


@pytest.mark.parametrize(
    "words", [["era_dump"], ["era_dump", "-r"], ["era_invalidate", "--written-since", "1"], ["era_restore", "-i"]]
)
def test_no_tool_writes_over_its_input(
    words: list[str], file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[0] == "era_restore":
        assert run("era_dump", file, "-o", tmp_path / "dump") == 0
        file = tmp_path / "dump"
    before = file.read_bytes()
    link, hard = tmp_path / "link", tmp_path / "hard"
    link.symlink_to(file)
    hard.hardlink_to(file)
    for target in (file, link, hard):
        assert run(*words, file, "-o", target) == 1
        assert capsys.readouterr() == (
            "",
            f"{words[0]}: {target} is the input, {file}, or lies upon it (name another output)\n",
        )
    assert file.read_bytes() == before


def test_repair_with_sizes_given(file: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = read_superblock(MemoryBlocks(IMAGE)).metadata_snap
    data = bytearray(IMAGE)
    data[:BLOCK] = data[held * BLOCK : (held + 1) * BLOCK] = bytes(BLOCK)
    file.write_bytes(data)
    assert run("era_repair", "-i", file, "-o", target) == 1
    assert "--data-block-size" in capsys.readouterr().err
    assert run("era_repair", "-q", "--data-block-size", "129", "-i", file, "-o", target) == 2
    assert run("era_repair", "-q", "--data-block-size", "128", "--nr-blocks", "4", "-i", file, "-o", target) == 0
    capsys.readouterr()
    assert run("era_dump", "--logical", "--json", target) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["superblock"] == {"block_size": 128, "nr_blocks": 4, "current_era": 5}
    assert document["era_array"] == [[0, 2, 4], [2, 1, 2], [3, 1, 5]]


def test_restore_from_a_closed_stdin(
    target: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = target.read_bytes()
    monkeypatch.setattr("sys.stdin", None)
    assert run("era_restore", "-i", "-", "-o", target) == 1
    assert capsys.readouterr().err.startswith("era_restore: stdin is closed")
    assert target.read_bytes() == before


@pytest.mark.parametrize("words", [["era_check"], ["era_dump"], ["era_invalidate", "--written-since", "1"]])
def test_input_that_is_no_metadata(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in (b"", b"short", bytes(8192), IMAGE[: BLOCK + 1]):
        file = tmp_path / "file"
        file.write_bytes(text)
        assert run(*words, file) == 1
        out, err = capsys.readouterr()
        assert out == "" or words == ["era_dump"]
        assert err.startswith(f"{words[0]}: {file}: block ")
    for path, code in ((tmp_path / "none", 1), (tmp_path, 2)):
        assert run(*words, path) == code
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["era_invalidate", "{}"],
        ["era_invalidate", "--written-since", "-1", "{}"],
        ["era_invalidate", "--written-since", "x", "{}"],
        ["era_dump", "--format", "human", "{}"],
        ["era_dump"],
        ["era_check", "--no-such-flag", "{}"],
        ["era_restore", "-i", "{}"],
        ["era_repair", "-o", "{}"],
    ],
)
def test_wrong_arguments(words: list[str], file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*(word.replace("{}", str(file)) for word in words)) == 2
    assert capsys.readouterr().out == ""
    assert file.read_bytes() == IMAGE


def test_a_dump_fails_midway_and_leaves_what_was_there(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "dump.xml"
    output.write_bytes(b"an older dump")
    damage(file, read_superblock(MemoryBlocks(file.read_bytes())).era_array_root)
    assert run("era_dump", file, "-o", output) == 1
    assert output.read_bytes() == b"an older dump"
    assert sorted(tmp_path.iterdir()) == [output, file]


def test_restore_from_json_with_blanks_before_it(file: Path, target: Path, tmp_path: Path) -> None:
    dump = tmp_path / "dump.json"
    assert run("era_dump", "--json", file, "-o", dump) == 0
    dump.write_bytes(b"\n  " + dump.read_bytes())
    assert run("era_restore", "-q", "-i", dump, "-o", target) == 0
    assert run("era_check", "-q", target) == 0


def test_a_dump_that_is_not_there_is_told_as_such(
    target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = target.read_bytes()
    assert run("era_restore", "-i", tmp_path / "none", "-o", target) == 1
    assert capsys.readouterr().err == f"era_restore: {tmp_path / 'none'}: there is no such file\n"
    assert target.read_bytes() == before


def test_an_output_in_use_is_told_without_advice_for_inputs(
    file: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with target.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert run("era_repair", "-i", file, "-o", target, "--json") == 1
    error = json.loads(capsys.readouterr().err)
    assert error["code"] == "busy"
    assert "metadata-snapshot" not in error.get("hint", "")

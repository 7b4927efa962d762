from __future__ import annotations

import json
from pathlib import Path

import pytest

from drystone.cli.pdata_tools import run_tool
from drystone.testing.thin_metadata import write_thin_metadata


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.img"
    path.write_bytes(write_thin_metadata({1: {block: block for block in range(1000)}}))
    return path


@pytest.fixture
def packed(tmp_path: Path, source: Path) -> Path:
    path = tmp_path / "metadata.pack"
    assert run_tool(["thin_metadata_pack", "-i", str(source), "-o", str(path)]) == 0
    return path


def test_there_and_back(tmp_path: Path, source: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    back = tmp_path / "back.img"
    assert run_tool(["thin_metadata_unpack", "-i", str(packed), "-o", str(back)]) == 0
    assert capsys.readouterr() == ("", "")
    assert back.read_bytes() == source.read_bytes()


def test_json(tmp_path: Path, source: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool(["thin_metadata_pack", "-i", str(source), "-o", str(packed), "-f", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["left_out"], document["size"]) == (0, packed.stat().st_size)
    back = tmp_path / "back.img"
    assert run_tool(["thin_metadata_unpack", "-i", str(packed), "-o", str(back), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unpacked"] == document["packed"]


def test_nothing_is_written_over_unasked(source: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = packed.read_bytes()
    assert run_tool(["thin_metadata_pack", "-i", str(source), "-o", str(packed)]) == 1
    assert "--force" in capsys.readouterr().err
    assert packed.read_bytes() == before
    image = source.read_bytes()
    assert run_tool(["thin_metadata_unpack", "-i", str(packed), "-o", str(source)]) == 1
    assert source.read_bytes() == image
    assert run_tool(["thin_metadata_unpack", "-i", str(packed), "-o", str(source), "--force"]) == 0
    assert source.read_bytes() == image


@pytest.mark.parametrize("tool", ["thin_metadata_pack", "thin_metadata_unpack"])
def test_never_over_the_input(
    tool: str, tmp_path: Path, source: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = source if tool == "thin_metadata_pack" else packed
    link = tmp_path / "link"
    link.hardlink_to(given)
    before = given.read_bytes()
    assert run_tool([tool, "-i", str(given), "-o", str(link), "--force"]) == 1
    assert given.read_bytes() == before
    assert "is the input" in capsys.readouterr().err


def test_what_is_no_metadata(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, out = tmp_path / "text", tmp_path / "out"
    text.write_bytes(b"<superblock/>\n" * 1000)
    for tool in ("thin_metadata_pack", "thin_metadata_unpack"):
        assert run_tool([tool, "-i", str(text), "-o", str(out)]) == 1
        assert capsys.readouterr().err.startswith(f"{tool}: {text}: ")
        assert run_tool([tool, "-i", str(tmp_path / "none"), "-o", str(out)]) == 1
        assert capsys.readouterr().err == f"{tool}: there is no {tmp_path / 'none'}\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["text"]


def test_a_packed_file_that_was_cut_short_writes_nothing(
    source: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = source.read_bytes()
    packed.write_bytes(packed.read_bytes()[:-5])
    assert run_tool(["thin_metadata_unpack", "-i", str(packed), "-o", str(source), "--force"]) == 1
    assert "cut short" in capsys.readouterr().err
    assert source.read_bytes() == before

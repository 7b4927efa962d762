from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.cli.exits import run
from drystone.cli.thin import thin
from drystone.formats.pdata.blocks import BLOCK
from drystone.testing.thin_metadata import write_thin_metadata


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "metadata.img"
    live = {1: {0: 10, 1: 11, 5: 12}, 2: {0: 10, 1: 77, 6: 13}}
    path.write_bytes(write_thin_metadata(live, held={1: {0: 10}, 2: {0: 10}}, transaction_id=3, nr_data_blocks=100))
    return str(path)


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(thin, list(words)) == 0
    return capsys.readouterr().out


def refuse(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = run(thin, list(words))
    printed = capsys.readouterr()
    assert printed.out == ""
    return code, printed.err


def test_info(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(answer(capsys, "info", image, "--json"))
    assert document["transaction_id"] == 3
    assert document["data_block_size"] == 65536
    assert (document["data_blocks"], document["data_blocks_used"]) == (100, 5)
    assert document["held_root"] > 0
    assert not document["needs_check"]
    text = answer(capsys, "info", image)
    assert "transaction id        3\n" in text
    assert "65536 bytes" in text


def test_info_of_the_snapshot(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    held_root = json.loads(answer(capsys, "info", image, "--json"))["held_root"]
    document = json.loads(answer(capsys, "info", "-m", image, "--json"))
    assert (document["location"], document["held_root"]) == (held_root, None)


def test_devices(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(answer(capsys, "devices", image, "--json"))
    assert [(row["dev_id"], row["mapped_blocks"], row["mapped_bytes"]) for row in rows] == [
        (1, 3, 196608),
        (2, 3, 196608),
    ]
    assert answer(capsys, "devices", image).splitlines()[0].startswith("DEV ID  MAPPED BLOCKS")


def test_mappings(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "mappings", "1", image) == "0 10 2 0\n5 12 1 0\n"
    document = json.loads(answer(capsys, "mappings", "1", image, "--json"))
    assert document["columns"] == ["begin", "data", "length", "time"]
    assert document["rows"] == [[0, 10, 2, 0], [5, 12, 1, 0]]


def test_damage_names_file_and_block(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Path(image).open("r+b") as file:
        file.seek(BLOCK + 200)
        file.write(b"\xff")
    code, error = refuse(capsys, "mappings", "1", image)
    assert code == 10
    assert f"{image}: block 1: " in error
    assert "checksum" in error
    assert json.loads(refuse(capsys, "mappings", "1", image, "--json")[1])["file"] == image


def test_a_copy_that_was_cut_short_says_so(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    size = Path(image).stat().st_size
    with Path(image).open("r+b") as file:
        file.truncate(size - BLOCK)
    told = f"it has {size - BLOCK} of {size} bytes: it was cut short"
    assert run(thin, ["info", image, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["transaction_id"] == 3
    assert printed.err == f"drystone: {image}: {told}\n"
    with Path(image).open("r+b") as file:
        file.truncate(BLOCK)
    code, error = refuse(capsys, "devices", image)
    assert code == 10
    assert f"it has {BLOCK} of {size} bytes" in error


@pytest.mark.parametrize("size", [0, 100, 4096, 40960])
def test_a_file_that_is_no_metadata(size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"x" * size)
    code, error = refuse(capsys, "info", str(path))
    assert code == 10
    assert str(path) in error
    assert "hint: thin_check" in error


@pytest.mark.parametrize(
    ("words", "code"),
    [(["mappings", "9"], 3), (["mappings", "-3"], 2), (["mappings", "one"], 2)],
)
def test_wrong_devices(words: list[str], code: int, image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(capsys, *words, image)[0] == code


def test_no_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metadata.img"
    path.write_bytes(write_thin_metadata({}))
    code, error = refuse(capsys, "devices", "-m", str(path))
    assert code == 3
    assert "reserve_metadata_snap" in error


def test_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(capsys, "info", "/nowhere/metadata")[0] == 3


def test_help_does_not_import_numpy() -> None:
    program = (
        "import sys; from drystone.cli.exits import run; from drystone.cli.main import drystone;"
        "run(drystone, ['thin', '--help']); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, stdout=subprocess.DEVNULL).returncode == 0

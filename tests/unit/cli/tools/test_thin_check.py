from __future__ import annotations

import json
from pathlib import Path

import pytest

from drystone.cli.pdata_tools import run_tool
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata

NAMES = "TRANSACTION_ID=5\nMETADATA_FREE_BLOCKS=1010\n"


@pytest.fixture
def image() -> ThinImage:
    origin = {block: block for block in range(600)}
    live = {1: origin, 2: {7: 700}}
    return ThinImage(write_thin_metadata(live, transaction_id=5, nr_data_blocks=4000, nr_blocks=1024))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metadata.img"


def run(image: ThinImage, file: Path, *words: str) -> int:
    file.write_bytes(bytes(image.data))
    return run_tool(["thin_check", str(file), *words])


def test_sound_metadata(image: ThinImage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(image, file) == 0
    assert capsys.readouterr() == (NAMES.replace("1010", str(image.superblock.metadata_space_map.nr_free)), "")


def test_damage_is_told_on_stderr(image: ThinImage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaf = image.get_value(image.get_root(1), 1)
    image.spoil(leaf)
    assert run(image, file) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("TRANSACTION_ID=5\n")
    first, *_, last = printed.err.splitlines()
    assert first.startswith(f"thin_check: {file}: fatal: block {leaf}: mapping tree of device 1: checksum is ")
    assert first.endswith("affects device 1 blocks 252 to 503")
    assert last == f"thin_check: {file}: 1 fatal and 0 non-fatal errors"


def test_quiet(image: ThinImage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.spoil(image.get_root(1))
    assert run(image, file, "-q") == 1
    assert capsys.readouterr() == ("", "")


def test_json(image: ThinImage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.put_reference_count(image.get_data_bitmap(), 3000, 1)
    assert run(image, file, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["sound"], document["fatal"], document["changes"]) == (False, 0, [])
    leaked = next(each for each in document["findings"] if each["kind"] == "leaked")
    assert (leaked["begin"], leaked["end"], leaked["severity"]) == (3000, 3001, "non-fatal")


def test_mild_errors_can_be_ignored(image: ThinImage, file: Path) -> None:
    image.put_reference_count(image.get_metadata_bitmap(), 300, 1)
    assert run(image, file) == 1
    assert run(image, file, "--ignore-non-fatal-errors") == 0


def test_auto_repair_says_what_it_changed(image: ThinImage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.put_reference_count(image.get_metadata_bitmap(), 300, 1)
    assert run(image, file, "--auto-repair") == 0
    lines = capsys.readouterr().err.splitlines()
    assert (
        f"thin_check: {file}: mended: metadata space map: reference count of metadata block 300 is 1, expected 0"
        in (lines)
    )
    assert run_tool(["thin_check", "-q", str(file)]) == 0


def test_auto_repair_does_not_claim_what_it_left(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = ThinImage(write_thin_metadata({1: {0: (5, 3)}}, time=3))
    image.put_superblock(time=2)
    image.put_reference_count(image.get_data_bitmap(), 9, 1)
    assert run(image, file, "--auto-repair") == 0
    mended = [line for line in capsys.readouterr().err.splitlines() if "mended" in line]
    assert mended
    assert not any("time" in line for line in mended)


def test_auto_repair_leaves_damage_alone(image: ThinImage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.put_reference_count(image.get_metadata_bitmap(), 300, 1)
    image.spoil(image.get_root(1))
    before = bytes(image.data)
    assert run(image, file, "--auto-repair", "--clear-needs-check-flag") == 1
    assert file.read_bytes() == before
    assert "nothing was changed" in capsys.readouterr().err


def test_the_flag_is_cleared_when_all_is_well(image: ThinImage, file: Path) -> None:
    image.put_superblock(flags=1)
    assert run(image, file) == 0
    assert file.read_bytes() == bytes(image.data)
    assert run(image, file, "--clear-needs-check-flag") == 0
    image.data[:] = file.read_bytes()
    assert read_superblock(image.reader).flags == 0


def test_the_flag_stays_when_something_is_wrong(image: ThinImage, file: Path) -> None:
    image.put_superblock(flags=1)
    image.spoil(image.get_root(1))
    assert run(image, file, "--clear-needs-check-flag") == 1
    assert file.read_bytes() == bytes(image.data)


@pytest.mark.parametrize(
    "words",
    [
        ["--auto-repair", "--super-block-only"],
        ["--auto-repair", "--skip-mappings"],
        ["--auto-repair", "-m"],
        ["--auto-repair", "--ignore-non-fatal-errors"],
        ["--auto-repair", "--override-mapping-root", "3"],
        ["--clear-needs-check-flag", "--metadata-snap"],
        ["--clear-needs-check-flag", "--override-details-root", "3"],
        ["--override-mapping-root", "x"],
        ["--nonsense"],
    ],
)
def test_flags_that_do_not_go_together(
    image: ThinImage, file: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(image, file, *words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


def test_a_file_that_is_not_there(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool(["thin_check", str(file)]) == 1
    assert capsys.readouterr().err == f"thin_check: there is no {file}\n"


@pytest.mark.parametrize("data", [b"", b"short", bytes(40960), b"<superblock/>" * 1000])
def test_what_is_no_metadata(file: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(data)
    assert run_tool(["thin_check", str(file)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"thin_check: {file}: fatal: block 0: " in printed.err


def test_unknown_features_name_the_file(image: ThinImage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.put_superblock(incompat_flags=4)
    assert run(image, file) == 1
    assert capsys.readouterr().err == f"thin_check: {file}: block 0: incompatible features 0x4 are not known\n"


def test_no_metadata_snapshot(image: ThinImage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(image, file, "-m") == 1
    assert "no metadata snapshot is reserved" in capsys.readouterr().err

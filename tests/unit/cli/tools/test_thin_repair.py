from __future__ import annotations

import json
from pathlib import Path

import pytest

from drystone.cli.pdata_tools import run_tool
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata


@pytest.fixture
def image() -> ThinImage:
    origin = {block: block for block in range(600)}
    return ThinImage(write_thin_metadata({1: origin, 2: {7: 700}}, transaction_id=5, nr_data_blocks=4000))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "damaged.img"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "new.img"
    path.write_bytes(b"\xa5" * 4096 * 128)
    return path


def run(image: ThinImage, source: Path, target: Path, *words: str) -> int:
    source.write_bytes(bytes(image.data))
    return run_tool(["thin_repair", "-i", str(source), "-o", str(target), *words])


def test_what_is_missing_is_printed(
    image: ThinImage, source: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaf = image.get_value(image.get_root(1), 1)
    image.spoil(leaf)
    assert run(image, source, target) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{target}: 2 devices saved, 1 of them in part, 349 mappings; checked and sound\n"
    assert f"device 1 lacks blocks 252 to 503: block {leaf}: checksum is" in printed.err
    assert source.read_bytes() == bytes(image.data)
    assert run_tool(["thin_check", "-q", str(target)]) == 0


def test_json(image: ThinImage, source: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaf = image.get_value(image.get_root(1), 2)
    image.spoil(leaf)
    assert run(image, source, target, "--json", "--transaction-id", "9") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["whole"], document["transaction_id"]) == (False, 9)
    first, second = document["devices"]
    (missing,) = first["missing"]
    assert (missing["low"], missing["high"], missing["block"]) == (504, None, leaf)
    assert (second["mapped_blocks"], second["missing"]) == (1, [])


def test_quiet(image: ThinImage, source: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.spoil(image.get_root(1))
    assert run(image, source, target, "-q") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("link", ["same", "soft", "hard"])
def test_never_over_the_input(
    image: ThinImage, source: Path, tmp_path: Path, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image.spoil(image.get_root(1))
    source.write_bytes(bytes(image.data))
    other = source if link == "same" else tmp_path / link
    if link == "soft":
        other.symlink_to(source)
    elif link == "hard":
        other.hardlink_to(source)
    assert run_tool(["thin_repair", "-i", str(source), "-o", str(other)]) == 1
    assert "never writes over what it reads" in capsys.readouterr().err
    assert source.read_bytes() == bytes(image.data)


def test_the_output_must_exist(
    image: ThinImage, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(image, source, tmp_path / "none") == 1
    assert capsys.readouterr().err.startswith(f"thin_repair: there is no {tmp_path / 'none'} (")
    assert not (tmp_path / "none").exists()


def test_too_small_an_output(image: ThinImage, source: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target.write_bytes(bytes(4096 * 3))
    assert run(image, source, target) == 1
    assert f"thin_repair: {target}: the metadata does not fit 3 blocks" in capsys.readouterr().err


def test_an_unsound_input_leaves_the_output_alone(
    image: ThinImage, source: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image.data[:] = bytes(len(image.data))
    before = target.read_bytes()
    assert run(image, source, target) == 1
    assert target.read_bytes() == before
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("size", ["0", "100", "4194304", "x"])
def test_block_sizes_that_no_pool_has(image: ThinImage, source: Path, target: Path, size: str) -> None:
    before = target.read_bytes()
    assert run(image, source, target, "--data-block-size", size) == 2
    assert target.read_bytes() == before

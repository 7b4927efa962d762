"""Pictures as they are printed, drawn and told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from drystone.cli.exits import run
from drystone.cli.main import drystone
from drystone.cli.picture.panel import HIGH, LOW, NOTHING, SHARE_BANDS, mix_colour, spell_size
from drystone.cli.picture.terminal import shade
from drystone.testing.era_metadata import write_era_metadata
from drystone.testing.thin_metadata import write_thin_metadata


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.img"
    shared = {block: block for block in range(500)}
    path.write_bytes(write_thin_metadata({1: shared, 2: shared | {900: 700}}, nr_data_blocks=1000))
    return path


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "era.img"
    path.write_bytes(write_era_metadata([3] * 500 + [0] * 400 + [7] * 100, current_era=8))
    return path


def test_a_pool_as_text(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, ["thin", "picture", "--width", "61", "--rows", "2", str(pool)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "62.5 MiB of data in 1000 blocks of 64 KiB: 31.3 MiB mapped, 31.2 MiB of it shared, 15.7 MiB a run" in lines
    grids = [line[11:] for line in lines if line[:11].strip() in {"0", "31.2 MiB"}]
    assert [len(grid) for grid in grids] == [50, 50] * 3
    assert grids[0] == "█" * 50
    assert grids[1] == " " * 20 + "░" + " " * 29
    assert grids[2] == "█" * 50
    assert grids[3] == "·" * 20 + " " + "·" * 29
    assert "[ ] 0 %   [░] to 33 %   [▒] to 67 %   [▓] below 100 %   [█] 100 %   [·] nothing mapped" in lines[-3]


def test_a_device_as_text(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, ["era", "picture", "--width", "61", "--rows", "2", str(device)]) == 0
    lines = capsys.readouterr().out.splitlines()
    grids = [line[11:] for line in lines if line[:11].strip() in {"0", "31.2 MiB"}]
    assert grids == ["░" * 50, "·" * 40 + "█" * 10]
    assert any("[░] era 3" in line and "[█] eras 6 to 7   [·] never written" in line for line in lines)


def test_a_pool_as_numbers(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, ["thin", "picture", "--json", "--width", "61", "--rows", "2", str(pool)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["nr_blocks"], document["mapped"], document["shared"], document["fragments"]) == (1000, 501, 500, 2)
    cells = document["cells"]
    assert {len(column) for column in cells.values()} == {100}
    assert cells["begin"][1] == cells["end"][0] == 10
    assert cells["mapped"][:50] == [10] * 50


def test_a_device_as_numbers(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, ["era", "picture", "--json", str(device)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["written"], document["current_era"]) == (600, 8)
    assert document["cells"]["newest"][0] == 3


@pytest.mark.parametrize("noun", ["thin", "era"])
def test_a_png_has_the_colours_of_its_legend(noun: str, pool: Path, device: Path, tmp_path: Path) -> None:
    target = tmp_path / "picture.png"
    source = pool if noun == "thin" else device
    assert run(drystone, [noun, "picture", "--png", str(target), str(source)]) == 0
    with Image.open(target) as image:
        counts = {colour: count for count, colour in image.convert("RGB").getcolors(1 << 20) or []}
    for colour in (LOW, HIGH, NOTHING):
        assert counts[colour] > 100


def test_metadata_of_the_other_kind_is_refused(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, ["thin", "picture", str(device)]) != 0
    error = capsys.readouterr().err
    assert str(device) in error
    assert "magic" in error


def test_colours_go_from_light_to_dark() -> None:
    steps = [sum(mix_colour(step / 20)) for step in range(21)]
    assert steps == sorted(steps, reverse=True)
    assert mix_colour(math.nan) == NOTHING


def test_only_nothing_is_blank_and_only_all_is_full() -> None:
    assert [shade(value, SHARE_BANDS) for value in (0.0, 1e-6, 0.5, 0.999, 1.0, math.nan)] == list(" ░▒▓█·")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (512, "512 B"), (65536, "64 KiB"), (1 << 20, "1 MiB"), (3 << 29, "1.5 GiB")]
)
def test_sizes_are_spelt_in_the_largest_unit(size: int, text: str) -> None:
    assert spell_size(size) == text

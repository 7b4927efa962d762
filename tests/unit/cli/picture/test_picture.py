"""Pictures as they are printed, drawn and told."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from PIL import Image

from drystone.cli.exits import run
from drystone.cli.main import drystone
from drystone.cli.picture.panel import HIGH, LOW, NOTHING, SHARE_BANDS, mix_colour, spell_size
from drystone.cli.picture.terminal import LABEL, shade
from drystone.testing.era_metadata import write_era_metadata
from drystone.testing.thin_metadata import write_thin_metadata

EDGE = "│"


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


def list_rows(lines: list[str]) -> list[str]:
    """The cells of each row, between its edges."""
    return [line.split(EDGE)[1] for line in lines if EDGE in line]


def test_a_pool_as_text(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, ["thin", "picture", "--width", "61", "--rows", "2", str(pool)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "62.5 MiB of data in 1000 blocks of 64 KiB"
    assert lines[2] == "31.3 MiB (50 %) mapped, 31.2 MiB of it shared, in runs of 15.7 MiB on average"
    grids = list_rows(lines)
    assert [len(grid) for grid in grids] == [50, 50] * 3
    assert grids[0] == "█" * 50
    assert grids[1] == " " * 20 + "░" + " " * 29
    assert grids[2] == "█" * 50
    assert grids[3] == "·" * 20 + " " + "·" * 29
    legend = ["[ ] 0 %   [░] to 33 %   [▒] to 67 %", "[▓] below 100 %   [█] 100 %   [·] nothing mapped"]
    assert [line.strip() for line in lines[-4:-2]] == legend
    assert lines[-1] == "a cell is 10 blocks of 64 KiB, row by row from the left"
    assert max(map(len, lines[3:])) == 61


def test_a_device_as_text(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, ["era", "picture", "--width", "61", "--rows", "2", str(device)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert list_rows(lines) == ["░" * 50, "·" * 40 + "█" * 10]
    legend = "   ".join(line.strip() for line in lines[-4:-2])
    assert legend == "[░] era 3   [▒] era 4   [▓] era 5   [█] eras 6 to 7   [·] never written"


def test_a_device_that_was_never_written_has_no_eras_to_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fresh.img"
    path.write_bytes(write_era_metadata([0] * 5, current=set()))
    assert run(drystone, ["era", "picture", str(path)]) == 0
    out = capsys.readouterr().out
    assert "       0 │·····│\n          [·] never written\n" in out
    assert "era 0" not in out


def test_a_pool_without_data_has_no_panels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.img"
    path.write_bytes(write_thin_metadata({}, nr_data_blocks=0))
    assert run(drystone, ["thin", "picture", str(path)]) == 0
    assert capsys.readouterr().out.endswith("nothing mapped\n\nthere are no blocks to draw\n")
    assert run(drystone, ["thin", "picture", "--png", str(tmp_path / "none.png"), str(path)]) == 0


@pytest.mark.parametrize(("term", "coloured"), [("xterm-256color", True), ("xterm", False), ("dumb", False)])
def test_colours_only_where_there_are_enough(
    term: str, pool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, coloured: bool
) -> None:
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", term)
    arguments = ["thin", "picture", "--width", "61", "--rows", "4", str(pool)]
    assert run(drystone, arguments) == 0
    out = capsys.readouterr().out
    assert ("\x1b[38;5;" in out, "[█] 100 %" in out) == (coloured, not coloured)
    assert len(list_rows(out.splitlines())) == (2 if coloured else 4) * 3
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(drystone, arguments) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_an_output_that_has_no_such_characters_gets_others(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    assert run(drystone, ["thin", "picture", "--width", "61", "--rows", "2", str(pool)]) == 0
    lines = raw.getvalue().decode().splitlines()
    assert f"       0 |{'#' * 50}|" in lines
    assert any("[#] 100 %   [-] nothing mapped" in line for line in lines)


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


@pytest.mark.parametrize("nr_blocks", [1, 5, 191, 192, 193, 5000])
def test_a_png_is_as_high_as_its_cells_ask_for(nr_blocks: int, tmp_path: Path) -> None:
    source, target = tmp_path / "pool.img", tmp_path / "picture.png"
    source.write_bytes(write_thin_metadata({1: {0: 0}}, nr_data_blocks=nr_blocks))
    assert run(drystone, ["thin", "picture", "--png", str(target), str(source)]) == 0
    with Image.open(target) as image:
        counts = {colour: count for count, colour in image.convert("RGB").getcolors(1 << 20) or []}
        cells = min(nr_blocks, 192 * 24)
        side = min(24, 192 * 6 // min(cells, 192))
        # all but the first cell are nothing in two panels; the legend has two more of that
        assert counts.get(NOTHING, 0) - 2 * 21 * 13 == 2 * (cells - 1) * side * side
        assert image.height == 134 + 3 * (96 + -(-cells // 192) * side)


def test_a_long_path_loses_its_middle_in_a_png(pool: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200) / "pool.img"
    deep.parent.mkdir()
    deep.write_bytes(pool.read_bytes())
    target = tmp_path / "picture.png"
    assert run(drystone, ["thin", "picture", "--png", str(target), str(deep)]) == 0
    with Image.open(target) as image:
        margin = image.crop((image.width - 20, 0, image.width, 40)).getcolors() or []
    assert [colour for _, colour in margin] == [(255, 255, 255)]


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
    ("size", "text"),
    [(0, "0 B"), (512, "512 B"), (65536, "64 KiB"), (1 << 20, "1 MiB"), (3 << 29, "1.5 GiB"), (104_850_000, "100 MiB")],
)
def test_sizes_are_spelt_in_the_largest_unit(size: int, text: str) -> None:
    assert spell_size(size) == text
    assert len(text) <= LABEL

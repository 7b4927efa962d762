"""`era changed` and `thin changed` of metadata in files. Active devices are asked in a guest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from drystone.base.errors import DamagedError, DrystoneError, MismatchError, NotFoundError
from drystone.cli.era import era
from drystone.cli.thin import thin
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.era_metadata import Held, write_era_metadata
from drystone.testing.thin_metadata import write_thin_metadata


def run(group: object, *words: str) -> str:
    result = CliRunner().invoke(group, words, obj=SimulatedDeviceMapper())  # type: ignore[arg-type]
    if isinstance(result.exception, DrystoneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def eras(tmp_path: Path) -> str:
    """Era 5 is the current one, with a writeset; a snapshot of era 4 is held."""
    held = Held([1, 0, 2, 0], {3: {3}}, 4)
    path = tmp_path / "eras"
    path.write_bytes(write_era_metadata([1, 0, 2, 3], {4: {1}}, current_era=5, current={0}, held=held))
    return str(path)


def test_everything_counts_that_was_written(eras: str) -> None:
    answer = json.loads(run(era, "changed", "--since", "3", eras, "--json"))
    assert (answer["next_era"], answer["size"], answer["block_size"], answer["blocks"]) == (6, None, 65536, 4)
    assert answer["ranges"] == [[0, 2 * 65536], [3 * 65536, 65536]]
    assert run(era, "changed", "--since", "5", eras) == "0 65536\n"
    assert run(era, "changed", "--since", "6", eras) == ""
    with pytest.raises(MismatchError, match="era 7 has not come yet"):
        run(era, "changed", "--since", "7", eras)


def test_the_held_snapshot(eras: str) -> None:
    answer = json.loads(run(era, "changed", "--since", "3", "-m", eras, "--json"))
    assert (answer["next_era"], answer["ranges"]) == (4, [[3 * 65536, 65536]])


def test_the_difference_of_thin_devices(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    held = {1: {0: 10}, 2: {0: 10, 5: 12}}
    path.write_bytes(write_thin_metadata({1: {0: 10, 1: 11}, 2: {0: 10, 1: 13}}, held=held, nr_data_blocks=100))
    assert run(thin, "changed", "1", "2", str(path)) == "65536 65536\n"
    answer = json.loads(run(thin, "changed", "1", "2", "-m", str(path), "--json"))
    assert (answer["first"], answer["second"], answer["ranges"]) == (1, 2, [[5 * 65536, 65536]])
    with pytest.raises(NotFoundError, match="no thin device 9"):
        run(thin, "changed", "1", "9", str(path))


def test_what_is_no_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError):
        run(era, "changed", "--since", "1", "nothing")
    with pytest.raises(NotFoundError, match="there is no /nothing"):
        run(era, "changed", "--since", "1", "/nothing")
    (tmp_path / "text").write_bytes(b"text" * 5000)
    for group, words in ((era, ["--since", "1"]), (thin, ["1", "2"])):
        with pytest.raises(DamagedError):
            run(group, "changed", *words, "text")
        (tmp_path / "short").write_bytes(b"x")
        with pytest.raises(DamagedError):
            run(group, "changed", *words, "short")

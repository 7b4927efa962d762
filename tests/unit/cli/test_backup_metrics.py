"""`--metrics FILE`: what is in the file after a success, and after a failure."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from prometheus_client.parser import text_string_to_metric_families

from drystone.base.errors import DamagedError, NotFoundError, UsageError
from drystone.cli.backup.metrics import measured


def read(path: Path) -> dict[str, float]:
    samples = [each for family in text_string_to_metric_families(path.read_text()) for each in family.samples]
    assert all(each.labels == {"command": "create", "source": 'a "b"\\'} for each in samples)
    return {each.name.removeprefix("drystone_backup_"): each.value for each in samples}


def run(path: Path, error: BaseException | None = None, **values: float) -> None:
    with measured(path, command="create", source='a "b"\\') as measures:
        measures.values |= values
        if error is not None:
            raise error


def test_a_run_is_told(tmp_path: Path) -> None:
    path = tmp_path / "drystone.prom"
    run(path, read_bytes=5, stored_bytes=2**40)
    found = read(path)
    assert found["last_run_success"] == 1
    assert found["last_run_exit_code"] == 0
    assert found["read_bytes"] == 5
    assert found["stored_bytes"] == 2**40
    assert found["last_success_timestamp_seconds"] == found["last_run_timestamp_seconds"] > 1.7e9
    assert found["last_run_duration_seconds"] >= 0
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["drystone.prom"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DamagedError("x"), 10),
        (KeyboardInterrupt(), 130),
        (SystemExit(143), 143),
        (click.exceptions.Exit(130), 130),
        (ValueError(), 70),
        (OSError(28, "x"), 8),
    ],
)
def test_a_failure_keeps_the_time_of_the_last_success(error: BaseException, code: int, tmp_path: Path) -> None:
    path = tmp_path / "drystone.prom"
    run(path)
    before = read(path)["last_success_timestamp_seconds"]
    with pytest.raises(type(error)):
        run(path, error)
    found = read(path)
    assert found["last_run_success"] == 0
    assert found["last_run_exit_code"] == code
    assert found["last_success_timestamp_seconds"] == before


@pytest.mark.parametrize(
    "old", [None, b"\xff\xfe", b"nonsense {", b"drystone_backup_last_success_timestamp_seconds 5\n"]
)
def test_a_failure_without_a_success_before(old: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "drystone.prom"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(DamagedError):
        run(path, DamagedError("x"))
    assert "last_success_timestamp_seconds" not in read(path)


def test_a_file_that_is_too_long_for_ours_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "drystone.prom"
    run(path)
    path.write_text("# words\n" * (1 << 18) + path.read_text())
    with pytest.raises(DamagedError):
        run(path, DamagedError("x"))
    assert "last_success_timestamp_seconds" not in read(path)


def test_a_folder_that_is_not_there_is_told_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError), measured(tmp_path / "none" / "file", command="create"):
        raise AssertionError("it ran")


def test_a_file_that_cannot_be_written_does_not_fail_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with measured(tmp_path / "folder", command="create", source="x"):
        (tmp_path / "folder").mkdir()
    assert "the metrics cannot be written" in capsys.readouterr().err


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="no plain file"):
        run(tmp_path / "fifo", ValueError())
    assert (tmp_path / "fifo").is_fifo()

"""A session is recorded, and repeated where there is no device any more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DVM = f"{sys.executable} -m drystone.cli.dvm"


def shell(folder: Path, line: str, *, code: int = 0) -> str:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == code, (line, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A group over one file, made in a session that was recorded in `log`."""
    tmp_path = tmp_path_factory.mktemp("session")
    with (tmp_path / "disk").open("xb") as file:
        file.truncate(64 << 20)
    (tmp_path / "dvm.toml").write_text('[discover]\ndevices = false\nfiles = ["disk"]\n')
    # The mutator behind `--` is recorded when it is called dvm.
    (tmp_path / "dvm").write_text(f'#!/bin/sh\nexec {DVM} "$@"\n')
    (tmp_path / "dvm").chmod(0o755)
    record = f"{DVM} record log"
    for line in (
        f"{record} discover add vg disk -c dvm.toml",
        f"{record} discover find vg -c dvm.toml > devices",
        f"{record} metadata init --devices devices > first",
        f"{record} transact expand vg --devices=devices --metadata first",
        f"{record} discover find vg -c dvm.toml | {record} transact update vg -- ./dvm metadata create --size 8m db",
        f"{record} discover find vg -c dvm.toml | {record} transact read vg | {record} report > report",
    ):
        shell(tmp_path, line)
    return tmp_path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_a_session_is_repeated_without_its_devices(folder: Path) -> None:
    runs = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    tools = sorted(" ".join(run["argv"][:2]) for run in runs)
    assert tools.count("discover find") == 3
    assert "metadata create" in tools
    report = next(run for run in runs if run["argv"][0] == "report")
    read = next(run for run in runs if run["argv"][:2] == ["transact", "read"])
    assert report["stdin"] == read["stdout"]
    assert report["stdout"] == (folder / "report").read_text()
    (folder / "disk").unlink()
    (folder / "devices").unlink()
    told = json.loads(shell(folder, f"{DVM} replay log"))
    assert (told["same"], told["different"]) == (3, 0)
    assert told["recorded"] == len(runs) - 3


def test_another_answer_is_told(folder: Path) -> None:
    text = (folder / "log").read_text()
    assert '"name": "db"' in text.replace('\\"', '"')
    (folder / "log").write_text(text.replace('\\"db\\"', '\\"dc\\"', 1))
    told = json.loads(shell(folder, f"{DVM} replay log", code=11))
    assert "answer otherwise" in told["message"]


def test_exit_codes_and_outputs_are_passed_on(folder: Path) -> None:
    told = json.loads(shell(folder, f"{DVM} record log discover find nothing -c dvm.toml", code=3))
    assert told["code"] == "not-found"
    last = json.loads((folder / "log").read_text().splitlines()[-1])
    assert last["exit"] == 3
    assert json.loads(last["stderr"]) == told
    assert list(last["files"]) == ["dvm.toml"]


def test_a_log_that_cannot_be_written_stops_before_the_tool(folder: Path) -> None:
    (folder / "devices").write_text("before")
    told = json.loads(shell(folder, f"{DVM} record /nowhere/log discover rm vg disk -c dvm.toml", code=12))
    assert told["errno_name"] == "ENOENT"
    shell(folder, f"{DVM} discover find vg -c dvm.toml")

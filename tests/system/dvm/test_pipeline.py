"""The tools as processes, in a shell's pipe; two at once; and ended in the middle."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DVM = f"{sys.executable} -m drystone.cli.dvm"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files, a configuration, and a group `vg` over them with the metadata {"n": 0}."""
    tmp_path = tmp_path_factory.mktemp("group")
    for name in ("one", "two", "three"):
        with (tmp_path / name).open("xb") as file:
            file.truncate(4 << 20)
    files = json.dumps(["one", "two", "three"])
    (tmp_path / "dvm.toml").write_text(f"[common]\nwait_s = 20\n[discover]\ndevices = false\nfiles = {files}\n")
    (tmp_path / "first.json").write_text('{"n": 0}')
    for name in ("one", "two", "three"):
        shell(tmp_path, f"{DVM} discover add vg {name} -c dvm.toml")
    shell(tmp_path, f"{DVM} discover find vg -c dvm.toml | {DVM} transact expand vg --metadata first.json")
    return tmp_path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def shell(folder: Path, line: str, *, code: int = 0) -> str:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == code, (line, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def test_the_pipeline_of_three_tools(folder: Path) -> None:
    assert json.loads(shell(folder, f"{DVM} discover find vg -c dvm.toml | {DVM} transact read vg | cat")) == {"n": 0}
    mutator = f"""{sys.executable} -c 'import json, sys; d = json.load(sys.stdin); d["n"] += 1; print(json.dumps(d))'"""
    shell(folder, f"{DVM} discover find vg -c dvm.toml | {DVM} transact update vg -- {mutator}")
    assert json.loads(shell(folder, f"{DVM} discover find vg -c dvm.toml | {DVM} transact read vg")) == {"n": 1}


def test_errors_are_json_and_have_their_exit_codes(folder: Path) -> None:
    told = json.loads(shell(folder, f"{DVM} discover find nothing -c dvm.toml", code=3))
    assert told["code"] == "not-found"
    assert "there are: vg" in told["hint"]
    told = json.loads(shell(folder, f"echo '[]' | {DVM} transact read vg", code=2))
    assert told["code"] == "usage"
    (folder / "two").unlink()
    told = json.loads(shell(folder, f"{DVM} discover find vg -c dvm.toml | {DVM} transact read vg", code=11))
    assert [each["code"] for each in told["findings"]] == ["missing"]


def test_updates_at_once_are_one_after_the_other(folder: Path) -> None:
    devices = shell(folder, f"{DVM} discover find vg -c dvm.toml")
    (folder / "devices.json").write_text(devices)
    script = 'import json, sys, time; d = json.load(sys.stdin); time.sleep(0.1); d["n"] += 1; print(json.dumps(d))'
    words = [*DVM.split(), "transact", "update", "vg", "-c", "dvm.toml", "--devices", "devices.json", "--"]
    running = [
        subprocess.Popen([*words, sys.executable, "-c", script], cwd=folder, stdout=subprocess.DEVNULL)
        for _ in range(4)
    ]
    codes = [each.wait(60) for each in running]
    done = json.loads(shell(folder, f"{DVM} transact read vg --devices devices.json"))
    assert done == {"n": codes.count(0)}
    assert 0 in codes
    assert set(codes) <= {0, 5}


def test_an_update_that_is_killed_leaves_one_of_two_values(folder: Path) -> None:
    devices = shell(folder, f"{DVM} discover find vg -c dvm.toml")
    (folder / "devices.json").write_text(devices)
    words = [*DVM.split(), "transact", "update", "vg", "--devices", "devices.json", "--", "echo"]
    value = 0
    for turn in range(1, 6):
        process = subprocess.Popen([*words, f'{{"n": {turn}}}'], cwd=folder, stdout=subprocess.DEVNULL)
        time.sleep(0.15 + random.random() * 0.2)  # any moment will do
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        shell(folder, f"{DVM} transact recover vg --devices devices.json")
        found = json.loads(shell(folder, f"{DVM} transact read vg --devices devices.json"))["n"]
        assert found in (value, turn)
        value = found


def test_ctrl_c_while_a_mutator_thinks_changes_nothing(folder: Path) -> None:
    (folder / "devices.json").write_text(shell(folder, f"{DVM} discover find vg -c dvm.toml"))
    words = [*DVM.split(), "transact", "update", "vg", "--devices", "devices.json", "--"]
    script = "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(60)"
    process = subprocess.Popen([*words, sys.executable, "-c", script], cwd=folder, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (folder / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    shell(folder, f"{DVM} transact verify vg --devices devices.json")
    assert json.loads(shell(folder, f"{DVM} transact read vg --devices devices.json")) == {"n": 0}


def test_a_device_that_has_shrunk_is_told_and_left_behind(folder: Path) -> None:
    find = f"{DVM} discover find vg -c dvm.toml"
    with (folder / "two").open("r+b") as file:
        file.truncate(1 << 19)
    assert [note["code"] for note in json.loads(shell(folder, find))["notes"]] == ["resized"]
    told = json.loads(shell(folder, f"{find} | {DVM} transact read vg", code=11))
    assert "ends behind its device" in told["message"]
    shell(folder, f"{find} | {DVM} transact recover vg")
    assert json.loads(shell(folder, f"{find} | {DVM} transact read vg")) == {"n": 0}

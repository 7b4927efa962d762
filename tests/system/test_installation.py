"""The package as `pipx install` and `pip install` put it on a machine: built, and run away from its sources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SECONDS = 300


def build(folder: Path) -> Path:
    """A wheel of a copy of the sources."""
    copy = folder / "copy"
    copy.mkdir()
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=copy, check=True, capture_output=True, timeout=SECONDS)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that has the wheel, and what it depends on from the tests' own one."""
    folder = tmp_path_factory.mktemp("installed") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=SECONDS)
    python = folder / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=SECONDS)
    [packages] = (folder / "lib").glob("python*/site-packages")
    ours = [path for path in sys.path if path.endswith("-packages")]
    (packages / "parts.pth").write_text("\n".join(ours) + "\n")
    return folder / "bin"


def run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command away from the sources, in an environment that names none of ours."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DRYSTONE"))}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )


def test_the_wheel_has_whatever_lies_among_the_sources(wheel: Path) -> None:
    """Pages, migrations, units, types: what is missing shows only when somebody needs it."""
    held = set(ZipFile(wheel).namelist())
    files = (path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    wanted = {str(path.relative_to(ROOT / "src")) for path in files if not path.name.endswith((".so", ".part"))}
    assert len(wanted) > 500
    assert wanted - held == set()
    libraries = {name for name in held if name.endswith(".abi3.so")}
    assert {name.rpartition("/")[2] for name in libraries} == {"native.abi3.so", "calls.abi3.so"}


def test_it_runs_from_where_it_was_installed(installed: Path, tmp_path: Path) -> None:
    where = run([str(installed / "python"), "-c", "import drystone; print(drystone.__file__)"], tmp_path).stdout
    assert Path(where.strip()).is_relative_to(installed.parent)
    version = run([str(installed / "drystone"), "--version"], tmp_path)
    assert (version.returncode, "drystone" in version.stdout) == (0, True), version


@pytest.mark.parametrize("name", sorted({place: name for name, place in PROJECT["scripts"].items()}.values()))
def test_commands_are_there_and_have_their_help(name: str, installed: Path, tmp_path: Path) -> None:
    """One of each function; `dvm_*` are all the same one."""
    done = run([str(installed / name), "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def test_a_service_runs_from_it(installed: Path, tmp_path: Path) -> None:
    """It reads what lies in the package beside the modules: the catalogue's migrations."""
    convoy = [str(installed / "convoy"), "--socket", str(tmp_path / "s")]
    (tmp_path / "volumes").mkdir()
    drivers = ["--drivers", "vfs", "--driver-opts", f"vfs.path={tmp_path}/volumes"]
    command = [*convoy, "daemon", "--root", str(tmp_path / "root"), *drivers]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as daemon:
        try:
            while run([*convoy, "info"], tmp_path).returncode:
                assert daemon.poll() is None
                time.sleep(0.1)
            made = run([*convoy, "create", "data"], tmp_path)
            assert made.returncode == 0, made
            assert list(json.loads(run([*convoy, "list"], tmp_path).stdout)) == [made.stdout.strip()]
        finally:
            daemon.terminate()
    assert daemon.returncode == 0

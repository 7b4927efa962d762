"""`dvm transact update -- dvm metadata ...`: the mutator is a process; Python is started for it only if it must be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """\
#!{python}
import atexit, sys
def note(word):
    with open({note!r}, "a") as stream:
        stream.write(word + " ")
note("started")
atexit.register(lambda: [note(name) for name in ("subprocess", "numpy") if name in sys.modules])
from drystone.cli.dvm import main
main()
"""


class Machine:
    """A group on a plain file, and two programs `dvm` in folders of their own that note their starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.note = folder / "note"
        for name in ("here", "there"):
            (folder / name).mkdir()
            program = folder / name / "dvm"
            program.write_text(_PROGRAM.format(python=sys.executable, note=str(self.note)))
            program.chmod(0o755)
        self.disk = folder / "disk"
        self.disk.touch()
        os.truncate(self.disk, 16 << 20)
        self.devices = folder / "devices.json"
        found = self.run("discover", "add", "vg", "--file", str(self.disk), str(self.disk)).stdout
        self.devices.write_bytes(found)
        first = folder / "first.json"
        first.write_bytes(self.run("metadata", "init", "--devices", str(self.devices)).stdout)
        self.run("transact", "expand", "vg", "--devices", str(self.devices), "--metadata", str(first))

    def run(self, *words: str, path: str = "here", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run `here/dvm`, with the `dvm` of the folder `path` first on PATH."""
        self.note.unlink(missing_ok=True)
        environment = {**os.environ, "PATH": f"{self.folder / path}:{os.defpath}"}
        program = str(self.folder / "here" / "dvm")
        return subprocess.run([program, *words], capture_output=True, env=environment, check=check, timeout=120)

    def update(self, *mutator: str, path: str = "here", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """`transact update` with that mutator."""
        words = ("transact", "update", "vg", "--devices", str(self.devices), "--", *mutator)
        return self.run(*words, path=path, check=check)

    @property
    def starts(self) -> int:
        """How often Python was started by the last run."""
        return self.noted.count("started")

    @property
    def noted(self) -> list[str]:
        """A word for each start of Python by the last run, and for each module that was loaded at an end."""
        return self.note.read_text().split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_mutator_of_the_same_program_starts_no_python(machine: Machine) -> None:
    told = json.loads(machine.update("dvm", "metadata", "create", "data", "--size", "4m").stdout)
    assert told["changed"]
    assert machine.noted == ["started"]


def test_another_program_of_that_name_is_started(machine: Machine) -> None:
    told = json.loads(machine.update("dvm", "metadata", "create", "data", "--size", "4m", path="there").stdout)
    assert (told["changed"], machine.starts) == (True, 2)


@pytest.mark.parametrize("path", ["here", "there"])
def test_its_failure_is_told_in_the_same_words(machine: Machine, path: str) -> None:
    done = machine.update("dvm", "metadata", "remove", "nothing", path=path, check=False)
    told = json.loads(done.stderr)
    assert (done.returncode, told["code"], told["exit"]) == (3, "not-found", 3)
    assert told["message"].startswith("dvm metadata remove nothing: ")
    wrong = machine.update("dvm", "metadata", "create", path=path, check=False)
    assert (wrong.returncode, json.loads(wrong.stderr)["code"]) == (2, "usage")

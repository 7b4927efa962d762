"""The files for systemd: rendered, written, run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from drystone.base.errors import ExistsError, NotFoundError, UsageError
from drystone.dvm.boot.install import GENERATOR, SERVER, TABLE, UNIT, UNITS, install, render

PROGRAM = shutil.which("true") or "/bin/true"


class Machine:
    """A folder that stands for a machine's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units = root / "generated"
        self.units.mkdir()
        self.command_line = root / "cmdline"
        self.command_line.write_text("quiet splash\n")
        install(str(root), PROGRAM)

    def generate(self, table: str) -> tuple[int, str]:
        """Run the generator over a table; its exit code and what it complains of."""
        file = self.root / TABLE.lstrip("/")
        file.write_text(table)
        done = subprocess.run(
            ["sh", str(self.root / "etc/systemd/system-generators" / GENERATOR), str(self.units)],
            env={"PATH": "/usr/bin:/bin", "DRYSTONE_DVMTAB": str(file), "SYSTEMD_PROC_CMDLINE": str(self.command_line)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    def wanted(self) -> list[str]:
        return sorted(each.name for each in (self.units / "local-fs.target.wants").glob("*"))

    def options(self, group: str) -> str:
        lines = (self.units / f"drystone-dvm@{group}.service.d" / "50-dvmtab.conf").read_text().splitlines()
        return next(line for line in lines if line.startswith("Environment="))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_files_are_written_once(machine: Machine, tmp_path: Path) -> None:
    unit = tmp_path / UNITS.lstrip("/") / UNIT
    assert f"ExecStart={PROGRAM} $DVM_CONFIG activate --text $DVM_OPTIONS %i" in unit.read_text()
    assert "@" not in unit.read_text().replace(UNIT, "").replace("drystone-dvm@", "")
    (tmp_path / TABLE.lstrip("/")).write_text("mine\n")
    assert {each.state for each in install(str(tmp_path), PROGRAM).files} == {"same", "kept"}
    server = (tmp_path / UNITS.lstrip("/") / SERVER[1]).read_text()
    assert f"ExecStart={PROGRAM} serve\n" in server
    unit.write_text("somebody's\n")
    with pytest.raises(ExistsError, match=r"drystone-dvm@\.service is there"):
        install(str(tmp_path), PROGRAM)
    assert unit.read_text() == "somebody's\n"
    assert install(str(tmp_path), PROGRAM, overwrite=True, dry_run=True).files[0].state == "replaced"
    assert unit.read_text() == "somebody's\n"
    install(str(tmp_path), PROGRAM, overwrite=True)
    assert PROGRAM in unit.read_text()
    assert (tmp_path / TABLE.lstrip("/")).read_text() == "mine\n"


def test_what_cannot_be_installed(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        install(str(tmp_path / "nowhere"), PROGRAM)
    for program in ("dvm", "/a b/dvm", "/a%b/dvm", "/a;b"):
        with pytest.raises(UsageError, match="cannot stand in a unit"):
            render(UNIT, program)


def test_a_line_is_a_unit_with_its_options(machine: Machine) -> None:
    table = (
        "# all\nvg partial,wait=30\n\nother\noff noauto\nthree config=/etc/dvm.toml,only=db,only=home\nlast defaults"
    )
    assert machine.generate(table) == (0, "")
    assert machine.wanted() == [f"drystone-dvm@{name}.service" for name in ("last", "other", "three", "vg")]
    assert machine.options("vg") == 'Environment=DVM_CONFIG= "DVM_OPTIONS=--partial --wait=30"'
    expected = 'Environment=DVM_CONFIG=--config=/etc/dvm.toml "DVM_OPTIONS=--only=db --only=home"'
    assert machine.options("three") == expected
    assert machine.options("last") == 'Environment=DVM_CONFIG= "DVM_OPTIONS="'


@pytest.mark.parametrize(
    "line",
    ["../vg", "v/g", "vg$(touch x)", "vg partial wait=3", "vg what", "vg wait=", "vg wait=a", "vg only=",
     "vg config=x", 'vg only=a"b', "vg only=$HOME", "-vg", "vg only=`id`", "vg only=a\\nb", "vg only=a%i"],
)  # fmt: skip
def test_a_line_that_cannot_be_is_named_and_the_others_are_done(machine: Machine, line: str) -> None:
    code, complaint = machine.generate(f"one\n{line}\ntwo\n")
    assert code == 1
    assert line.split(maxsplit=1)[0] in complaint
    assert machine.wanted() == ["drystone-dvm@one.service", "drystone-dvm@two.service"]


def test_nothing_to_do(machine: Machine) -> None:
    machine.command_line.write_text("quiet drystone.dvm=0\n")
    assert machine.generate("vg\n") == (0, "")
    assert machine.wanted() == []
    machine.command_line.unlink()
    assert machine.generate("# nobody\n") == (0, "")
    assert machine.wanted() == []


def test_systemd_takes_the_units(machine: Machine, tmp_path: Path) -> None:
    assert machine.generate("vg partial,wait=30\n") == (0, "")
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        assert "[Service]" in render(UNIT, PROGRAM).decode()  # systemd is not on every machine that runs the tests
        return
    # As systemd finds them: the unit, and the generator's folder beside it.
    whole = tmp_path / "whole"
    shutil.copytree(machine.units, whole, symlinks=True)
    for name in (UNIT, *SERVER):
        shutil.copy(tmp_path / UNITS.lstrip("/") / name, whole)
    done = subprocess.run(
        [analyze, "verify", "--man=no", *(str(whole / name) for name in ("drystone-dvm@vg.service", *SERVER))],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{whole}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "drystone-dvm" not in done.stderr
    assert done.returncode == 0, done.stderr

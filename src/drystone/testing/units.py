"""Checks of the units of a room's servers: their commands, their configurations, and that systemd takes them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import msgspec
from click.testing import CliRunner

from drystone.base.configuration import load
from drystone.base.errors import UsageError
from drystone.base.installing import UNITS, Service, install_services

PROGRAM = shutil.which("true") or "/bin/true"
"""Stands for drystone."""


def check_command(service: Service, group: click.Group, role: str) -> dict[str, Any]:
    """A unit calls the command `role` of a group, as that can be called; what the command is given.

    :raises AssertionError: it does not.
    """
    text = service.render(PROGRAM).decode()
    assert "@" not in text
    line = next(each for each in text.splitlines() if each.startswith("ExecStart="))
    words = shlex.split(line.removeprefix("ExecStart="))
    assert words[:3] == [PROGRAM, group.name, role]
    command = group.get_command(click.Context(group), role)
    assert command is not None
    given = command.make_context(role, words[3:]).params
    assert given["config"] is not None
    return given


def check_configuration(service: Service, kind: type[msgspec.Struct], folder: Path) -> None:
    """What is to be filled in says nothing yet, and shows settings that there are.

    :param kind: of the settings; unknown ones are refused. :param folder: empty.
    :raises AssertionError, UsageError: it is not so.
    """
    install_services(str(folder), PROGRAM, [service])
    text = (folder / service.configuration.lstrip("/")).read_text()
    assert tomllib.loads(text) == {}
    shown = "\n".join(each.removeprefix("# ") for each in text.splitlines()[1:])
    assert tomllib.loads(shown)
    (folder / "shown.toml").write_text(shown)
    load(kind, folder / "shown.toml", {}, "server", hint="")


def check_boot(boot: click.Command, service: Service, role: str, folder: Path) -> None:
    """`boot` refuses a program that cannot stand in a unit, writes what was asked for, and keeps what was filled in.

    :param role: as `boot` is told it. :param folder: empty. :raises AssertionError: it does not.
    """
    words = [role, "--root", str(folder), "--program", PROGRAM, "--json"]
    refused = CliRunner().invoke(boot, [role, "--root", str(folder), "--program", "/a b/drystone"]).exception
    assert isinstance(refused, UsageError)
    assert "cannot stand in a unit" in refused.message
    first = CliRunner().invoke(boot, [*words, "--dry-run"])
    assert (first.exit_code, list(folder.iterdir())) == (0, [])
    found = msgspec.json.decode(CliRunner().invoke(boot, words).stdout)
    assert [(each["path"], each["state"]) for each in found] == [
        (f"{folder}{UNITS}/{service.unit}", "new"),
        (f"{folder}{service.configuration}", "new"),
    ]
    (folder / service.configuration.lstrip("/")).write_text('filled = "in"\n')
    again = msgspec.json.decode(CliRunner().invoke(boot, words).stdout)
    assert [each["state"] for each in again] == ["same", "kept"]
    assert "kept" in CliRunner().invoke(boot, words[:-1]).stdout


def check_systemd(service: Service, folder: Path) -> None:
    """systemd finds nothing wrong with the unit, where it is installed: it is not on every machine that runs tests.

    :raises AssertionError: it does.
    """
    install_services(str(folder), PROGRAM, [service])
    unit = folder / UNITS.lstrip("/") / service.unit
    assert unit.read_text().startswith("# ")
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{unit.parent}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "drystone" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr

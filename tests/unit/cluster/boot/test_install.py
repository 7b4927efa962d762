"""The cluster's units: rendered, written, taken by systemd."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from drystone.base.errors import UsageError
from drystone.base.installing import UNITS, install_services
from drystone.cli.cluster.boot import boot
from drystone.cli.cluster.command import cluster
from drystone.cli.cluster.configuration import (
    ApiConfiguration,
    DpvConfiguration,
    IhostConfiguration,
    MonitorConfiguration,
)
from drystone.cluster.boot.install import ROLES, Role, describe

PROGRAM = shutil.which("true") or "/bin/true"
SETTINGS: dict[Role, type[msgspec.Struct]] = {
    "api": ApiConfiguration,
    "monitor": MonitorConfiguration,
    "dpv": DpvConfiguration,
    "ihost": IhostConfiguration,
}


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_calls_a_command_that_there_is(role: Role) -> None:
    text = describe(role).render(PROGRAM).decode()
    assert "@" not in text
    line = next(each for each in text.splitlines() if each.startswith("ExecStart="))
    words = shlex.split(line.removeprefix("ExecStart="))
    assert words[:3] == [PROGRAM, "cluster", role]
    command = cluster.get_command(None, role)  # type: ignore[arg-type]  # it looks at the name only
    assert command is not None
    assert command.make_context(role, words[3:]).params["config"] is not None
    with pytest.raises(UsageError, match="cannot stand in a unit"):
        describe(role).render("/a b/drystone")


@pytest.mark.parametrize("role", ROLES)
def test_the_configuration_shows_settings_that_there_are(role: Role, tmp_path: Path) -> None:
    install_services(str(tmp_path), PROGRAM, [describe(role)])
    text = (tmp_path / f"etc/drystone/cluster-{role}.toml").read_text()
    assert tomllib.loads(text) == {}
    shown = tomllib.loads("\n".join(each.removeprefix("# ") for each in text.splitlines()[1:]))
    assert shown
    assert set(shown) <= set(SETTINGS[role].__struct_fields__)
    msgspec.convert(shown, SETTINGS[role], strict=False, dec_hook=lambda kind, value: kind(value))


def test_the_command_writes_what_was_asked_for_and_keeps_what_was_filled_in(tmp_path: Path) -> None:
    words = ["dpv", "--root", str(tmp_path), "--program", PROGRAM, "--json"]
    first = CliRunner().invoke(boot, [*words, "--dry-run"])
    assert (first.exit_code, list(tmp_path.iterdir())) == (0, [])
    found = msgspec.json.decode(CliRunner().invoke(boot, words).stdout)
    assert [(each["path"], each["state"]) for each in found] == [
        (f"{tmp_path}{UNITS}/drystone-cluster-dpv.service", "new"),
        (f"{tmp_path}/etc/drystone/cluster-dpv.toml", "new"),
    ]
    (tmp_path / "etc/drystone/cluster-dpv.toml").write_text('disk = "/dev/sdb"\n')
    again = msgspec.json.decode(CliRunner().invoke(boot, words).stdout)
    assert [each["state"] for each in again] == ["same", "kept"]
    assert "kept" in CliRunner().invoke(boot, words[:-1]).stdout


@pytest.mark.parametrize("role", ROLES)
def test_systemd_takes_the_units(role: Role, tmp_path: Path) -> None:
    install_services(str(tmp_path), PROGRAM, [describe(role)])
    unit = tmp_path / UNITS.lstrip("/") / describe(role).unit
    assert unit.read_text().startswith("# ")
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # systemd is not on every machine that runs the tests
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{unit.parent}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "drystone" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr

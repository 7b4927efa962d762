"""The volume daemon's unit and Docker's file: rendered, written, taken by systemd."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec
from click.testing import CliRunner

from drystone.base.installing import UNITS, install_services
from drystone.cli.convoy import DEFAULT_SOCKET
from drystone.cli.volume import volume
from drystone.cli.volume.daemon import daemon
from drystone.volumes.boot.install import CONFIGURATION, PLUGIN, SOCKET, UNIT, describe

PROGRAM = shutil.which("true") or "/bin/true"


def daemon_words(options: str) -> list[str]:
    """What systemd makes of the unit's line and the options of the configuration."""
    text = describe().render(PROGRAM).decode()
    assert "@" not in text
    line = next(each for each in text.splitlines() if each.startswith("ExecStart="))
    words = shlex.split(line.removeprefix("ExecStart="))
    assert words[:3] == [PROGRAM, "volume", "daemon"]
    assert words[-1] == "$OPTIONS"
    return words[3:-1] + options.split()


def test_the_unit_and_each_example_call_a_daemon_that_there_is(tmp_path: Path) -> None:
    install_services(str(tmp_path), PROGRAM, [describe()])
    lines = (tmp_path / CONFIGURATION.lstrip("/")).read_text().splitlines()
    assert all(each.startswith("# ") for each in lines), "nothing is set"
    examples = [each.removeprefix("# OPTIONS=") for each in lines if each.startswith("# OPTIONS=")]
    assert len(examples) == 2
    for example in examples:
        found = daemon.make_context("daemon", daemon_words(example)).params
        assert found["socket"] == SOCKET
        assert found["drivers"]
        assert found["driver_opts"]
    assert f"/var{SOCKET}" == DEFAULT_SOCKET


def test_docker_finds_the_socket_where_it_is_asked_for(tmp_path: Path) -> None:
    words = ["boot", "--root", str(tmp_path), "--program", PROGRAM, "--json"]
    assert CliRunner().invoke(volume, [*words, "--docker", "--dry-run"]).exit_code == 0
    assert list(tmp_path.iterdir()) == []
    found = msgspec.json.decode(CliRunner().invoke(volume, words).stdout)
    assert [each["path"] for each in found] == [f"{tmp_path}{UNITS}/{UNIT}", f"{tmp_path}{CONFIGURATION}"]
    again = msgspec.json.decode(CliRunner().invoke(volume, [*words, "--docker"]).stdout)
    assert [each["state"] for each in again] == ["same", "kept", "new"]
    assert (tmp_path / PLUGIN.lstrip("/")).read_text() == f"unix://{SOCKET}\n"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    install_services(str(tmp_path), PROGRAM, [describe()])
    unit = tmp_path / UNITS.lstrip("/") / UNIT
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{unit.parent}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "drystone" in done.stderr) == (0, False), done.stderr

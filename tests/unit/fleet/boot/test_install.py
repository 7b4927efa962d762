"""The fleet's units: rendered, written, taken by systemd."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from drystone.cli.fleet.boot import boot
from drystone.cli.fleet.command import fleet
from drystone.fleet.boot.install import ROLES, SECRET, Role, describe
from drystone.fleet.mapping.settings import MapperSettings
from drystone.fleet.storage.settings import StorageSettings
from drystone.testing.units import PROGRAM, check_boot, check_command, check_configuration, check_systemd

SETTINGS: dict[Role, type[msgspec.Struct]] = {"mapper": MapperSettings, "storage": StorageSettings}


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_calls_a_command_that_there_is(role: Role) -> None:
    assert check_command(describe(role), fleet, role)["secret"] is not None


@pytest.mark.parametrize("role", ROLES)
def test_the_configuration_shows_settings_that_there_are(role: Role, tmp_path: Path) -> None:
    check_configuration(describe(role), SETTINGS[role], tmp_path)


def test_the_command_writes_what_was_asked_for_and_keeps_what_was_filled_in(tmp_path: Path) -> None:
    check_boot(boot, describe("storage"), "storage", tmp_path)


@pytest.mark.parametrize("role", ROLES)
def test_systemd_takes_the_units(role: Role, tmp_path: Path) -> None:
    assert SECRET in describe(role).render(PROGRAM).decode()
    check_systemd(describe(role), tmp_path)

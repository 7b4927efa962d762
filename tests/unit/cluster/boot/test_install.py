"""The cluster's units: rendered, written, taken by systemd."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from drystone.cli.cluster.boot import boot
from drystone.cli.cluster.command import cluster
from drystone.cli.cluster.configuration import (
    ApiConfiguration,
    DpvConfiguration,
    IhostConfiguration,
    MonitorConfiguration,
)
from drystone.cluster.boot.install import ROLES, Role, describe
from drystone.testing.units import check_boot, check_command, check_configuration, check_systemd

SETTINGS: dict[Role, type[msgspec.Struct]] = {
    "api": ApiConfiguration,
    "monitor": MonitorConfiguration,
    "dpv": DpvConfiguration,
    "ihost": IhostConfiguration,
}


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_calls_a_command_that_there_is(role: Role) -> None:
    check_command(describe(role), cluster, role)


@pytest.mark.parametrize("role", ROLES)
def test_the_configuration_shows_settings_that_there_are(role: Role, tmp_path: Path) -> None:
    check_configuration(describe(role), SETTINGS[role], tmp_path)


def test_the_command_writes_what_was_asked_for_and_keeps_what_was_filled_in(tmp_path: Path) -> None:
    check_boot(boot, describe("dpv"), "dpv", tmp_path)


@pytest.mark.parametrize("role", ROLES)
def test_systemd_takes_the_units(role: Role, tmp_path: Path) -> None:
    check_systemd(describe(role), tmp_path)

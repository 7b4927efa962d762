"""A fleet of real processes for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.testing.fleet.processes import FleetProcesses


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcesses]:
    """Two storage servers with three disks each and a mapper, which the tests leave running and whole."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    with FleetProcesses(folder) as started:
        started.start()
        yield started

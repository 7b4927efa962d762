"""Kernel tests run inside a guest of the lab, one guest a module; those that drive guests themselves run here."""

from __future__ import annotations

from pathlib import Path

import pytest

_DRIVERS = {"driver", "guest", "lab_factory"}
"""Fixtures of tests that stand outside and drive guests."""
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents and not _DRIVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("in_guest")


@pytest.fixture
def driver() -> None:
    """Marks a test that drives guests from outside by other means than the fixtures."""

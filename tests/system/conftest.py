"""A browser for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from drystone.testing.browser import Launch, start_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Launch]:
    with start_chromium() as launch:
        yield launch


@pytest.fixture(scope="module")
def browser(chromium: Launch) -> Browser:
    """One for all visits with scripts."""
    return chromium()

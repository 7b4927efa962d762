"""Pages in Chromium, as Debian packages it: what they load, what goes wrong in them, whether they fit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, ViewportSize

CHROMIUM = Path("/usr/bin/chromium")
PHONE: ViewportSize = {"width": 360, "height": 740}
DESK: ViewportSize = {"width": 1280, "height": 900}
PATIENCE = 120_000
"""Milliseconds."""

Launch = Callable[..., "Browser"]
"""Starts a Chromium, with more words on its command line."""


@contextlib.contextmanager
def start_chromium() -> Iterator[Launch]:
    """What starts Chromium while the block runs; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright (PyPI) is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there (Debian package chromium)")
    with playwright.sync_playwright() as started, contextlib.ExitStack() as stack:

        def launch(*words: str) -> Browser:
            made = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", *words])
            stack.callback(made.close)
            return cast("Browser", made)

        yield launch


class Visit:
    """A page that is open. :ivar loaded: URLs that it asked for. :ivar wrong: errors, and dialogs that opened."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.loaded: list[str] = []
        self.wrong: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.loaded.append(request.url))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", self._refuse)
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        page.goto(url)

    def _refuse(self, dialog: Dialog) -> None:
        """A script that was somebody's name has run."""
        self.wrong.append(dialog.message)
        dialog.dismiss()

    def expect(self, text: str) -> None:
        """Wait until the page says something."""
        self.page.get_by_text(text).first.wait_for()

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        width: int = self.page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
        return width

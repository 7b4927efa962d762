"""The page as HTML."""

from __future__ import annotations

from pathlib import Path

from drystone.fleet.mapping.page.board import Board
from drystone.wire.page.templates import Templates

_MOST_HOSTS = 300
"""Hosts on the page; the document has all of them."""


class Look:
    """What browsers get. Files are read when they are first asked for."""

    def __init__(self) -> None:
        self._templates = Templates(Path(__file__).with_name("files"))

    @property
    def style(self) -> str:
        """The style sheet."""
        return self._templates.style

    @property
    def script(self) -> str:
        """The script that keeps the page up to date."""
        return self._templates.script

    def page(self, board: Board) -> str:
        """The whole page."""
        return self._templates.render("page.html", board=board, most=_MOST_HOSTS)

    def board(self, board: Board) -> str:
        """The part that changes."""
        return self._templates.render("board.html", board=board, most=_MOST_HOSTS)

    def headless(self) -> str:
        """The page of a mapper that knows no leader."""
        return self._templates.render("headless.html")

"""The page as HTML: Jinja2 over templates of our own, everything escaped."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from drystone.fleet.mapping.page import words
from drystone.fleet.mapping.page.board import Board

_FILES = Path(__file__).with_name("files")
_MOST_HOSTS = 300
"""Hosts on the page; the document has all of them."""


class Look:
    """What browsers get. Files are read when they are first asked for."""

    @cached_property
    def _environment(self) -> Environment:
        made = Environment(
            loader=FileSystemLoader(_FILES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        made.filters.update(
            seconds=words.spell_seconds, size=words.spell_size, moment=words.spell_moment, count=words.spell_count
        )
        return made

    @cached_property
    def style(self) -> str:
        """The style sheet."""
        return (_FILES / "page.css").read_text(encoding="utf-8")

    @cached_property
    def script(self) -> str:
        """The script that keeps the page up to date."""
        return (_FILES / "page.js").read_text(encoding="utf-8")

    def page(self, board: Board) -> str:
        """The whole page."""
        return self._environment.get_template("page.html").render(board=board, most=_MOST_HOSTS)

    def board(self, board: Board) -> str:
        """The part that changes."""
        return self._environment.get_template("board.html").render(board=board, most=_MOST_HOSTS)

    def headless(self) -> str:
        """The page of a mapper that knows no leader."""
        return self._environment.get_template("headless.html").render()

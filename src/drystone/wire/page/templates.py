"""Pages as HTML: Jinja2 over a service's own templates, everything escaped, with the style and the script of all pages.

A page has an element `board` with the part that changes. Its `data-from` is the path where the newest one is, its
`data-title` what the window is called before the page's summary; an element `live` says how old the page is.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from drystone.wire.page import words

_SHARED = Path(__file__).with_name("files")


def page_headers(*, has_forms: bool) -> dict[str, str]:
    """Headers of every answer: nothing is loaded from elsewhere, no script or style is in a page, nobody frames it.

    :param has_forms: its forms are sent to the server that it is from, and say so by `Origin`.
    """
    return {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
            f"base-uri 'none'; form-action '{'self' if has_forms else 'none'}'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        # Without a referrer browsers send `Origin: null` with a form (Fetch, "append a request Origin header").
        "Referrer-Policy": "same-origin" if has_forms else "no-referrer",
        "Cache-Control": "no-store",
    }


class Templates:
    """What browsers get of a service. Files are read when they are first asked for.

    :param folder: with its templates, and `page.css`, which follows the style of all pages.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _environment(self) -> Environment:
        made = Environment(
            loader=FileSystemLoader(self._folder),
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
        return "".join((each / "page.css").read_text(encoding="utf-8") for each in (_SHARED, self._folder))

    @cached_property
    def script(self) -> str:
        """The script that keeps a page up to date."""
        return (_SHARED / "page.js").read_text(encoding="utf-8")

    def render(self, template: str, **values: object) -> str:
        """A template of the folder with values."""
        return self._environment.get_template(template).render(**values)

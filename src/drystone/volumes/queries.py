"""The catalogue's SQL: named statements (sql/queries.sql) and numbered migrations (sql/0001.sql and on)."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z_]+)\n", re.MULTILINE)
_NUMBER = re.compile(r"[0-9]{4}\.sql")


@cache
def named() -> dict[str, str]:
    """Statement by name."""
    text = _folder().joinpath("queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return {name: statement.strip() for name, statement in zip(parts[::2], parts[1::2], strict=True)}


def migrations() -> list[str]:
    """The scripts, in order: the first makes version 1 out of an empty file."""
    names = sorted(each.name for each in _folder().iterdir() if _NUMBER.fullmatch(each.name))
    return [_folder().joinpath(name).read_text(encoding="utf-8") for name in names]


def _folder() -> resources.abc.Traversable:
    return resources.files("drystone.volumes").joinpath("sql")

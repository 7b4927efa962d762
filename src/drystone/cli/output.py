"""What every command prints: JSON for machines, a table for people, errors on stderr.

Imports click for options only.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""What click is told for every command and group (`context_settings`)."""


def json_option(function: Function) -> Function:
    """The flag `--json`, as the parameter `as_json`."""
    import click

    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(function)


def print_line(line: str, *, err: bool = False) -> None:
    """A line on stdout, or on stderr, at once.

    :raises OSError: it cannot be written.
    """
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{line}\n")
    stream.flush()


def print_json(document: object) -> None:
    """One JSON document, indented by two blanks, on stdout."""
    import json

    print_line(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain aligned table with a heading; nothing at all when stdout is no terminal and there are no rows."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [[name.upper() for name in columns], *cells]
    ]
    print_line("\n".join(lines))


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """`name  value` lines, aligned."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print_line(f"{name.ljust(width)}  {value}")


def tell(line: str) -> None:
    """A line on stderr. When it cannot be written it is lost: a full disk below a log must not end a backup."""
    with contextlib.suppress(OSError):
        print_line(line, err=True)


def print_error(document: dict[str, object], *, as_json: bool) -> None:
    """An error on stderr: its JSON object, or one line (and a line with the hint)."""
    if as_json:
        import json

        tell(json.dumps(document, ensure_ascii=False, default=str))
        return
    tell(f"drystone: {document['message']}")
    if hint := document.get("hint"):
        tell(f"  hint: {hint}")


def interactive() -> bool:
    """Whether stderr is a terminal, where progress may be drawn."""
    return sys.stderr.isatty()

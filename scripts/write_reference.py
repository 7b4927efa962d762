"""Writes the reference pages that are made from the code: exit codes, commands, schemas of documents.

Run it to write them; with `--check` it writes nothing and exits 1 when one is out of date, or when a link in the
documentation leads nowhere.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from drystone.base.errors import error_classes
from drystone.cli.cluster.dlvm import dlvm
from drystone.cli.convoy import convoy
from drystone.cli.dvm import dvm
from drystone.cli.main import drystone
from drystone.cli.pdata_tools import pdata_tools
from drystone.dvm.schemas import schema_files

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def exit_codes() -> str:
    """The page of exit codes, from the tree of errors."""
    lines = [
        "# Exit codes",
        "",
        "Every command of `drystone`, `dvm` and `dlvm` ends with one of these. With `--json` an error is one JSON",
        "object on stderr whose `code` is the word in the second column. `convoy` keeps Convoy's rule: 1 for any",
        "failure.",
        "",
        "| exit code | code | what it means | what to do |",
        "|---|---|---|---|",
        "| 0 | | It did what it was asked. | |",
    ]
    for kind in error_classes():
        meaning = (inspect.getdoc(kind) or "").splitlines()[0]
        meaning = meaning.split(". ")[0].rstrip(".") + "."
        lines.append(f"| {kind.exit_code} | `{kind.code}` | {meaning} | {kind.advice} |")
    lines.append("| 129, 143 | `interrupted` | SIGHUP, SIGTERM. | Nothing acknowledged is lost; run it again. |")
    lines.append("| 130 | `interrupted` | Ctrl-C. | Nothing acknowledged is lost; run it again. |")
    lines.append("| 141 | | The reader of its output went away. | |")
    return "\n".join(lines) + "\n"


def commands(root: click.Command, name: str) -> Iterator[str]:
    """Markdown for a command and all below it: the very text that `--help` prints."""
    context = click.Context(root, info_name=name, terminal_width=100, max_content_width=100)
    yield from _command(root, context, name)


def _command(command: click.Command, context: click.Context, path: str) -> Iterator[str]:
    yield f"## {path}\n\n```\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                below = click.Context(child, info_name=name, parent=context, terminal_width=100, max_content_width=100)
                yield from _command(child, below, f"{path} {name}")


def command_page(title: str, root: click.Command, name: str) -> str:
    """A whole page for one console script."""
    return f"# {title}\n\n" + "\n".join(commands(root, name))


def pages() -> dict[Path, str]:
    """Every generated page and what it must hold."""
    return {
        PAGES / "exit-codes.md": exit_codes(),
        PAGES / "drystone.md": command_page("The drystone command", drystone, "drystone"),
        PAGES / "dvm-command.md": command_page("The dvm command", dvm, "dvm"),
        PAGES / "dlvm-command.md": command_page("The dlvm command", dlvm, "dlvm"),
        PAGES / "convoy-command.md": command_page("The convoy command", convoy, "convoy"),
        PAGES / "convoy-pdata_tools.md": command_page("convoy-pdata_tools", pdata_tools, "convoy-pdata_tools"),
        **{PAGES / "schemas" / name: data.decode() for name, data in schema_files().items()},
    }


def broken_links() -> list[str]:
    """Relative links in the tracked Markdown files that lead to no file."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    present = [ROOT / name for name in listed if name and (ROOT / name).exists()]
    return [
        f"{page.relative_to(ROOT)}: {target}"
        for page in present
        for target in LINK.findall(page.read_text())
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]


def main() -> int:
    """Write, or check."""
    check = "--check" in sys.argv[1:]
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if check:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run `make docs`")
        links = broken_links()
        for link in links:
            print(f"broken link: {link}")
        return 1 if stale or links else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages()[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

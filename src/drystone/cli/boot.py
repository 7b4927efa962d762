"""What the commands have in common that have systemd run servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from drystone.cli.output import Function, json_option, print_json, print_table

if TYPE_CHECKING:
    from drystone.base.installing import Service, Wanted


def boot_options(function: Function) -> Function:
    """Where the units go, and how."""
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing."),
        click.option("--overwrite", is_flag=True, help="Also over units of these names that hold something else."),
        click.option("--program", metavar="PATH", help="The drystone that they call; the one that runs without."),
        click.option("--root", default="/", show_default=True, metavar="FOLDER", help="Below which they are written."),
    ):
        function = option(function)
    return function


def install_units(
    services: Sequence[Service],
    *others: Wanted,
    root: str,
    program: str | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write their units, and other files, and print what was done with each."""
    from msgspec import to_builtins

    from drystone.base.installing import find_program, install_services

    program = program or find_program("drystone")
    found = install_services(root, program, services, *others, overwrite=overwrite, dry_run=dry_run)
    if as_json:
        print_json(to_builtins(found))
    else:
        print_table(("file", "state"), [(each.path, each.state) for each in found])

"""`drystone fleet boot`: the fleet's servers as services of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from drystone.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from drystone.fleet.boot.install import Role


@click.command()
@click.argument("roles", nargs=-1, required=True, type=click.Choice(["mapper", "storage"]))
@click.option("--root", default="/", show_default=True, metavar="FOLDER", help="Below which they are written.")
@click.option("--program", metavar="PATH", help="The drystone that they call; the one that runs without.")
@click.option("--overwrite", is_flag=True, help="Also over units of these names that hold something else.")
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@json_option
def boot(roles: tuple[str, ...], root: str, program: str | None, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    """Write the units by which systemd runs a mapper, a storage server or both on this machine.

    They read /etc/drystone/mapper.toml and storage.toml, which are made to be filled in where there are none, and the
    fleet's secret from /etc/drystone/fleet.secret. docs/how-to/backup-fleet.md has all.

    \b
    Examples:
      drystone fleet boot mapper storage --dry-run
      drystone fleet boot storage && systemctl daemon-reload
      systemctl enable --now drystone-fleet-storage
    """
    from msgspec import to_builtins

    from drystone.base.installing import find_program
    from drystone.fleet.boot.install import install_services

    wanted = cast("tuple[Role, ...]", tuple(dict.fromkeys(roles)))
    found = install_services(root, program or find_program("drystone"), wanted, overwrite=overwrite, dry_run=dry_run)
    if as_json:
        print_json(to_builtins(found))
    else:
        print_table(("file", "state"), [(each.path, each.state) for each in found])

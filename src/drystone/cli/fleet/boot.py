"""`drystone fleet boot`: the fleet's servers as services of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from drystone.cli.boot import boot_options, install_units

if TYPE_CHECKING:
    from drystone.fleet.boot.install import Role


@click.command()
@click.argument("roles", nargs=-1, required=True, type=click.Choice(["mapper", "storage"]))
@boot_options
def boot(roles: tuple[str, ...], **how: Any) -> None:
    """Write the units by which systemd runs a mapper, a storage server or both on this machine.

    They read /etc/drystone/mapper.toml and storage.toml, which are made to be filled in where there are none, and the
    fleet's secret from /etc/drystone/fleet.secret. docs/how-to/backup-fleet.md has all.

    \b
    Examples:
      drystone fleet boot mapper storage --dry-run
      drystone fleet boot storage && systemctl daemon-reload
      systemctl enable --now drystone-fleet-storage
    """
    from drystone.fleet.boot.install import describe

    install_units([describe(cast("Role", role)) for role in dict.fromkeys(roles)], **how)

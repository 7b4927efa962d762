"""`drystone cluster boot`: the cluster's servers as services of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from drystone.cli.boot import boot_options, install_units

if TYPE_CHECKING:
    from drystone.cluster.boot.install import Role


@click.command()
@click.argument("roles", nargs=-1, required=True, type=click.Choice(["api", "monitor", "dpv", "ihost"]))
@boot_options
def boot(roles: tuple[str, ...], **how: Any) -> None:
    """Write the units by which systemd runs the cluster's servers on this machine.

    They read /etc/drystone/cluster-ROLE.toml, which is made to be filled in where there is none.
    docs/how-to/distributed-volumes.md has all.

    \b
    Examples:
      drystone cluster boot api monitor --dry-run
      drystone cluster boot dpv && systemctl daemon-reload
      systemctl enable --now drystone-cluster-dpv
    """
    from drystone.cluster.boot.install import describe

    install_units([describe(cast("Role", role)) for role in dict.fromkeys(roles)], **how)

"""`drystone volume boot`: the volume daemon as a service of systemd, and as a plugin of Docker."""

from __future__ import annotations

from typing import Any

import click

from drystone.cli.boot import boot_options, install_units


@click.command()
@click.option(
    "--docker", is_flag=True, help="Also the file by which Docker finds it: docker volume create -d drystone."
)
@boot_options
def boot(docker: bool, **how: Any) -> None:
    """Write the unit by which systemd runs the daemon on this machine.

    The daemon's options are read from /etc/drystone/volumes.conf, which is made to be filled in where there is none.

    \b
    Examples:
      drystone volume boot --docker --dry-run
      drystone volume boot --docker && systemctl daemon-reload
      systemctl enable --now drystone-volumes
    """
    from drystone.volumes.boot.install import describe, docker_plugin

    install_units([describe()], *([docker_plugin()] if docker else []), **how)

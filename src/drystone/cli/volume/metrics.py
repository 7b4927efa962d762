"""`drystone volume metrics`."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.base.files import replace_file
from drystone.cli.volume.asking import call, socket_option


@click.command()
@click.option("--output", metavar="FILE", help="Replace this file by it, whole, instead of printing it.")
@socket_option
def metrics(output: str | None, socket: str) -> None:
    """Print the daemon's metrics as Prometheus text: volumes, snapshots, pools, what is under way.

    The daemon answers GET /metrics with the same on its socket. For the textfile collector of node_exporter, a timer
    that runs this with --output is enough.

    \b
    Examples:
      drystone volume metrics
      drystone volume metrics --output /var/lib/prometheus/node-exporter/drystone_volumes.prom
    """
    text = call(socket, "GET", "/metrics").text
    if output:
        replace_file(Path(output), text.encode(), mode=0o644)
    else:
        click.echo(text, nl=False)

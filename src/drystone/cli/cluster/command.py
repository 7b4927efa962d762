"""`drystone cluster`: the servers of distributed volumes, and all that `dlvm` has."""

from __future__ import annotations

import click

from drystone.cli.cluster.dlvm import CLIENT
from drystone.cli.lazy import Lazy, LazyGroup

SERVERS = {
    "up": Lazy("drystone.cli.cluster.up:up", "A whole cluster on this machine, for trying."),
    "api": Lazy("drystone.cli.cluster.api:api", "Run an API server."),
    "monitor": Lazy("drystone.cli.cluster.monitor:monitor", "Run a monitor: agents do what was asked for."),
    "dpv": Lazy("drystone.cli.cluster.agents:dpv", "Run the agent of a server that exports legs."),
    "ihost": Lazy("drystone.cli.cluster.agents:ihost", "Run the agent of a server that volumes are attached to."),
    "format": Lazy("drystone.cli.cluster.agents:format_", "Make a block device a dpv's disk."),
    "boot": Lazy("drystone.cli.cluster.boot:boot", "Have systemd run the cluster's servers."),
    "cert": Lazy("drystone.cli.cluster.cert:cert", "An authority, and certificates for the cluster's servers."),
    "token": Lazy("drystone.cli.cluster.token:token", "Give somebody a token of the API."),
}


@click.group(cls=LazyGroup, lazy={**SERVERS, **CLIENT})
def cluster() -> None:
    """Distributed volumes: mirrored over several servers, attached where they are needed.

    The client's commands are those of `dlvm`.

    \b
    Examples:
      drystone cluster token alice --role operator --tokens tokens.toml --out alice.token
      drystone cluster api --database sqlite:////srv/cluster.db --tokens tokens.toml
      drystone cluster dlvs list --token alice.token
    """

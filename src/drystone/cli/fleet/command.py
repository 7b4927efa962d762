"""`drystone fleet`: the backup fleet's servers, and what operators do with them."""

from __future__ import annotations

import click

from drystone.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "up": Lazy("drystone.cli.fleet.up:up", "A whole fleet on this machine, for trying."),
    "mapper": Lazy("drystone.cli.fleet.mapper:mapper", "Run a mapper: it says which server keeps what."),
    "storage": Lazy("drystone.cli.fleet.storage:storage", "Run a storage server over this machine's disks."),
    "boot": Lazy("drystone.cli.fleet.boot:boot", "Have systemd run a mapper or a storage server."),
    "status": Lazy("drystone.cli.fleet.status:status", "Servers, disks, hosts, and what is at risk."),
    "audit": Lazy("drystone.cli.fleet.status:audit", "What was changed, when and why."),
    "key": Lazy("drystone.cli.fleet.keys:key", "Access keys."),
    "bucket": Lazy("drystone.cli.fleet.keys:bucket", "Buckets (namespaces)."),
    "forget": Lazy("drystone.cli.fleet.disks:forget", "Forget a host and all that it stored."),
    "remember": Lazy("drystone.cli.fleet.disks:remember", "Have a host back that was forgotten."),
    "disk": Lazy("drystone.cli.fleet.disks:disk", "Mark disks as bad or good, empty them."),
    "rebalance": Lazy("drystone.cli.fleet.disks:rebalance", "Move copies from full disks to emptier ones."),
    "drill": Lazy("drystone.cli.fleet.disks:drill", "Read a host's newest objects back from all copies, now."),
    "recovered": Lazy("drystone.cli.fleet.disks:recovered", "End the rebuilding of the map, whoever is missing."),
    "lead": Lazy("drystone.cli.fleet.disks:lead", "Make a server lead a host's copies."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def fleet() -> None:
    """Backups of many hosts on cheap disks: two copies at the acknowledgement, S3, failover.

    \b
    Examples:
      drystone fleet up --root /tmp/fleet        a mapper and two storage servers, on free ports
      drystone fleet status --mapper http://...  what is where, and what is at risk
    """

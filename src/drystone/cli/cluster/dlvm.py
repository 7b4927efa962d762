"""`dlvm`: the cluster's client, a group a noun of the API."""

from __future__ import annotations

import click

from drystone import __version__
from drystone.cli.exits import leave, run
from drystone.cli.lazy import Lazy, LazyGroup
from drystone.cli.output import HELP

CLIENT = {
    "dpvs": Lazy("drystone.cli.cluster.hosts:dpvs", "Servers that export slices of their disks."),
    "dvgs": Lazy("drystone.cli.cluster.dvgs:dvgs", "Groups of dpvs, which volumes are made out of."),
    "ihosts": Lazy("drystone.cli.cluster.hosts:ihosts", "Servers that volumes are attached to."),
    "dlvs": Lazy("drystone.cli.cluster.dlvs:dlvs", "Volumes: create, attach, resize, clone, roll back, delete."),
    "snapshots": Lazy("drystone.cli.cluster.snapshots:snapshots", "Snapshots of volumes."),
    "backups": Lazy("drystone.cli.cluster.backups:backups", "Backups of volumes, while they are attached."),
    "attachments": Lazy("drystone.cli.cluster.attachments:attachments", "Where volumes are."),
    "jobs": Lazy("drystone.cli.cluster.jobs:jobs", "Work on volumes that takes longer than a request."),
    "events": Lazy("drystone.cli.cluster.events:events", "What happened, and who asked for it."),
    "health": Lazy("drystone.cli.cluster.events:health", "Whether the API servers answer."),
    "wait": Lazy("drystone.cli.cluster.wait:wait", "Wait for what was asked for."),
}


@click.group(
    cls=LazyGroup,
    lazy=CLIENT,
    context_settings=HELP,
    epilog="Exit codes: 0 success, 2 wrong arguments, the rest in docs/reference/exit-codes.md.",
)
@click.version_option(__version__, "-V", "--version", prog_name="dlvm")
def dlvm() -> None:
    """Distributed volumes: mirrored over several servers, attached where they are needed.

    The API's servers are named by --api or DRYSTONE_CLUSTER_API (several: separated by blanks), the file with your
    token by --token or DRYSTONE_CLUSTER_TOKEN. Every change takes --dry-run, which prints the exact calls and tables.

    \b
    Examples:
      dlvm dvgs create fast d1 d2 d3
      dlvm dlvs create db --dvg fast --size 100G --wait
      dlvm dlvs attach db h1 --wait
    """


def main() -> None:
    """The console script."""
    leave(run(dlvm, name="dlvm"))


if __name__ == "__main__":
    main()

"""`dlvm wait`."""

from __future__ import annotations

import click

from drystone.base.errors import UsageError
from drystone.base.names import check_name
from drystone.cli.cluster.asking import wait_for
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import Where, api_options, timeout_option
from drystone.cli.cluster.snapshots import SNAPSHOT_NAME
from drystone.cli.output import json_option, print_json, print_line


@click.command(cls=ClusterCommand)
@click.argument(
    "kind", type=click.Choice(["dlv", "snapshot", "job", "backup", "dpv", "ihost", "evacuation", "balance"])
)
@click.argument("name")
@click.argument("wish")
@timeout_option
@api_options
@json_option
def wait(where: Where, kind: str, name: str, wish: str, timeout: float, as_json: bool) -> None:
    """Wait until it is so: a dlv created, attached, detached or deleted; a snapshot (DLV@SNAPSHOT) created or deleted;
    a job or a backup finished or canceled; a dpv or an ihost available; the evacuation of a dpv, or the balance of a
    dvg, finished.

    Nothing is changed. Exit code 1 when it will not come to that any more, 7 when it takes longer than --timeout.

    \b
    Examples:
      dlvm wait dlv db attached
      dlvm wait snapshot db@monday created --timeout 60
    """
    from drystone.cluster.client.waiting import RULES, Goal

    if wish not in RULES[kind]:
        raise UsageError(f"a {kind} is not waited to be {wish[:40]!r}", hint=" or ".join(RULES[kind]))
    if kind == "snapshot":
        SNAPSHOT_NAME.convert(name, None, None)
    else:
        check_name(name, kind)
    wait_for(where.open(), Goal(kind, name, wish), timeout)
    if as_json:
        print_json({"kind": kind, "name": name, "is": wish})
    else:
        print_line(f"{kind} {name}: {wish}")

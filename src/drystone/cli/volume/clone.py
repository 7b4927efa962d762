"""`drystone volume clone`."""

from __future__ import annotations

import click

from drystone.cli.convoy import goes_on
from drystone.cli.output import json_option
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, print_result, socket_option


@click.command()
@click.argument("snapshot")
@click.argument("name", metavar="NEW", default="")
@click.option(
    "--new-fs-uuid",
    "renew",
    is_flag=True,
    help="Give its file system (ext4, xfs) a UUID of its own; takes as long as checking it.",
)
@dry_run_option
@json_option
@socket_option
def clone(snapshot: str, name: str, renew: bool, dry_run: bool, as_json: bool, socket: str) -> None:
    """Make a volume NEW out of a snapshot; prints its UUID. Without NEW it is called volume-XXXXXXXX.

    With the driver devicemapper it shares what the snapshot holds until one of them changes; with vfs it is a copy. The
    snapshot can be deleted after it. Its file system has the same UUID as its original's. This daemon mounts both; who
    mounts by UUID wants --new-fs-uuid. --json prints the volume object.

    \b
    Examples:
      drystone volume clone monday db-test --dry-run
      drystone volume clone monday db-test && drystone volume mount db-test
    """
    body = {"SnapshotUUID": snapshot, "Name": name, "RenewUUID": renew, "DryRun": dry_run, "Verbose": as_json}
    with goes_on():
        answer = call(socket, "POST", "/volumes/clone", body)
    if dry_run:
        print_previews([answer], as_json=as_json)
    else:
        print_result(answer)

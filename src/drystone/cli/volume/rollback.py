"""`drystone volume rollback`."""

from __future__ import annotations

import sys

import click

from drystone.base.errors import RefusedError
from drystone.base.sizes import format_size
from drystone.cli.output import interactive, json_option, print_json
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, read_object, socket_option


@click.command()
@click.argument("volume")
@click.argument("snapshot")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@json_option
@socket_option
def rollback(volume: str, snapshot: str, yes: bool, dry_run: bool, as_json: bool, socket: str) -> None:
    """Have a volume hold again what one of its snapshots holds. All its snapshots stay.

    What was written to the volume since then is lost, unless a later snapshot has it: it is said how much that is, and
    asked, unless --yes is given. The volume must not be mounted. Its name and UUID stay; its size is the snapshot's.
    --json prints the volume object.

    \b
    Examples:
      drystone snapshot create db --name before-rollback      # keeps what would be lost
      drystone volume umount db && drystone volume rollback db monday && drystone volume mount db
    """
    body = {"VolumeUUID": volume, "SnapshotUUID": snapshot, "DryRun": dry_run}
    if dry_run:
        print_previews([call(socket, "POST", "/volumes/rollback", body)], as_json=as_json)
        return
    if not yes:
        _ask(socket, body)
    document = read_object(call(socket, "POST", "/volumes/rollback", body))
    if as_json:
        print_json(document)


def _ask(socket: str, body: dict[str, object]) -> None:
    """:raises RefusedError: the answer is no, or nobody can be asked."""
    loss = read_object(call(socket, "GET", "/volumes/rollback", body))
    changed = loss["Changed"]
    amount = "" if changed is None else f" ({format_size(changed)} differ)"
    click.echo(
        f"what was written to volume {loss['VolumeName']} since snapshot {loss['SnapshotName']} of "
        f"{loss['SnapshotCreatedAt']}{amount} is lost, unless another snapshot has it",
        err=True,
    )
    if not (interactive() and sys.stdin.isatty()) or not click.confirm("roll it back?", err=True):
        raise RefusedError(f"volume {loss['VolumeName']} stays as it is", hint="--yes rolls it back without asking")

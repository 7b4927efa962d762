"""`drystone snapshot`: snapshots of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from drystone.base.errors import DrystoneError
from drystone.cli.output import json_option, print_json, print_pairs, print_table
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, print_result, read_object, socket_option
from drystone.cli.volume.delete import delete_each
from drystone.wire.client import Answer


@click.group()
def snapshot() -> None:
    """Snapshots of volumes.

    \b
    Examples:
      drystone snapshot create db --name monday
      drystone snapshot group db-data db-log
      drystone snapshot list db --json
    """


@snapshot.command()
@click.argument("volume")
@click.option("--name", default="", metavar="NAME", help="Name of the snapshot. [snapshot-XXXXXXXX]")
@dry_run_option
@json_option
@socket_option
def create(volume: str, name: str, dry_run: bool, as_json: bool, socket: str) -> None:
    """Take a snapshot, of a mounted volume too; prints its UUID.

    \b
    Example:
      drystone snapshot create db --name monday
    """
    body = {"VolumeUUID": volume, "Name": name, "DryRun": dry_run, "Verbose": as_json}
    answer = call(socket, "POST", "/snapshots/create", body)
    if dry_run:
        print_previews([answer], as_json=as_json)
    else:
        print_result(answer)


@snapshot.command()
@click.argument("volumes", nargs=-1, required=True, metavar="VOLUME VOLUME...")
@click.option("--name", default="", metavar="NAME", help="Each is called NAME-VOLUME. [group-XXXXXXXX]")
@dry_run_option
@json_option
@socket_option
def group(volumes: Sequence[str], name: str, dry_run: bool, as_json: bool, socket: str) -> None:
    """Take snapshots of several volumes at one moment, mounted or not; prints their UUIDs in the order asked.

    All of them are taken, or none: writes to the volumes stand still meanwhile, and file systems are frozen. So a
    database on two volumes is in both as it was at that moment. The volumes must be of one driver, one that can do so:
    devicemapper. --json prints the snapshot objects.

    \b
    Example:
      drystone snapshot group db-data db-log --name monday     # monday-db-data, monday-db-log
    """
    body = {"Volumes": list(volumes), "Name": name, "DryRun": dry_run, "Verbose": as_json}
    answer = call(socket, "POST", "/snapshots/group", body)
    if dry_run:
        print_previews([answer], as_json=as_json)
        return
    taken = answer.document()
    if not isinstance(taken, list):
        raise DrystoneError("the daemon's answer is no list")
    if as_json:
        print_json(taken)
    else:
        for uuid in taken:
            click.echo(uuid)


@snapshot.command("list")
@click.argument("volume", default="")
@json_option
@socket_option
def list_(volume: str, as_json: bool, socket: str) -> None:
    """Show the snapshots of a volume, or all.

    \b
    Examples:
      drystone snapshot list
      drystone snapshot list db --json
    """
    if volume:
        volumes = [read_object(call(socket, "GET", "/volumes/", {"VolumeUUID": volume}))]
    else:
        volumes = list(read_object(call(socket, "GET", "/volumes/list")).values())
    found: list[dict[str, Any]] = [each for holder in volumes for each in holder["Snapshots"].values()]
    if as_json:
        print_json(found)
        return
    rows = [(each["Name"], each["UUID"][:8], each["VolumeName"], each["CreatedTime"]) for each in found]
    print_table(("name", "uuid", "volume", "created"), rows)


@snapshot.command()
@click.argument("name", metavar="SNAPSHOT")
@json_option
@socket_option
def inspect(name: str, as_json: bool, socket: str) -> None:
    """Show a snapshot.

    \b
    Example:
      drystone snapshot inspect monday
    """
    document = read_object(call(socket, "GET", "/snapshots/", {"SnapshotUUID": name}))
    if as_json:
        print_json(document)
        return
    own = [(key, value) for key, value in document.items() if key != "DriverInfo"]
    print_pairs([*own, *document["DriverInfo"].items()])


@snapshot.command()
@click.argument("names", nargs=-1, required=True, metavar="SNAPSHOT...")
@dry_run_option
@json_option
@socket_option
def delete(names: Sequence[str], dry_run: bool, as_json: bool, socket: str) -> None:
    """Delete snapshots.

    --json prints {"deleted": [...]}: those that are gone, when a later one is refused too.

    \b
    Examples:
      drystone snapshot delete monday --dry-run
      drystone snapshot delete monday tuesday
    """

    def ask(name: str) -> Answer:
        return call(socket, "DELETE", "/snapshots/", {"SnapshotUUID": name, "DryRun": dry_run})

    if dry_run:
        print_previews(map(ask, names), as_json=as_json)
    else:
        delete_each(names, ask, as_json=as_json)

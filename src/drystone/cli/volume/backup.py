"""`drystone volume backup`: backups of snapshots of volumes."""

from __future__ import annotations

import click

from drystone.cli.output import json_option, print_json, print_pairs, print_table
from drystone.cli.volume.asking import call, print_result, read_object, socket_option
from drystone.cli.volume.delete import delete_each
from drystone.cli.volume.progress import call_with_progress
from drystone.cli.volume.show import spell_size


@click.group()
def backup() -> None:
    """Backups of snapshots of volumes."""


@backup.command("create")
@click.argument("snapshot")
@click.option("--dest", required=True, metavar="URL", help="Destination, such as vfs:///srv/backup.")
@json_option
@socket_option
def backup_create(snapshot: str, dest: str, as_json: bool, socket: str) -> None:
    """Back a snapshot up; prints the backup's URL.

    Only what changed since the volume's last backup at DEST is read, if the snapshot of that one still exists. Every
    backup is complete by itself. Ctrl-C does not end it: the daemon goes on.

    \b
    Example:
      drystone volume backup create monday --dest vfs:///srv/backup
    """
    body = {"SnapshotUUID": snapshot, "URL": dest, "Verbose": as_json}
    print_result(call_with_progress(socket, "POST", "/backups/create", body, "backup"))


@backup.command("list")
@click.argument("dest")
@click.option("--volume", "name", default="", help="Only backups of volumes of this name.")
@json_option
@socket_option
def backup_list(dest: str, name: str, as_json: bool, socket: str) -> None:
    """Show the backups at a destination.

    \b
    Example:
      drystone volume backup list vfs:///srv/backup --volume db
    """
    document = read_object(call(socket, "GET", "/backups/list", {"URL": dest, "VolumeName": name}))
    if as_json:
        print_json(list(document.values()))
        return
    rows = [
        (
            each["VolumeName"],
            each["SnapshotName"],
            spell_size(each["VolumeSize"]),
            each["CreatedTime"],
            each["BackupURL"],
        )
        for each in document.values()
    ]
    print_table(("volume", "snapshot", "size", "created", "url"), rows)


@backup.command("inspect")
@click.argument("url")
@json_option
@socket_option
def backup_inspect(url: str, as_json: bool, socket: str) -> None:
    """Show a backup. Quote its URL in a shell.

    \b
    Example:
      drystone volume backup inspect 'vfs:///srv/backup?backup=...&volume=...'
    """
    document = read_object(call(socket, "GET", "/backups/inspect", {"URL": url}))
    if as_json:
        print_json(document)
    else:
        print_pairs(list(document.items()))


@backup.command("delete")
@click.argument("url")
@json_option
@socket_option
def backup_delete(url: str, as_json: bool, socket: str) -> None:
    """Delete a backup. Quote its URL in a shell.

    \b
    Example:
      drystone volume backup delete 'vfs:///srv/backup?backup=...&volume=...'
    """
    delete_each([url], lambda url: call(socket, "DELETE", "/backups", {"URL": url}), as_json=as_json)

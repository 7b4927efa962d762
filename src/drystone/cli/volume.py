"""`drystone volume`: the volume service in our own voice. It talks to the same daemon as `convoy` does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from drystone.base.errors import DrystoneError, UsageError
from drystone.base.sizes import format_size, parse_size
from drystone.cli.convoy import DAEMON_HELP, daemon_options, goes_on, start_daemon
from drystone.cli.output import interactive, json_option, print_json, print_pairs, print_table
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume_boot import boot
from drystone.cli.volume_daemon import call, read_object, socket_option
from drystone.cli.volume_fsck import fsck
from drystone.wire.client import Answer

_POLL_SECONDS = 0.2


def call_with_progress(socket: str, method: str, route: str, body: Mapping[str, object], what: str) -> Answer:
    """A request that takes long; on a terminal its progress is drawn on stderr, as the daemon reports it."""
    with goes_on():
        if not interactive():
            return call(socket, method, route, body)
        return _draw_progress(socket, method, route, body, what)


def _draw_progress(socket: str, method: str, route: str, body: Mapping[str, object], what: str) -> Answer:
    """`call_with_progress` on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    outcome: list[Answer | BaseException] = []

    def ask() -> None:
        try:
            outcome.append(call(socket, method, route, body))
        except (DrystoneError, OSError) as error:
            outcome.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        asking.start()
        while asking.is_alive():
            asking.join(_POLL_SECONDS)
            for item in _look_at_work(socket):
                if item.get("action") == what and item.get("total"):
                    progress.update(task, completed=item["done"], total=item["total"])
    answer = outcome[0]
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _list_work(socket: str) -> list[dict[str, Any]]:
    """What the daemon is at."""
    document = call(socket, "GET", "/work").document()
    return document if isinstance(document, list) else []


def _look_at_work(socket: str) -> list[dict[str, Any]]:
    """What the daemon is at; nothing when it cannot say: the main request reports that."""
    try:
        return _list_work(socket)
    except DrystoneError:
        return []


def print_volume(document: Mapping[str, Any]) -> None:
    """A volume for people."""
    print_pairs(
        [
            ("name", document["Name"]),
            ("uuid", document["UUID"]),
            ("driver", document["Driver"]),
            ("size", _spell_size(document["DriverInfo"].get("Size", "0"))),
            ("mounted at", document["MountPoint"] or "-"),
            ("created", document["CreatedTime"]),
            *sorted((f"{document['Driver']} {key}", value) for key, value in document["DriverInfo"].items()),
        ]
    )
    if document["Snapshots"]:
        click.echo()
        print_table(
            ("snapshot", "uuid", "created"),
            [(each["Name"], each["UUID"], each["CreatedTime"]) for each in document["Snapshots"].values()],
        )


def _spell_size(text: str) -> str:
    size = int(text) if text.isdigit() else 0
    return format_size(size) if size else "-"


@click.group()
def volume() -> None:
    """Volumes on this host: create, mount, snapshot, back up.

    \b
    Examples:
      drystone volume daemon --drivers vfs --driver-opts vfs.path=/srv/volumes
      drystone volume create db --size 10G --dry-run
      drystone volume backup create monday --dest vfs:///srv/backup
    """


volume.add_command(boot)
volume.add_command(fsck)


@volume.command(help=DAEMON_HELP.replace("convoy daemon", "drystone volume daemon"))
@socket_option
@click.option("--debug", is_flag=True, help="Log more.")
@daemon_options
def daemon(
    socket: str,
    debug: bool,
    log_file: str | None,
    root: str,
    drivers: tuple[str, ...],
    driver_opts: tuple[str, ...],
    mounts_dir: str | None,
    with_snapshots: bool,
) -> None:
    """Its help is DAEMON_HELP."""
    start_daemon(
        Path(socket),
        debug=debug,
        log_file=log_file,
        root=root,
        drivers=drivers,
        driver_opts=driver_opts,
        mounts_dir=mounts_dir,
        with_snapshots=with_snapshots,
    )


@volume.command()
@socket_option
@json_option
def info(socket: str, as_json: bool) -> None:
    """Show the daemon and its drivers.

    \b
    Example:
      drystone volume info
    """
    document = read_object(call(socket, "GET", "/info"))
    if as_json:
        print_json(document)
        return
    for section, facts in document.items():
        click.echo(section)
        print_pairs(
            [(f"  {key}", ", ".join(value) if isinstance(value, list) else value) for key, value in facts.items()]
        )


@volume.command()
@json_option
@socket_option
def work(as_json: bool, socket: str) -> None:
    """Show the backups and restores under way, and how far they are.

    \b
    Example:
      drystone volume work
    """
    found = _list_work(socket)
    if as_json:
        print_json(found)
        return
    rows = [(each["action"], each["subject"], _spell_part(each["done"], each["total"])) for each in found]
    print_table(("action", "subject", "done"), rows)


def _spell_part(done: int, total: int) -> str:
    return f"{format_size(done)} of {format_size(total)}" if total else "-"


@volume.command()
@click.argument("name", default="")
@click.option("--size", default="", metavar="SIZE", help="Bytes, or a whole number with k, m, g or t (powers of 1024).")
@click.option("--driver", default="", metavar="NAME", help="Driver, if not the daemon's default.")
@click.option("--from-backup", default="", metavar="URL", help="Restore this backup into it.")
@click.option("--vm", is_flag=True, help="Make a disk image for a virtual machine (vfs).")
@dry_run_option
@json_option
@socket_option
def create(
    name: str, size: str, driver: str, from_backup: str, vm: bool, dry_run: bool, as_json: bool, socket: str
) -> None:
    """Make a volume, empty or out of a backup; prints its UUID. Without NAME it is called volume-XXXXXXXX.

    \b
    Examples:
      drystone volume create db --size 10G --dry-run
      drystone volume create db2 --from-backup 'vfs:///srv/backup?backup=UUID&volume=UUID'
    """
    body: dict[str, object] = {
        "Name": name,
        "DriverName": driver,
        "Size": parse_size(size) if size else 0,
        "BackupURL": from_backup,
        "PrepareForVM": vm,
        "DryRun": dry_run,
        "Verbose": as_json,
    }
    if dry_run:
        print_previews([call(socket, "POST", "/volumes/create", body)], as_json=as_json)
    elif from_backup:
        print_result(call_with_progress(socket, "POST", "/volumes/create", body, "restore"))
    else:
        print_result(call(socket, "POST", "/volumes/create", body))


def print_result(answer: Answer) -> None:
    """What a command that makes something prints: an object as JSON, a text as it is."""
    if answer.content_type == "application/json":
        print_json(answer.document())
    elif answer.text:
        click.echo(answer.text.rstrip("\n"))


def delete_each(names: Sequence[str], delete_one: Callable[[str], object], *, as_json: bool) -> None:
    """Delete one after the other. With --json it is said what was deleted, when a later one is refused too."""
    deleted: list[str] = []
    try:
        for name in names:
            delete_one(name)
            deleted.append(name)
    finally:
        if as_json and deleted:
            print_json({"deleted": deleted})


@volume.command("list")
@click.option("--driver", default="", help="Only volumes of this driver.")
@json_option
@socket_option
def list_(driver: str, as_json: bool, socket: str) -> None:
    """Show all volumes.

    \b
    Examples:
      drystone volume list
      drystone volume list --json | jq -r '.[].Name'
    """
    document = read_object(call(socket, "GET", "/volumes/list", {"Driver": driver}))
    if as_json:
        print_json(list(document.values()))
        return
    rows = [
        (
            each["Name"],
            each["UUID"][:8],
            each["Driver"],
            _spell_size(each["DriverInfo"].get("Size", "0")),
            len(each["Snapshots"]),
            each["MountPoint"] or "-",
        )
        for each in document.values()
    ]
    print_table(("name", "uuid", "driver", "size", "snapshots", "mounted at"), rows)


@volume.command()
@click.argument("name", metavar="VOLUME")
@json_option
@socket_option
def inspect(name: str, as_json: bool, socket: str) -> None:
    """Show a volume and its snapshots.

    \b
    Example:
      drystone volume inspect db
    """
    document = read_object(call(socket, "GET", "/volumes/", {"VolumeUUID": name}))
    if as_json:
        print_json(document)
    else:
        print_volume(document)


@volume.command()
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@click.option("--with-snapshots", is_flag=True, help="Delete its snapshots too.")
@click.option("--keep-data", is_flag=True, help="Only forget the volume, where the driver can.")
@dry_run_option
@json_option
@socket_option
def delete(
    names: Sequence[str], with_snapshots: bool, keep_data: bool, dry_run: bool, as_json: bool, socket: str
) -> None:
    """Delete volumes. One with snapshots is refused unless --with-snapshots is given. Backups stay.

    --json prints {"deleted": [...]}: those that are gone, when a later one is refused too.

    \b
    Examples:
      drystone volume delete db --with-snapshots --dry-run
      drystone volume delete db --with-snapshots
    """

    def ask(name: str) -> Answer:
        body = {
            "VolumeUUID": name,
            "RefuseSnapshots": not with_snapshots,
            "ReferenceOnly": keep_data,
            "DryRun": dry_run,
        }
        return call(socket, "DELETE", "/volumes/", body)

    if dry_run:
        print_previews(map(ask, names), as_json=as_json)
    else:
        delete_each(names, ask, as_json=as_json)


@volume.command()
@click.argument("name", metavar="VOLUME")
@click.option("--at", "place", default="", metavar="FOLDER", help="Where, if not in the daemon's folder of mounts.")
@dry_run_option
@json_option
@socket_option
def mount(name: str, place: str, dry_run: bool, as_json: bool, socket: str) -> None:
    """Mount a volume; prints where. It is mounted again after a restart, until `umount`.

    \b
    Examples:
      drystone volume mount db
      drystone volume mount db --at /srv/db
    """
    if place and not Path(place).is_absolute():
        raise UsageError(f"{place!r} is no absolute path")
    body = {"VolumeUUID": name, "MountPoint": place, "DryRun": dry_run, "Verbose": as_json}
    answer = call(socket, "POST", "/volumes/mount", body)
    if dry_run:
        print_previews([answer], as_json=as_json)
    else:
        print_result(answer)


@volume.command()
@click.argument("name", metavar="VOLUME")
@click.option("--force", is_flag=True, help="Also when containers have it, as far as Docker's requests tell.")
@dry_run_option
@json_option
@socket_option
def umount(name: str, force: bool, dry_run: bool, as_json: bool, socket: str) -> None:
    """Unmount a volume. One that containers have is refused unless --force is given.

    \b
    Example:
      drystone volume umount db
    """
    answer = call(socket, "POST", "/volumes/umount", {"VolumeUUID": name, "Force": force, "DryRun": dry_run})
    if dry_run:
        print_previews([answer], as_json=as_json)
    elif as_json:
        print_json({"unmounted": name})


@volume.group()
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
            _spell_size(each["VolumeSize"]),
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

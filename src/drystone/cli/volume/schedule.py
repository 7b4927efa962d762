"""`drystone volume schedule`: snapshots and backups that the daemon makes by itself."""

from __future__ import annotations

from typing import Any

import click

from drystone.base.errors import DrystoneError, UsageError
from drystone.cli.output import json_option, print_json, print_table
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, read_object, socket_option


@click.group()
def schedule() -> None:
    """Snapshots and backups that the daemon makes by itself, and removes when enough newer ones are there.

    A schedule removes only what it made. A snapshot that a backup or clone reads stays until the next run. Runs that
    were missed while no daemon ran are made up for by one at its start. A run that fails is repeated after a minute,
    then two, up to an hour; `list` and the daemon's log say why.

    \b
    Examples:
      drystone volume schedule add db --every 1h --snapshots 24
      drystone volume schedule add db --name nightly --cron '0 3 * * *' --snapshots 2 \\
             --backup vfs:///srv/backup --backups last=7,weekly=4,monthly=12
      drystone volume schedule list
    """


@schedule.command()
@click.argument("volume")
@click.option("--name", default="", metavar="NAME", help="Its name; snapshots are NAME-YYYYMMDD-HHMMSS (UTC). [VOLUME]")
@click.option("--every", default="", metavar="TIME", help="Time from run to run: 30m, 1h, 2d, 1w (m is a minute).")
@click.option("--cron", default="", metavar="LINE", help="Or five fields of cron, in the daemon's local time.")
@click.option("--snapshots", required=True, metavar="KEEP", help="How many of its snapshots to keep.")
@click.option("--backup", "url", default="", metavar="URL", help="Back each snapshot up to this destination.")
@click.option("--backups", default="", metavar="KEEP", help="How many of its backups to keep there. [all]")
@click.option("--s3-endpoint", "endpoint", default="", metavar="URL", help="The S3 server, if not Amazon's.")
@dry_run_option
@json_option
@socket_option
def add(
    volume: str,
    name: str,
    every: str,
    cron: str,
    snapshots: str,
    url: str,
    backups: str,
    endpoint: str,
    dry_run: bool,
    as_json: bool,
    socket: str,
) -> None:
    """Take snapshots of a volume regularly, and back them up.

    KEEP is a number (24: the last 24), or rules of which any keeps:
    last=24,hourly=24,daily=7,weekly=4,monthly=12,yearly=3. Their periods are those of UTC. With --backup the snapshot
    that was backed up last is kept, too: the next backup reads only what differs from it. Deleting the volume ends its
    schedules. --json prints the schedule.

    \b
    Examples:
      drystone volume schedule add db --every 1h --snapshots 24 --dry-run
      drystone volume schedule add db --name nightly --cron '30 2 * * *' --snapshots 1 --backup vfs:///srv/backup
    """
    if bool(every) == bool(cron):
        raise UsageError("a schedule has an interval or a line of cron", hint="--every 1h, or --cron '0 3 * * *'")
    body = {
        "VolumeUUID": volume,
        "Name": name,
        "Every": every,
        "Cron": cron,
        "Snapshots": snapshots,
        "URL": url,
        "Endpoint": endpoint,
        "Backups": backups,
        "DryRun": dry_run,
    }
    answer = call(socket, "POST", "/schedules", body)
    if dry_run:
        print_previews([answer], as_json=as_json)
    elif as_json:
        print_json(answer.document())
    else:
        document = read_object(answer)
        click.echo(f"{document['name']}: next run at {document['next']}")


@schedule.command("list")
@json_option
@socket_option
def list_(as_json: bool, socket: str) -> None:
    """Show the schedules, when they run next, and why they failed.

    --json prints an array; each has name, volume, every, cron, snapshots, url, backups, paused, next, last, failures
    and problem.

    \b
    Example:
      drystone volume schedule list
    """
    found = call(socket, "GET", "/schedules").document()
    if not isinstance(found, list):
        raise DrystoneError("the daemon's answer is no list")
    if as_json:
        print_json(found)
        return
    rows = [_row(each) for each in found]
    print_table(("name", "volume", "when", "snapshots", "backup to", "backups", "next", "last", "state"), rows)


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        each["name"],
        each["volume"],
        each["every"] or each["cron"],
        each["snapshots"],
        each["url"] or "-",
        each["backups"] or "-",
        "paused" if each["paused"] else each["next"],
        each["last"] or "-",
        f"failed {each['failures']} times: {each['problem']}" if each["failures"] else "ok",
    )


@schedule.command()
@click.argument("name")
@json_option
@socket_option
def remove(name: str, as_json: bool, socket: str) -> None:
    """End a schedule. The snapshots and backups that it made stay, and nothing removes them any more.

    \b
    Example:
      drystone volume schedule remove nightly
    """
    call(socket, "DELETE", "/schedules", {"Name": name})
    if as_json:
        print_json({"removed": name})


@schedule.command()
@click.argument("name")
@json_option
@socket_option
def pause(name: str, as_json: bool, socket: str) -> None:
    """Make no runs until `resume`; one that is under way ends.

    \b
    Example:
      drystone volume schedule pause nightly
    """
    call(socket, "POST", "/schedules/pause", {"Name": name, "Paused": True})
    if as_json:
        print_json({"paused": name})


@schedule.command()
@click.argument("name")
@json_option
@socket_option
def resume(name: str, as_json: bool, socket: str) -> None:
    """Go on with a schedule that was paused or failed; one run that was missed is made at once.

    \b
    Example:
      drystone volume schedule resume nightly
    """
    call(socket, "POST", "/schedules/pause", {"Name": name, "Paused": False})
    if as_json:
        print_json({"resumed": name})

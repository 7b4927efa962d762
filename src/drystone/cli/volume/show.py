"""`drystone volume list` and `inspect`, and how volumes are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from drystone.base.sizes import format_size
from drystone.cli.output import json_option, print_json, print_pairs, print_table
from drystone.cli.volume.asking import call, read_object, socket_option


@click.command("list")
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
            spell_size(each["DriverInfo"].get("Size", "0")),
            len(each["Snapshots"]),
            each["MountPoint"] or "-",
        )
        for each in document.values()
    ]
    print_table(("name", "uuid", "driver", "size", "snapshots", "mounted at"), rows)


@click.command()
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


def print_volume(document: Mapping[str, Any]) -> None:
    """A volume for people."""
    print_pairs(
        [
            ("name", document["Name"]),
            ("uuid", document["UUID"]),
            ("driver", document["Driver"]),
            ("size", spell_size(document["DriverInfo"].get("Size", "0"))),
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


def spell_size(text: str) -> str:
    """A size in bytes for people; "-" where there is none."""
    size = int(text) if text.isdigit() else 0
    return format_size(size) if size else "-"

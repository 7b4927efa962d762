"""`dlvm snapshots`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import UsageError
from drystone.base.names import check_name
from drystone.base.sizes import format_size
from drystone.cli.cluster.asking import print_list, print_one, write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import DLV, Where, Writing, api_options, lasting_options
from drystone.cli.output import json_option

if TYPE_CHECKING:
    from drystone.cluster.client.waiting import Goal
    from drystone.cluster.model.dlv import Snapshot

_COLUMNS = ("name", "status", "size", "reason")


class SnapshotName(click.ParamType[tuple[str, str]]):
    """DLV@SNAPSHOT, as the pair of names."""

    name = "dlv@snapshot"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> tuple[str, str]:
        """:raises UsageError: it is none."""
        if isinstance(value, tuple):
            return value
        dlv, at, name = value.partition("@")
        if not at:
            raise UsageError(f"{value[:80]!r} is not DLV@SNAPSHOT", hint="write db@monday")
        return check_name(dlv, "dlv"), check_name(name, "snapshot")


SNAPSHOT_NAME = SnapshotName()


@click.group()
def snapshots() -> None:
    """Snapshots of volumes, in the pool of each: written DLV@SNAPSHOT."""


def _row(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.name, snapshot.status, format_size(snapshot.size), snapshot.reason


def _path(which: tuple[str, str]) -> str:
    from drystone.cluster.client.api import place

    return place("dlvs", which[0], "snapshots", which[1])


def _goal(which: tuple[str, str], wish: str) -> Goal:
    from drystone.cluster.client.waiting import Goal

    return Goal("snapshot", "@".join(which), wish)


@snapshots.command("create", cls=ClusterCommand)
@click.argument("snapshot", type=SNAPSHOT_NAME)
@api_options
@lasting_options
@json_option
def create(where: Where, writing: Writing, snapshot: tuple[str, str], as_json: bool) -> None:
    """Make SNAPSHOT, written DLV@SNAPSHOT: while the dlv is attached.

    \b
    Example:
      dlvm snapshots create db@monday --wait
    """
    from drystone.cluster.client.api import Request, place

    request = Request("POST", place("dlvs", snapshot[0], "snapshots"), body={"name": snapshot[1]})
    goal = _goal(snapshot, "created")
    write(where, writing, request, f"snapshot {goal.name}", goal=goal, as_json=as_json)


@snapshots.command("list", cls=ClusterCommand)
@click.argument("dlv", type=DLV)
@api_options
@json_option
def list_(where: Where, dlv: str, as_json: bool) -> None:
    """List the snapshots of DLV, in the order in which they were asked for.

    \b
    Example:
      dlvm snapshots list db
    """
    from drystone.cluster.client.api import place
    from drystone.cluster.model.dlv import Snapshot

    items = where.open().get(place("dlvs", dlv, "snapshots")).read(dict[str, Any]).get("items", [])
    print_list(items, Snapshot, _COLUMNS, _row, as_json=as_json)


@snapshots.command("show", cls=ClusterCommand)
@click.argument("snapshot", type=SNAPSHOT_NAME)
@api_options
@json_option
def show(where: Where, snapshot: tuple[str, str], as_json: bool) -> None:
    """Show SNAPSHOT, written DLV@SNAPSHOT.

    \b
    Example:
      dlvm snapshots show db@monday
    """
    from drystone.cluster.model.dlv import Snapshot

    print_one(where, _path(snapshot), Snapshot, _COLUMNS, _row, as_json=as_json)


@snapshots.command("delete", cls=ClusterCommand)
@click.argument("snapshot", type=SNAPSHOT_NAME)
@api_options
@lasting_options
@json_option
def delete(where: Where, writing: Writing, snapshot: tuple[str, str], as_json: bool) -> None:
    """Delete SNAPSHOT, written DLV@SNAPSHOT.

    \b
    Example:
      dlvm snapshots delete db@monday
    """
    from drystone.cluster.client.api import Request

    goal = _goal(snapshot, "deleted")
    write(where, writing, Request("DELETE", _path(snapshot)), f"snapshot {goal.name}", goal=goal, as_json=as_json)

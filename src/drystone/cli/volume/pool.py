"""`drystone volume pool`: how full the drivers' pools are, and making them larger."""

from __future__ import annotations

from typing import Any

import click

from drystone.base.sizes import format_size
from drystone.cli.output import json_option, print_json, print_pairs, print_table
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, read_list, read_object, socket_option


@click.group()
def pool() -> None:
    """The pools that volumes take their room from."""


@pool.command("list")
@json_option
@socket_option
def list_(as_json: bool, socket: str) -> None:
    """Show the pools: state, data and metadata in use.

    The state is ok; low: less than a tenth of the data blocks is free, or more than three quarters of the metadata is
    used; full: less than a twentieth, or more than nine tenths, and no volume or snapshot is made any more;
    needs-check or failed: the kernel takes no changes. The daemon logs each change of it.

    \b
    Examples:
      drystone volume pool list
      drystone volume pool list --json | jq -r '.[] | select(.state != "ok") | .text'
    """
    found = read_list(call(socket, "GET", "/pools"))
    if as_json:
        print_json(found)
        return
    rows = [
        (each["name"], each["driver"], each["state"], _spell_use(each, "data"), _spell_use(each, "metadata"))
        for each in found
    ]
    print_table(("name", "driver", "state", "data used", "metadata used"), rows)
    for each in found:
        if each["text"]:
            click.echo(f"{each['name']}: {each['text']}")


@pool.command()
@click.option("--driver", default="", metavar="NAME", help="Whose pool, if several drivers have one.")
@dry_run_option
@json_option
@socket_option
def extend(driver: str, dry_run: bool, as_json: bool, socket: str) -> None:
    """Make a pool as large as its devices have become. Volumes stay in use; their writes wait for a moment.

    Enlarge the devices first: lvextend; a partition; of a loop device its file, then losetup -c. A pool cannot be
    made smaller again.

    \b
    Examples:
      drystone volume pool extend --dry-run
      drystone volume pool extend
    """
    answer = call(socket, "POST", "/pools/extend", {"Driver": driver, "DryRun": dry_run})
    if dry_run:
        print_previews([answer], as_json=as_json)
        return
    done = read_object(answer)
    if as_json:
        print_json(done)
        return
    print_pairs(
        [("pool", done["name"]), ("data", _spell_growth(done, "data")), ("metadata", _spell_growth(done, "metadata"))]
    )


def _spell_use(pool: dict[str, Any], what: str) -> str:
    used, total = pool[f"{what}_used"], pool[f"{what}_total"]
    return f"{format_size(used)} of {format_size(total)}" if total else "-"


def _spell_growth(done: dict[str, Any], what: str) -> str:
    before, after = done[f"{what}_before"], done[f"{what}_after"]
    return format_size(after) if before == after else f"{format_size(before)} -> {format_size(after)}"

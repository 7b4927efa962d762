"""`dlvm dlvs`: volumes, and where they are attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.sizes import format_size
from drystone.cli.cluster.asking import find_all, print_list, read_as, write
from drystone.cli.cluster.clones import clone
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import (
    DLV,
    DVG,
    IHOST,
    Size,
    Where,
    Writing,
    api_options,
    lasting_options,
)
from drystone.cli.cluster.progress import printable
from drystone.cli.cluster.resizing import resize, rollback
from drystone.cli.output import json_option, print_json, print_line, print_pairs, print_table

if TYPE_CHECKING:
    from drystone.cluster.model.dlv import Dlv, Leg

_STATUS = click.Choice(
    ["creating", "restoring", "detached", "attaching", "attached", "detaching", "fencing", "deleting", "failed"]
)


@click.group()
def dlvs() -> None:
    """Volumes: mirrored and striped over the dpvs of a dvg, attached to an ihost."""


dlvs.add_command(resize)
dlvs.add_command(rollback)
dlvs.add_command(clone)


@dlvs.command("create", cls=ClusterCommand)
@click.argument("name", type=DLV)
@click.option("--dvg", type=DVG, required=True, help="Out of which it is made.")
@click.option("--size", type=Size(), required=True, help="That its user sees, as 100G.")
@click.option("--initial-size", type=Size(), help="That is given out at first; it grows.  [default: its size]")
@click.option("--mirrors", type=int, default=2, show_default=True, help="Copies of each byte, 1 to 3.")
@click.option("--stripes", type=int, default=1, show_default=True, help="Mirrors that data is spread over, 1 to 16.")
@click.option("--block", type=Size(), default="64k", show_default=True, help="Of the thin pool: a multiple of 64k.")
@api_options
@lasting_options
@json_option
def create(
    where: Where, writing: Writing, name: str, dvg: str, size: int, initial_size: int | None, mirrors: int,
    stripes: int, block: int, as_json: bool,
) -> None:  # fmt: skip
    """Create the dlv NAME. Its space is given out at once; the agents of its dpvs make it.

    \b
    Examples:
      dlvm dlvs create db --dvg fast --size 100G --dry-run      the calls and tables
      dlvm dlvs create db --dvg fast --size 100G --initial-size 20G --mirrors 3 --wait
    """
    from drystone.base.errors import UsageError
    from drystone.base.sizes import SECTOR
    from drystone.cluster.client.api import Request
    from drystone.cluster.client.waiting import Goal
    from drystone.cluster.model.layout import SECTORS_A_BLOCK, check_shape

    check_shape(size, size if initial_size is None else initial_size, mirrors, stripes)
    if not 0 < block <= 1 << 30 or block % (SECTORS_A_BLOCK * SECTOR):
        raise UsageError(f"a block of {block} bytes is no multiple of 64k up to 1g")
    body = {"name": name, "dvg": dvg, "size": size, "initial_size": initial_size, "mirrors": mirrors,
            "stripes": stripes, "block": block // SECTOR}  # fmt: skip
    request = Request("POST", "/dlvs", body=body)
    goal = Goal("dlv", name, "created")
    write(where, writing, request, f"dlv {name}", goal=goal, previews=True, as_json=as_json)


@dlvs.command("list", cls=ClusterCommand)
@click.option("--dvg", type=DVG, help="Those of this dvg.")
@click.option("--status", type=_STATUS, help="Those with this status.")
@click.option("--ihost", type=IHOST, help="Those attached to this ihost.")
@click.option("--descending", is_flag=True, help="From the last name to the first.")
@api_options
@json_option
def list_(
    where: Where, dvg: str | None, status: str | None, ihost: str | None, descending: bool, as_json: bool
) -> None:
    """List dlvs, in the order of their names.

    \b
    Examples:
      dlvm dlvs list
      dlvm dlvs list --ihost h1
    """
    from drystone.cluster.model.dlv import Dlv

    query = {"dvg": dvg, "status": status, "ihost": ihost, "descending": descending}
    columns = ("name", "status", "dvg", "size", "mirrors", "stripes", "ihost", "in sync", "reason")
    print_list(find_all(where, "/dlvs", query), Dlv, columns, _row, as_json=as_json)


def _row(dlv: Dlv) -> tuple[object, ...]:
    in_sync = f"{sum(leg.in_sync for leg in dlv.legs)} of {len(dlv.legs)}"
    return (
        dlv.name, dlv.status, dlv.dvg, format_size(dlv.size), dlv.mirrors, dlv.stripes, _spell_place(dlv), in_sync,
        dlv.reason,
    )  # fmt: skip


def _spell_place(dlv: Dlv) -> str:
    """Where it is, and where it is to be when that is elsewhere."""
    here = "-" if dlv.attachment is None else dlv.attachment.ihost
    return here if dlv.wanted in {"", here} else f"{here} -> {dlv.wanted}"


@dlvs.command("show", cls=ClusterCommand)
@click.argument("name", type=DLV)
@api_options
@json_option
def show(where: Where, name: str, as_json: bool) -> None:
    """Show the dlv NAME with its groups, legs and snapshots.

    \b
    Example:
      dlvm dlvs show db
    """
    from drystone.cluster.client.api import place
    from drystone.cluster.model.dlv import Dlv

    found = where.open().get(place("dlvs", name)).document()
    if as_json:
        print_json(found)
    else:
        _print(read_as(found, Dlv))


def _print(dlv: Dlv) -> None:
    print_pairs(
        [
            ("name", dlv.name),
            ("status", dlv.status),
            ("reason", printable(dlv.reason)),
            ("dvg", dlv.dvg),
            ("size", format_size(dlv.size)),
            ("given out", format_size(sum(each.size for each in dlv.groups if each.role == "data"))),
            ("ihost", _spell_place(dlv)),
            *_spell_rollback(dlv),
            *([("copied from", dlv.source.name)] if dlv.source is not None else []),
            *([("restored from", f"backup {dlv.restore.backup}")] if dlv.restore is not None else []),
            ("copies", dlv.mirrors),
            ("epoch", dlv.epoch),
            ("id", dlv.id),
        ]
    )
    print_line("")
    columns = ("group", "role", "mirror", "leg", "dpv", "size", "status", "state")
    print_table(columns, [_leg_row(dlv, leg) for leg in dlv.legs])
    if dlv.snapshots:
        print_line("")
        rows = [(each.name, each.status, format_size(each.size), printable(each.reason)) for each in dlv.snapshots]
        print_table(("snapshot", "status", "size", "reason"), rows)


def _spell_rollback(dlv: Dlv) -> list[tuple[str, str]]:
    from drystone.cluster.model.resizing import name_of

    return [] if dlv.rollback is None else [("rolls back", f"to {name_of(dlv, dlv.rollback)}, when it is attached")]


def _leg_row(dlv: Dlv, leg: Leg) -> tuple[object, ...]:
    from drystone.cluster.model.extents import EXTENT

    role = next((each.role for each in dlv.groups if each.number == leg.group), "-")
    state = "in sync" if leg.in_sync else "copying" if leg.copying else "out of sync"
    return leg.group, role, leg.mirror, leg.id, leg.dpv, format_size(leg.extents * EXTENT), leg.status, state


@dlvs.command("delete", cls=ClusterCommand)
@click.argument("name", type=DLV)
@api_options
@lasting_options
@json_option
def delete(where: Where, writing: Writing, name: str, as_json: bool) -> None:
    """Delete the dlv NAME, which is attached nowhere, and all that it holds.

    \b
    Examples:
      dlvm dlvs delete db --dry-run
      dlvm dlvs delete db --wait
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    request = Request("DELETE", place("dlvs", name))
    goal = Goal("dlv", name, "deleted")
    write(where, writing, request, f"dlv {name}", goal=goal, previews=True, as_json=as_json)


@dlvs.command("attach", cls=ClusterCommand)
@click.argument("name", type=DLV)
@click.argument("ihost", type=IHOST)
@api_options
@lasting_options
@json_option
def attach(where: Where, writing: Writing, name: str, ihost: str, as_json: bool) -> None:
    """Attach the dlv NAME to IHOST, where it is the device /dev/mapper/drystone-dlv-NAME.

    \b
    Examples:
      dlvm dlvs attach db h1 --dry-run
      dlvm dlvs attach db h1 --wait
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    request = Request("PUT", place("dlvs", name, "attachment"), body={"ihost": ihost})
    goal = Goal("dlv", name, "attached", ihost)
    write(where, writing, request, f"dlv {name}", goal=goal, previews=True, as_json=as_json)


@dlvs.command("detach", cls=ClusterCommand)
@click.argument("name", type=DLV)
@click.option("--force", is_flag=True, help="Its ihost does not answer: have the dpvs shut it out first.")
@api_options
@lasting_options
@json_option
def detach(where: Where, writing: Writing, name: str, force: bool, as_json: bool) -> None:
    """Detach the dlv NAME from its ihost.

    By --force, of an ihost that was said to be unavailable, what it had not written yet is lost.

    \b
    Examples:
      dlvm dlvs detach db --wait
      dlvm ihosts unavailable h1 && dlvm dlvs detach db --force
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    request = Request("DELETE", place("dlvs", name, "attachment"), {"force": True if force else None})
    write(where, writing, request, f"dlv {name}", goal=Goal("dlv", name, "detached"), as_json=as_json)


@dlvs.command("extend", cls=ClusterCommand)
@click.argument("name", type=DLV)
@click.option("--size", type=Size(), required=True, help="By which its pool grows at least, as 20G.")
@api_options
@lasting_options
@json_option
def extend(where: Where, writing: Writing, name: str, size: int, as_json: bool) -> None:
    """Give the pool of the dlv NAME another group, by a job.

    \b
    Examples:
      dlvm dlvs extend db --size 20G --dry-run
      dlvm dlvs extend db --size 20G
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    request = Request("POST", place("dlvs", name, "extend"), body={"size": size})
    write(where, writing, request, "job", goal=Goal("job", "", "finished"), previews=True, as_json=as_json)

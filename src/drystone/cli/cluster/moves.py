"""`dlvm dpvs evacuate` and `dlvm dvgs rebalance`: legs that go to other dpvs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.base.sizes import format_size
from drystone.cli.cluster.asking import write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import DPV, DVG, Where, Writing, api_options, lasting_options
from drystone.cli.cluster.progress import printable
from drystone.cli.output import json_option, print_json, print_line, print_table

if TYPE_CHECKING:
    from drystone.cluster.client.api import Request


@click.command("evacuate", cls=ClusterCommand)
@click.argument("name", type=DPV)
@click.option("--cancel", "cancels", is_flag=True, help="Have the other legs stay; those that move are moved.")
@api_options
@lasting_options
@json_option
def evacuate(where: Where, writing: Writing, name: str, cancels: bool, as_json: bool) -> None:
    """Have every leg on the dpv NAME replaced by one elsewhere, without detaching anything.

    A leg is copied first and given up then: there is never a copy less. No new legs are put there. It can be taken out
    of its dvg once it is empty. Volumes that are attached nowhere wait until they are.

    \b
    Examples:
      dlvm dpvs evacuate d1 --dry-run
      dlvm dpvs evacuate d1 --wait --timeout 0
      dlvm dpvs evacuate d1 --cancel
    """
    goal = ("dpv", name, "evacuate", "evacuation")
    _move(where, writing, goal, cancels=cancels, as_json=as_json)


@click.command("rebalance", cls=ClusterCommand)
@click.argument("name", type=DVG)
@click.option("--cancel", "cancels", is_flag=True, help="Begin no more moves; legs that move are moved.")
@api_options
@lasting_options
@json_option
def rebalance(where: Where, writing: Writing, name: str, cancels: bool, as_json: bool) -> None:
    """Have legs moved from the fullest dpvs of the dvg NAME to others, a few at a time, until they are about equally
    full. Nothing is detached, and there is never a copy less.

    \b
    Examples:
      dlvm dvgs rebalance fast --dry-run
      dlvm dvgs rebalance fast --wait --timeout 0
      dlvm dvgs rebalance fast --cancel
    """
    goal = ("dvg", name, "rebalance", "balance")
    _move(where, writing, goal, cancels=cancels, as_json=as_json)


def _move(where: Where, writing: Writing, wished: tuple[str, str, str, str], *, cancels: bool, as_json: bool) -> None:
    """Have moves begun, shown or ended. :param wished: whose, its name, the verb, and what the API calls it then."""
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    kind, name, verb, state = wished
    what = f"{state} of {kind} {name}"
    request = Request("POST", place(f"{kind}s", name, verb))
    if cancels and writing.waits:
        raise UsageError("there is nothing to wait for", hint="use --cancel without --wait")
    if cancels:
        ending = Request("POST", place(f"{kind}s", name, state, "cancel"))
        write(where, writing, ending, what, as_json=as_json)
    elif writing.dry_run:
        _print_moves(where, request, as_json=as_json)
    else:
        write(where, writing, request, what, goal=Goal(state, name, "finished"), as_json=as_json)


def _print_moves(where: Where, request: Request, *, as_json: bool) -> None:
    """What the API says that it would move where."""
    from dataclasses import replace

    from drystone.cluster.api.documents import Moves
    from drystone.cluster.model.extents import EXTENT

    reply = where.open().ask(replace(request, query={"dry_run": True}))
    if as_json:
        print_json(reply.document())
        return
    found = reply.read(Moves)
    rows = [(each.dlv, each.leg, format_size(each.extents * EXTENT), each.source, each.target) for each in found.moves]
    print_table(("dlv", "leg", "size", "from", "to"), rows)
    for why in found.waiting:
        print_line(f"# {printable(why)}")

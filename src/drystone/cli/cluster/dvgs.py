"""`dlvm dvgs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.cli.cluster.asking import find_all, print_list, print_one, write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.moves import rebalance
from drystone.cli.cluster.options import DPV, DVG, Where, Writing, api_options, write_options
from drystone.cli.output import json_option

if TYPE_CHECKING:
    from drystone.cluster.model.dpv import Dvg

_COLUMNS = ("name", "dpvs", "version")


@click.group()
def dvgs() -> None:
    """Groups of dpvs, which volumes are made out of."""


def _row(dvg: Dvg) -> tuple[object, ...]:
    return dvg.name, " ".join(dvg.dpvs) or "-", dvg.version


@dvgs.command("create", cls=ClusterCommand)
@click.argument("name", type=DVG)
@click.argument("dpvs", type=DPV, nargs=-1)
@api_options
@write_options
@json_option
def create(where: Where, writing: Writing, name: str, dpvs: tuple[str, ...], as_json: bool) -> None:
    """Make the dvg NAME, of DPVS.

    \b
    Example:
      dlvm dvgs create fast d1 d2 d3
    """
    from drystone.cluster.client.api import Request

    request = Request("POST", "/dvgs", body={"name": name, "dpvs": dpvs})
    write(where, writing, request, f"dvg {name}", as_json=as_json)


@dvgs.command("list", cls=ClusterCommand)
@click.option("--descending", is_flag=True, help="From the last name to the first.")
@api_options
@json_option
def list_(where: Where, descending: bool, as_json: bool) -> None:
    """List dvgs, in the order of their names.

    \b
    Example:
      dlvm dvgs list
    """
    from drystone.cluster.model.dpv import Dvg

    print_list(find_all(where, "/dvgs", {"descending": descending}), Dvg, _COLUMNS, _row, as_json=as_json)


@dvgs.command("show", cls=ClusterCommand)
@click.argument("name", type=DVG)
@api_options
@json_option
def show(where: Where, name: str, as_json: bool) -> None:
    """Show the dvg NAME.

    \b
    Example:
      dlvm dvgs show fast
    """
    from drystone.cluster.client.api import place
    from drystone.cluster.model.dpv import Dvg

    print_one(where, place("dvgs", name), Dvg, _COLUMNS, _row, as_json=as_json)


@dvgs.command("extend", cls=ClusterCommand)
@click.argument("name", type=DVG)
@click.argument("dpvs", type=DPV, nargs=-1, required=True)
@api_options
@write_options
@json_option
def extend(where: Where, writing: Writing, name: str, dpvs: tuple[str, ...], as_json: bool) -> None:
    """Put DPVS into the dvg NAME.

    \b
    Example:
      dlvm dvgs extend fast d4
    """
    _change(where, writing, name, "extend", dpvs, as_json=as_json)


@dvgs.command("reduce", cls=ClusterCommand)
@click.argument("name", type=DVG)
@click.argument("dpvs", type=DPV, nargs=-1, required=True)
@api_options
@write_options
@json_option
def reduce(where: Where, writing: Writing, name: str, dpvs: tuple[str, ...], as_json: bool) -> None:
    """Take DPVS, which have no legs, out of the dvg NAME.

    \b
    Example:
      dlvm dvgs reduce fast d4
    """
    _change(where, writing, name, "reduce", dpvs, as_json=as_json)


def _change(where: Where, writing: Writing, name: str, how: str, dpvs: tuple[str, ...], *, as_json: bool) -> None:
    from drystone.cluster.client.api import Request, place

    write(
        where, writing, Request("POST", place("dvgs", name, how), body={"dpvs": dpvs}), f"dvg {name}", as_json=as_json
    )


dvgs.add_command(rebalance)


@dvgs.command("delete", cls=ClusterCommand)
@click.argument("name", type=DVG)
@api_options
@write_options
@json_option
def delete(where: Where, writing: Writing, name: str, as_json: bool) -> None:
    """Delete the dvg NAME, which has no dpvs and no dlvs.

    \b
    Example:
      dlvm dvgs delete fast
    """
    from drystone.cluster.client.api import Request, place

    write(where, writing, Request("DELETE", place("dvgs", name)), f"dvg {name}", as_json=as_json)

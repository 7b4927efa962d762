"""`dlvm dpvs` and `dlvm ihosts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.sizes import format_size
from drystone.cli.cluster.asking import find_all, print_list, print_one, write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.marks import make_mark, make_removal
from drystone.cli.cluster.moves import evacuate
from drystone.cli.cluster.options import (
    DPV,
    DVG,
    IHOST,
    Address,
    Size,
    Where,
    Words,
    Writing,
    api_options,
    lasting_options,
)
from drystone.cli.output import json_option

if TYPE_CHECKING:
    from drystone.cluster.model.dpv import Dpv, Ihost

_STATUS = click.Choice(["creating", "available", "unavailable"])
_DPV_COLUMNS = ("name", "status", "dvg", "location", "size", "free", "address", "reason")
_IHOST_COLUMNS = ("name", "status", "initiator", "address", "reason")


@click.group()
def dpvs() -> None:
    """Servers that export slices of their disks: registered, made available, evacuated, forgotten."""


@dpvs.command("create", cls=ClusterCommand)
@click.argument("name", type=DPV)
@click.option("--address", type=Address(), required=True, metavar="HOST:PORT", help="Of its agent.")
@click.option("--portal", type=Address(), required=True, metavar="HOST:PORT", help="Of its iSCSI target.")
@click.option("--size", type=Size(), required=True, help="That it offers, as 800G.")
@click.option("--location", type=Words(), default="", help="Rack, room or house: copies go to different ones.")
@api_options
@lasting_options
@json_option
def create_dpv(
    where: Where, writing: Writing, name: str, address: str, portal: str, size: int, location: str, as_json: bool
) -> None:
    """Register the dpv NAME. It is used once its agent has answered, or an operator says that it is available.

    \b
    Examples:
      dlvm dpvs create d1 --address 10.0.0.1:9400 --portal 10.0.0.1:3260 --size 800G --location rack1
      dlvm dpvs create d2 --address 10.0.0.2:9400 --portal 10.0.0.2:3260 --size 800G --wait
    """
    from drystone.cluster.client.api import Request
    from drystone.cluster.client.waiting import Goal

    body = {"name": name, "address": address, "portal": portal, "size": size, "location": location}
    request = Request("POST", "/dpvs", body=body)
    write(where, writing, request, f"dpv {name}", goal=Goal("dpv", name, "available"), as_json=as_json)


@dpvs.command("list", cls=ClusterCommand)
@click.option("--dvg", type=DVG, help="Those of this dvg.")
@click.option("--status", type=_STATUS, help="Those with this status.")
@click.option("--location", type=Words(), help="Those at this location.")
@click.option("--descending", is_flag=True, help="From the last name to the first.")
@api_options
@json_option
def list_dpvs(
    where: Where, dvg: str | None, status: str | None, location: str | None, descending: bool, as_json: bool
) -> None:
    """List dpvs, in the order of their names.

    \b
    Examples:
      dlvm dpvs list
      dlvm dpvs list --dvg fast --json
    """
    from drystone.cluster.model.dpv import Dpv

    query = {"dvg": dvg, "status": status, "location": location, "descending": descending}
    print_list(find_all(where, "/dpvs", query), Dpv, _DPV_COLUMNS, _row_of_dpv, as_json=as_json)


def _row_of_dpv(dpv: Dpv) -> tuple[object, ...]:
    return (
        dpv.name, "evacuating" if dpv.evacuating else dpv.status, dpv.dvg or "-", dpv.location or "-",
        _spell_extents(dpv.extents), _spell_extents(dpv.free), dpv.address, dpv.reason,
    )  # fmt: skip


def _spell_extents(count: int) -> str:
    from drystone.cluster.model.extents import EXTENT

    return format_size(count * EXTENT)


@dpvs.command("show", cls=ClusterCommand)
@click.argument("name", type=DPV)
@api_options
@json_option
def show_dpv(where: Where, name: str, as_json: bool) -> None:
    """Show the dpv NAME.

    \b
    Example:
      dlvm dpvs show d1
    """
    from drystone.cluster.client.api import place
    from drystone.cluster.model.dpv import Dpv

    def row(dpv: Dpv) -> tuple[object, ...]:
        return (*_row_of_dpv(dpv), dpv.portal)

    print_one(where, place("dpvs", name), Dpv, (*_DPV_COLUMNS, "portal"), row, as_json=as_json)


@click.group()
def ihosts() -> None:
    """Servers that volumes are attached to: registered, made available, forgotten."""


@ihosts.command("create", cls=ClusterCommand)
@click.argument("name", type=IHOST)
@click.option("--address", type=Address(), required=True, metavar="HOST:PORT", help="Of its agent.")
@click.option("--initiator", type=Words(), required=True, metavar="IQN", help="Its name in iSCSI.")
@api_options
@lasting_options
@json_option
def create_ihost(where: Where, writing: Writing, name: str, address: str, initiator: str, as_json: bool) -> None:
    """Register the ihost NAME. Its agent shows itself by a token of this name.

    \b
    Example:
      dlvm ihosts create h1 --address 10.0.0.9:9401 --initiator iqn.2026-11.example:h1
    """
    from drystone.cluster.client.api import Request
    from drystone.cluster.client.waiting import Goal

    request = Request("POST", "/ihosts", body={"name": name, "address": address, "initiator": initiator})
    write(where, writing, request, f"ihost {name}", goal=Goal("ihost", name, "available"), as_json=as_json)


@ihosts.command("list", cls=ClusterCommand)
@click.option("--status", type=_STATUS, help="Those with this status.")
@click.option("--descending", is_flag=True, help="From the last name to the first.")
@api_options
@json_option
def list_ihosts(where: Where, status: str | None, descending: bool, as_json: bool) -> None:
    """List ihosts, in the order of their names.

    \b
    Example:
      dlvm ihosts list --status available
    """
    from drystone.cluster.model.dpv import Ihost

    found = find_all(where, "/ihosts", {"status": status, "descending": descending})
    print_list(found, Ihost, _IHOST_COLUMNS, _row_of_ihost, as_json=as_json)


def _row_of_ihost(ihost: Ihost) -> tuple[object, ...]:
    return ihost.name, ihost.status, ihost.initiator, ihost.address, ihost.reason


@ihosts.command("show", cls=ClusterCommand)
@click.argument("name", type=IHOST)
@api_options
@json_option
def show_ihost(where: Where, name: str, as_json: bool) -> None:
    """Show the ihost NAME.

    \b
    Example:
      dlvm ihosts show h1
    """
    from drystone.cluster.client.api import place
    from drystone.cluster.model.dpv import Ihost

    print_one(where, place("ihosts", name), Ihost, _IHOST_COLUMNS, _row_of_ihost, as_json=as_json)


dpvs.add_command(make_mark("dpv", "available", "Have space given out of the dpv NAME.", 'd1 --reason "disk replaced"'))
dpvs.add_command(
    make_mark(
        "dpv",
        "unavailable",
        "Have no space given out of the dpv NAME any more. What is on it stays.",
        'd1 --reason "to be repaired"',
    )
)
dpvs.add_command(evacuate)
dpvs.add_command(make_removal("dpv", "Forget the dpv NAME, which is in no dvg and has no legs.", "d1"))
ihosts.add_command(make_mark("ihost", "available", "Have dlvs attached to the ihost NAME.", "h1"))
ihosts.add_command(
    make_mark(
        "ihost",
        "unavailable",
        "Have no more dlvs attached to the ihost NAME; those that are stay.",
        'h1 --reason "it does not answer"',
    )
)
ihosts.add_command(make_removal("ihost", "Forget the ihost NAME, which no dlv is attached to.", "h1"))

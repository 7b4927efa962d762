"""`drystone fleet disk`, `forget`, `lead`, `rebalance` and `recovered`: what operators decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import NotFoundError, RefusedError
from drystone.cli.fleet.options import ask_mapper, fleet_options
from drystone.cli.fleet.status import fetch
from drystone.cli.output import json_option, print_json, print_line

if TYPE_CHECKING:
    from drystone.fleet.calls import Mappers
    from drystone.fleet.documents import Placement
    from drystone.fleet.orders import DiskMark


async def _post(mappers: Mappers, path: str, document: object) -> None:
    answer = await mappers.call("POST", path, document)
    if answer.status != 204:
        raise answer.error()


def _mark(mappers: tuple[str, ...], secret: Path, place: str, mark: DiskMark, reason: str, *, as_json: bool) -> None:
    from drystone.fleet.orders import DiskOrder

    server, _, disk = place.partition("/")
    order = DiskOrder(server, disk, mark, reason)
    ask_mapper(mappers, secret, lambda asked: _post(asked, "/internal/disks", order))
    if as_json:
        print_json({"server": server, "disk": disk, "mark": mark or "none", "reason": reason})


@click.group()
def disk() -> None:
    """Disks: given up, emptied, taken back. PLACE is SERVER/DISK, or SERVER for all of its disks."""


@disk.command()
@fleet_options
@click.argument("place")
@click.option("--reason", default="", help="For the audit log.")
@json_option
def bad(mappers: tuple[str, ...], secret: Path, place: str, reason: str, as_json: bool) -> None:
    """Give a disk up: nothing on it counts any more, its copies are made anew elsewhere.

    \b
    Example:
      drystone fleet disk bad storage_1/data_2 --reason 'SMART says so'
    """
    _mark(mappers, secret, place, "bad", reason, as_json=as_json)


@disk.command()
@fleet_options
@click.argument("place")
@click.option("--reason", default="", help="For the audit log.")
@json_option
def drain(mappers: tuple[str, ...], secret: Path, place: str, reason: str, as_json: bool) -> None:
    """Empty a disk or a server: its copies move elsewhere, and count until they have.

    \b
    Example:
      drystone fleet disk drain storage_1
    """
    _mark(mappers, secret, place, "draining", reason, as_json=as_json)


@disk.command()
@fleet_options
@click.argument("place")
@click.option("--reason", default="", help="For the audit log.")
@json_option
def good(mappers: tuple[str, ...], secret: Path, place: str, reason: str, as_json: bool) -> None:
    """Take a disk back into use.

    \b
    Example:
      drystone fleet disk good storage_1/data_2
    """
    _mark(mappers, secret, place, "", reason, as_json=as_json)


async def _find_host(mappers: Mappers, host: str) -> str:
    """The id of the placement of NAMESPACE/HOST. :raises NotFoundError: there is none."""
    from drystone.fleet.documents import FleetMap

    namespace, _, name = host.partition("/")
    found = (await fetch(mappers, "/internal/map")).document(FleetMap)
    known = [each.id for each in found.placements if (each.namespace, each.host) == (namespace, name)]
    if not known:
        raise NotFoundError(f"there is no host {host!r}", hint="write NAMESPACE/HOST")
    return known[0]


@click.command()
@fleet_options
@click.argument("host")
@click.option("--yes", is_flag=True, help="Do it: all that the host stored is deleted after a while.")
@json_option
def forget(mappers: tuple[str, ...], secret: Path, host: str, yes: bool, as_json: bool) -> None:
    """Forget HOST (NAMESPACE/HOST): its slots are free, and its data is deleted as any that is left over.

    \b
    Example:
      drystone fleet forget backups/web1 --yes
    """

    async def act(asked: Mappers) -> None:
        id_ = await _find_host(asked, host)
        if not yes:
            raise RefusedError(f"all that {host} stored would be deleted after a while", hint="--yes")
        answer = await asked.call("DELETE", f"/internal/placements/{id_}")
        if answer.status != 204:
            raise answer.error()

    ask_mapper(mappers, secret, act)
    if as_json:
        print_json({"forgotten": host})


@click.command()
@fleet_options
@click.argument("host")
@click.argument("server")
@click.option("--accept-loss", is_flag=True, help="Also when its copy may lack acknowledged writes.")
@json_option
def lead(mappers: tuple[str, ...], secret: Path, host: str, server: str, accept_loss: bool, as_json: bool) -> None:
    """Make SERVER lead the copies of HOST (NAMESPACE/HOST). The others compare themselves with it.

    \b
    Examples:
      drystone fleet lead backups/web1 storage_2
      drystone fleet lead backups/web1 storage_2 --accept-loss    the better copies are gone for good
    """
    from drystone.fleet.documents import Placement
    from drystone.fleet.orders import LeadOrder

    async def act(asked: Mappers) -> Placement:
        id_ = await _find_host(asked, host)
        return await asked.ask("/internal/lead", LeadOrder(id_, server, accept_loss), Placement)

    placement = ask_mapper(mappers, secret, act)
    if as_json:
        print_json({"host": host, "leader": server, "epoch": placement.epoch})
    else:
        print_line(f"{server} leads {host} in epoch {placement.epoch}")


@click.command()
@fleet_options
@json_option
def recovered(mappers: tuple[str, ...], secret: Path, as_json: bool) -> None:
    """End the rebuilding of the map, though disks or servers are missing that may know more.

    What they alone know is not taken over when they come back.

    \b
    Example:
      drystone fleet recovered
    """
    ask_mapper(mappers, secret, lambda asked: _post(asked, "/internal/recovered", None))
    if as_json:
        print_json({"recovering": False})


@click.command()
@fleet_options
@click.option("--moves", type=click.IntRange(0, 100), default=4, show_default=True, help="At a time; 0 to stop.")
@json_option
def rebalance(mappers: tuple[str, ...], secret: Path, moves: int, as_json: bool) -> None:
    """Move copies from full disks to emptier ones, until they are even. Each host keeps all its copies meanwhile.

    \b
    Example:
      drystone fleet rebalance
    """
    from drystone.fleet.orders import Moves

    ask_mapper(mappers, secret, lambda asked: asked.ask("/internal/rebalance", Moves(moves), Moves))
    if as_json:
        print_json({"moves": moves})

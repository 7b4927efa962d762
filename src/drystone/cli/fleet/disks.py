"""`drystone fleet disk`, `drill`, `forget`, `lead`, `rebalance`, `recovered`, `remember`: what operators decide."""

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


@disk.command("start-over")
@fleet_options
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do it; else it is only said what would be done.")
@json_option
def start_over(mappers: tuple[str, ...], secret: Path, folder: Path, yes: bool, as_json: bool) -> None:
    """Have the disk at FOLDER begin anew, whose index is lost or damaged: as another, empty disk of its fleet.

    To be run where the disk is. All that lies on it is set aside on the disk itself, for people to read or delete;
    hosts get their copies from the other disks.

    \b
    Examples:
      drystone fleet disk start-over /data_2          says what would be done
      drystone fleet disk start-over /data_2 --yes
    """
    from drystone.fleet.disk.renewal import plan_renewal, renew

    plan = plan_renewal(folder)
    alone = ask_mapper(mappers, secret, lambda asked: _find_alone(asked, plan.identity.disk_id))
    made = renew(plan).disk_id if yes else ""
    if as_json:
        print_json(
            {
                "disk": plan.identity.disk_id,
                "trouble": plan.trouble,
                "files": plan.files,
                "size": plan.size,
                "aside": str(plan.aside),
                "only_copies": alone,
                "done": yes,
                "new_disk": made,
            }
        )
        return
    print_line(f"{folder} is disk {plan.identity.disk_id} of fleet {plan.identity.fleet}: {plan.trouble}")
    for host in alone:
        print_line(f"no other copy of {host} is whole: what it stored is in those files only")
    was, becomes = ("were", "is now") if yes else ("would be", "would become")
    print_line(f"{plan.files} files with {plan.size} bytes {was} set aside in {plan.aside}, to be deleted by hand")
    print_line(f"it {becomes} an empty disk{f' {made}' if made else ''}, to which hosts are copied")
    if not yes:
        print_line("nothing was changed; --yes does it")


async def _find_alone(mappers: Mappers, disk_id: str) -> list[str]:
    """The hosts (NAMESPACE/HOST) of which a disk has the only copy in sync."""
    from drystone.fleet.documents import FleetMap

    found = (await fetch(mappers, "/internal/map")).document(FleetMap)
    return [
        f"{each.namespace}/{each.host}"
        for each in found.placements
        if [member.disk_id for member in each.in_sync()] == [disk_id]
    ]


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
    """Forget HOST (NAMESPACE/HOST): its slots are free, and its data is deleted after a week (mapper's --forgotten).

    Until then `drystone fleet remember` has it back.

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
@json_option
def remember(mappers: tuple[str, ...], secret: Path, host: str, as_json: bool) -> None:
    """Have HOST (NAMESPACE/HOST) back that was forgotten, with all that it had stored until then.

    `drystone fleet status` lists those whose data is not deleted yet.

    \b
    Example:
      drystone fleet remember backups/web1
    """
    from drystone.fleet.documents import Placement
    from drystone.fleet.orders import RememberOrder

    namespace, _, name = host.partition("/")
    order = RememberOrder(namespace, name)
    placement = ask_mapper(mappers, secret, lambda asked: asked.ask("/internal/remember", order, Placement))
    if as_json:
        print_json({"host": host, "leader": placement.leader, "epoch": placement.epoch})
    else:
        print_line(f"{host} is there again; {placement.leader} leads it")


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
@click.argument("host")
@json_option
def drill(mappers: tuple[str, ...], secret: Path, host: str, as_json: bool) -> None:
    """Have the newest objects of HOST (NAMESPACE/HOST) read back whole from all copies, before any other drill.

    The result stands in `drystone fleet status` and `audit`. A drill is made of every host once a day by itself.

    \b
    Example:
      drystone fleet drill backups/web1
    """
    from drystone.fleet.orders import DrillOrder

    async def act(asked: Mappers) -> None:
        await _post(asked, "/internal/drill", DrillOrder(await _find_host(asked, host)))

    ask_mapper(mappers, secret, act)
    if as_json:
        print_json({"ordered": host})


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

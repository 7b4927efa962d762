"""`drystone fleet status` and `audit`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drystone.base.clock import format_rfc3339
from drystone.base.errors import DrystoneError
from drystone.base.sizes import format_size
from drystone.cli.fleet.options import ask_mapper, fleet_options
from drystone.cli.output import json_option, print_json, print_line, print_table

if TYPE_CHECKING:
    from drystone.fleet.calls import Answer, Mappers
    from drystone.fleet.mapping.status import HostStatus, Risk, Status


async def fetch(mappers: Mappers, path: str) -> Answer:
    """What the leading mapper answers to a GET. :raises DrystoneError: it refused."""
    answer = await mappers.call("GET", path)
    if answer.status != 200:
        raise answer.error()
    return answer


@click.command()
@fleet_options
@json_option
def status(mappers: tuple[str, ...], secret: Path, as_json: bool) -> None:
    """Show servers, disks, hosts, and what a second failure would cost.

    \b
    Example:
      drystone fleet status --mapper http://127.0.0.1:8079 --secret fleet.secret
    """
    from drystone.fleet.mapping.status import Status

    answer = ask_mapper(mappers, secret, lambda asked: fetch(asked, "/internal/status"))
    if as_json:
        print_json(answer.document(dict[str, Any]))
        return
    print_status(answer.document(Status))


def print_status(found: Status) -> None:
    """For people."""
    print_table(
        ("server", "state", "heard", "leads", "copies", "url"),
        [
            (each.id, "alive" if each.alive else "dead", f"{each.silent:.0f} s ago", each.leads, each.copies, each.url)
            for each in found.servers
        ],
    )
    print_line("")
    print_table(
        ("disk", "state", "copies", "free", "of", "reason"),
        [
            (
                f"{each.server}/{each.disk}",
                each.state,
                each.copies,
                format_size(each.free) if each.capacity else "-",
                format_size(each.capacity) if each.capacity else "-",
                each.reason,
            )
            for each in found.disks
        ],
    )
    print_line("")
    print_table(
        ("namespace", "host", "state", "newest", "objects", "drill", "copies"),
        [
            (
                each.namespace,
                each.host or "-",
                each.state,
                _spell_age(each),
                each.objects,
                each.drill,
                "; ".join(each.copies),
            )
            for each in found.hosts
        ],
    )
    for host in found.hosts:
        if host.drill == "failed":
            print_line(f"the restore drill of {host.namespace}/{host.host} failed: {host.drill_text}")
    for risk in found.risks:
        if risk.unreadable:
            print_line(_spell_risk(risk))
    if found.recovering:
        print_line("\nthe map is being rebuilt from what the disks hold; new hosts have to wait")
    for line in found.short:
        print_line(f"few epochs are left of {line}")
    for line in found.waiting:
        print_line(f"waiting: {line}")
    for lost in found.forgotten:
        until = format_rfc3339(datetime.fromtimestamp(lost.until, UTC))
        size = format_size(lost.size)
        print_line(f"forgotten: {lost.namespace}/{lost.host}, {lost.objects} objects, {size}; deleted after {until}")
    for line in found.orphans:
        print_line(f"orphan, left alone: {line}")


def _spell_age(host: HostStatus) -> str:
    if host.age is None:
        return "-"
    for seconds, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if host.age >= 2 * seconds:
            return f"{host.age / seconds:.0f} {unit} ago"
    return f"{host.age:.0f} s ago"


def _spell_risk(risk: Risk) -> str:
    shown = ", ".join(risk.unreadable[:5]) + (" ..." if len(risk.unreadable) > 5 else "")
    return (
        f"\nif {risk.server} failed now, {len(risk.unreadable)} hosts with {risk.objects} objects "
        f"({format_size(risk.size) if risk.size else '0'}) could not be read: {shown}"
    )


@click.command()
@fleet_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Entries.")
@json_option
def audit(mappers: tuple[str, ...], secret: Path, limit: int, as_json: bool) -> None:
    """Show what was changed in the map, when and why; the newest last.

    \b
    Example:
      drystone fleet audit --limit 10
    """
    answer = ask_mapper(mappers, secret, lambda asked: fetch(asked, f"/internal/audit?limit={limit}"))
    entries = answer.document(list[dict[str, Any]])
    if as_json:
        print_json(entries)
        return
    for each in reversed(entries):
        try:
            moment = format_rfc3339(datetime.fromtimestamp(float(each["at"])).astimezone())
        except (OverflowError, OSError, ValueError) as error:
            raise DrystoneError(f"an entry of the audit log has no time: {each['at']}") from error
        print_line(f"{moment}  {each['what']} {each['subject']}: {each['why']}")

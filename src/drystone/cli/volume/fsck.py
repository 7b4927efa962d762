"""`drystone volume fsck`: what is not as the catalogue says, and mending it."""

from __future__ import annotations

from typing import Any

import click

from drystone.base.errors import MismatchError, UsageError
from drystone.cli.output import json_option, print_json
from drystone.cli.volume.asking import call, read_list, socket_option


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be without losing anything.")
@click.option(
    "--delete-unknown", is_flag=True, help="With --repair: also delete data that the catalogue does not know."
)
@json_option
@socket_option
def fsck(repair: bool, delete_unknown: bool, as_json: bool, socket: str) -> None:
    """Hold the catalogue against pools, devices, files and mounts, and explain what differs. The daemon goes on.

    Without --repair nothing is changed. The exit code is 0 when nothing is left that differs, 11 otherwise. --json
    prints {"differences": [...]}, each with driver, kind, subject, text, remedy, loses, state (left, mended or failed)
    and problem.

    \b
    Examples:
      drystone volume fsck
      drystone volume fsck --repair
    """
    if delete_unknown and not repair:
        raise UsageError("--delete-unknown goes with --repair")
    found = read_list(call(socket, "POST", "/fsck", {"Repair": repair, "DeleteUnknown": delete_unknown}))
    if as_json:
        print_json({"differences": found})
    else:
        for each in found:
            click.echo(_spell(each))
    left = sum(each["state"] != "mended" for each in found)
    if left:
        what = "1 difference is left" if left == 1 else f"{left} differences are left"
        hint = "" if repair else "drystone volume fsck --repair mends what can be without losing anything"
        raise MismatchError(what, hint=hint)


def _spell(each: dict[str, Any]) -> str:
    """A difference for people: what it is, what to do, or what was done."""
    line = f"{each['subject']}: {each['text']}"
    match each["state"]:
        case "mended":
            return f"{line}\n  mended: {each['remedy']}"
        case "failed":
            return f"{line}\n  not mended: {each['problem']}"
        case _:
            return f"{line}\n  {'only with --repair --delete-unknown' if each['loses'] else 'remedy'}: {each['remedy']}"

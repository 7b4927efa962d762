"""`--dry-run`: the calls of agents that the API would make, with their exact tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drystone.base.sizes import format_size
from drystone.cli.cluster.progress import printable
from drystone.cli.output import print_json, print_line

if TYPE_CHECKING:
    from drystone.cluster.client.api import Reply
    from drystone.cluster.model.calls import Call, LegsWish


def print_preview(reply: Reply, *, as_json: bool) -> None:
    """An answer to a request with `dry_run`."""
    from drystone.cluster.api.documents import Preview

    if as_json:
        print_json(reply.document())
        return
    preview = reply.read(Preview)
    dlv = preview.dlv
    print_line(f"# dlv {dlv.name}: {dlv.status}, epoch {dlv.epoch}" + (f", {dlv.reason}" if dlv.reason else ""))
    for note in preview.notes:
        print_line(f"# {printable(note)}")
    if not preview.calls:
        print_line("# no agent is called")
    for call in preview.calls:
        print_line("\n".join(map(printable, render_call(call))))


def render_call(call: Call) -> list[str]:
    """A call in lines: where to, what is exported or attached, and the table of every device."""
    from drystone.cluster.model.calls import LegsWish

    wish = call.body
    lines = ["", f"{call.method} {call.path} to {call.host} at {call.address}, epoch {wish.epoch}"]
    if isinstance(wish, LegsWish):
        lines += _render_exports(wish)
    else:
        lines += [f"  disk {each.leg} from {each.portal} {each.target}" for each in wish.disks]
        lines += [f"  log {each.path}: {each.regions} regions, {each.bits}" for each in wish.logs]
        lines += ["  the file system grows to the size of its device"] if wish.fill else []
    for device in wish.state.devices:
        lines.append(f"  {device.name}:")
        lines += [f"    {row.start} {row.length} {row.target} {row.params}".rstrip() for row in device.table]
        if device.transaction is not None:
            lines += [f"    message: {each}" for each in device.transaction.messages]
    return lines


def _render_exports(wish: LegsWish) -> list[str]:
    if not wish.exports:
        return ["  no leg is left"]
    return [
        f"  leg {each.leg}: {format_size(each.size)}, {each.target}, for {' '.join(each.initiators) or 'nobody'}"
        for each in wish.exports
    ]

"""`dlvm attachments`: where volumes are. `dlvm dlvs attach` and `detach` change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.cli.cluster.asking import find_all, print_list, print_one
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import DLV, IHOST, Where, api_options
from drystone.cli.output import json_option

if TYPE_CHECKING:
    from drystone.cluster.api.documents import AttachmentState
    from drystone.cluster.model.dlv import Dlv


@click.group()
def attachments() -> None:
    """Where volumes are attached, and are to be."""


@attachments.command("list", cls=ClusterCommand)
@click.option("--ihost", type=IHOST, help="Those at this ihost.")
@api_options
@json_option
def list_(where: Where, ihost: str | None, as_json: bool) -> None:
    """List the dlvs that are attached, or are to be. With --json: the dlvs themselves.

    \b
    Example:
      dlvm attachments list --ihost h1
    """
    from drystone.cluster.model.dlv import Dlv

    dlvs = find_all(where, "/dlvs", {"ihost": ihost})
    found = [each for each in dlvs if each.get("attachment") or each.get("wanted")]
    print_list(found, Dlv, ("dlv", "ihost", "wanted", "status", "epoch", "reason"), _row, as_json=as_json)


def _row(dlv: Dlv) -> tuple[object, ...]:
    here = "-" if dlv.attachment is None else dlv.attachment.ihost
    return dlv.name, here, dlv.wanted or "-", dlv.status, dlv.epoch, dlv.reason


@attachments.command("show", cls=ClusterCommand)
@click.argument("dlv", type=DLV)
@api_options
@json_option
def show(where: Where, dlv: str, as_json: bool) -> None:
    """Show where DLV is attached, and is to be.

    \b
    Example:
      dlvm attachments show db
    """
    from drystone.cluster.api.documents import AttachmentState
    from drystone.cluster.client.api import place

    columns = ("dlv", "ihost", "wanted", "status", "epoch", "reason")
    print_one(where, place("dlvs", dlv, "attachment"), AttachmentState, columns, _row_of_state, as_json=as_json)


def _row_of_state(state: AttachmentState) -> tuple[object, ...]:
    return state.dlv, state.ihost or "-", state.wanted or "-", state.status, state.epoch, state.reason

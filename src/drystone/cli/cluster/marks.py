"""Commands that dpvs and ihosts have alike: `available`, `unavailable` and `delete`."""

from __future__ import annotations

from typing import Literal

import click

from drystone.cli.cluster.asking import write
from drystone.cli.cluster.help import PROGRAM, ClusterCommand
from drystone.cli.cluster.options import Name, Where, Words, Writing, api_options, write_options
from drystone.cli.output import json_option

HostKind = Literal["dpv", "ihost"]


def make_mark(kind: HostKind, status: Literal["available", "unavailable"], text: str, example: str) -> click.Command:
    """The command by which an operator says how a host is. :param text: its help. :param example: of its words."""

    @click.command(status, cls=ClusterCommand, help=_spell_help(text, f"{kind}s {status} {example}"))
    @click.argument("name", type=Name(kind))
    @click.option("--reason", type=Words(), default="", help="For the events.")
    @api_options
    @write_options
    @json_option
    def mark(where: Where, writing: Writing, name: str, reason: str, as_json: bool) -> None:
        from drystone.cluster.client.api import Request, place

        request = Request("POST", place(f"{kind}s", name, status), body={"reason": reason})
        write(where, writing, request, f"{kind} {name}", as_json=as_json)

    return mark


def make_removal(kind: HostKind, text: str, example: str) -> click.Command:
    """The command that has a host forgotten. :param text, example: as for `make_mark`."""

    @click.command("delete", cls=ClusterCommand, help=_spell_help(text, f"{kind}s delete {example}"))
    @click.argument("name", type=Name(kind))
    @api_options
    @write_options
    @json_option
    def delete(where: Where, writing: Writing, name: str, as_json: bool) -> None:
        from drystone.cluster.client.api import Request, place

        write(where, writing, Request("DELETE", place(f"{kind}s", name)), f"{kind} {name}", as_json=as_json)

    return delete


def _spell_help(text: str, example: str) -> str:
    return f"{text}\n\n\b\nExample:\n  {PROGRAM} {example}"

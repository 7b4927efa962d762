"""How commands ask the volume daemon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from drystone.base.errors import DrystoneError
from drystone.cli.convoy import DEFAULT_SOCKET
from drystone.cli.output import Function, print_json
from drystone.wire.client import Answer, UnixClient


def socket_option(function: Function) -> Function:
    """The option `--socket`, as the parameter `socket`."""
    return click.option(
        "--socket",
        "-s",
        default=DEFAULT_SOCKET,
        show_default=True,
        envvar="DRYSTONE_SOCKET",
        show_envvar=True,
        help="The daemon's unix socket.",
    )(function)


def call(socket: str, method: str, route: str, body: Mapping[str, object] | None = None) -> Answer:
    """One request to the daemon."""
    return UnixClient(Path(socket), start="drystone volume daemon").call(method, f"/v1{route}", body)


def read_object(answer: Answer) -> dict[str, Any]:
    """The answer's JSON object. :raises DrystoneError: it is something else."""
    document = answer.document()
    if not isinstance(document, dict):
        raise DrystoneError("the daemon's answer is no object")
    return document


def read_list(answer: Answer) -> list[dict[str, Any]]:
    """The answer's JSON array. :raises DrystoneError: it is something else."""
    document = answer.document()
    if not isinstance(document, list):
        raise DrystoneError("the daemon's answer is no list")
    return document


def print_result(answer: Answer) -> None:
    """What a command that makes something prints: an object as JSON, a text as it is."""
    if answer.content_type == "application/json":
        print_json(answer.document())
    elif answer.text:
        click.echo(answer.text.rstrip("\n"))

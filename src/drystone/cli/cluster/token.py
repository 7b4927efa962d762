"""`drystone cluster token`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from drystone.base.errors import ExistsError
from drystone.cli.cluster.options import Name
from drystone.cli.output import json_option, print_json, print_line

if TYPE_CHECKING:
    from drystone.cluster.api.tokens import Role


@click.command()
@click.argument("name", type=Name("caller"))
@click.option(
    "--role",
    type=click.Choice(["operator", "viewer", "agent"]),
    default="operator",
    show_default=True,
    help="An operator changes, a viewer looks; an agent is the one of the ihost NAME.",
)
@click.option(
    "--tokens",
    type=click.Path(path_type=Path),
    default=Path("/etc/drystone/cluster-tokens.toml"),
    show_default=True,
    help="File that the API servers read when they start; made when there is none.",
)
@click.option("--out", type=click.Path(path_type=Path), help="File for the token alone; else it is printed.")
@json_option
def token(name: str, role: str, tokens: Path, out: Path | None, as_json: bool) -> None:
    """Give NAME a token of the API. Its servers know it once they are started again.

    \b
    Examples:
      drystone cluster token alice --out alice.token
      drystone cluster token h1 --role agent --out /etc/drystone/ihost.token
    """
    from drystone.base.files import replace_file
    from drystone.cluster.callers import add_caller

    if out is not None and out.exists():
        raise ExistsError(f"{out} is there", hint="name another file")
    made = add_caller(tokens, name, cast("Role", role))
    if out is not None:
        replace_file(out, f"{made}\n".encode())
    if as_json:
        print_json(
            {"name": name, "role": role, "token": made}
            if out is None
            else {"name": name, "role": role, "file": str(out)}
        )
    else:
        print_line(made if out is None else f"the token of {name} is in {out}")

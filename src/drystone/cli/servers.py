"""Options by which a command finds the servers that it asks, and shows them who asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from drystone.cli.output import Function


def servers_option(
    flag: str, parameter: str, *, default: str, variable: str, what: str
) -> Callable[[Function], Function]:
    """A flag that names servers by their URLs, as the parameter of that name: a tuple.

    :param default: the one that is asked when none is named. :param variable: of the environment, with all of them.
    :param what: they are, for the help.
    """
    return click.option(
        flag,
        parameter,
        multiple=True,
        default=(default,),
        show_default=True,
        envvar=variable,
        show_envvar=True,
        help=f"URL of {what}; may be given several times.",
    )


def credential_option(flag: str, *, default: Path, variable: str, what: str) -> Callable[[Function], Function]:
    """A flag that names the file with what the servers know us by.

    :param variable: of the environment, with its path. :param what: is in it, for the help.
    """
    return click.option(
        flag,
        type=click.Path(path_type=Path),
        default=default,
        show_default=True,
        envvar=variable,
        show_envvar=True,
        help=f"File with {what}.",
    )

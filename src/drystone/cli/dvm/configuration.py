"""The option `-c FILE` of the tools, and of `dvm` for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from drystone.cli.input import read_input
from drystone.cli.output import Function

if TYPE_CHECKING:
    from drystone.dvm.configuration import Configuration

_KEY = "drystone.dvm.configuration"


def config_option(function: Function) -> Function:
    """`-c FILE` for a tool, as the parameter `configuration`; without it, what `dvm -c FILE` was given."""

    def load(ctx: click.Context, _: click.Parameter, file: str | None) -> Any:
        return load_configuration(ctx, file)

    return click.option(
        "-c", "--config", "configuration", metavar="FILE", callback=load, help="Configuration, TOML; none otherwise."
    )(function)


def pass_down_option(function: Function) -> Function:
    """`-c FILE` for the group of all tools, which hands it down."""

    def note(ctx: click.Context, _: click.Parameter, file: str | None) -> None:
        if file is not None:
            ctx.meta[_KEY] = file

    return click.option(
        "-c", "--config", metavar="FILE", callback=note, expose_value=False, help="Configuration for the tool, TOML."
    )(function)


def passed_down(ctx: click.Context) -> str | None:
    """The file that the group was given."""
    named: str | None = ctx.meta.get(_KEY)
    return named


def load_configuration(ctx: click.Context, file: str | None) -> Configuration:
    """From that file, else from the one that the group was given, else the defaults.

    :raises NotFoundError: there is no such file. :raises UsageError: it is wrong; with the place.
    """
    from drystone.dvm.configuration import Configuration, parse_configuration

    named = file or passed_down(ctx)
    if named is None:
        return Configuration()
    return parse_configuration(read_input(named), named)

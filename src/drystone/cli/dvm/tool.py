"""What the tools of `dvm` share: how they fail, and how a document is printed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from drystone.base.documents import encode
from drystone.base.errors import KernelError, UsageError
from drystone.cli.programs import device_mapper


class Tool(click.Command):
    """A tool: its failures have the class that errno stands for, and every complaint about a document a hint."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KernelError as error:
            from drystone.kernel.dm.causes import classed

            raise classed(error) from error
        except UsageError as error:
            if error.hint:
                raise
            hint = f"formats are in docs/reference, the use is in: {ctx.command_path} --help"
            raise UsageError(error.message, hint=hint, **error.facts) from error


errors_as_json = click.option(
    "--json", is_flag=True, expose_value=False, help="Errors as JSON: always so when called as `dvm`."
)


def pass_mapper(function: Callable[..., None]) -> Callable[..., None]:
    """Hand the command the device-mapper as its first parameter."""

    @functools.wraps(function)
    def call(*arguments: object, **others: object) -> None:
        function(device_mapper(click.get_current_context()), *arguments, **others)

    return call


def print_document(document: object) -> None:
    """The one document on stdout."""
    click.echo(encode(document, indent=2))

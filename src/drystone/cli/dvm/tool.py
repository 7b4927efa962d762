"""What the tools of `dvm` share as commands of click."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from drystone.base.errors import KernelError, UsageError
from drystone.cli.dvm.documents import explain, print_document
from drystone.cli.programs import device_mapper

__all__ = ["Tool", "errors_as_json", "pass_mapper", "print_document"]


class Tool(click.Command):
    """A tool: its failures have the class that errno stands for, and every complaint about a document a hint."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KernelError, UsageError) as error:
            told = explain(error, ctx.command_path)
            if told is error:
                raise
            raise told from error


errors_as_json = click.option(
    "--json", is_flag=True, expose_value=False, help="Errors as JSON: always so when called as `dvm`."
)


def pass_mapper(function: Callable[..., None]) -> Callable[..., None]:
    """Hand the command the device-mapper as its first parameter."""

    @functools.wraps(function)
    def call(*arguments: object, **others: object) -> None:
        function(device_mapper(click.get_current_context()), *arguments, **others)

    return call

"""What the tools of `dvm` share: how they fail, and how a document is printed."""

from __future__ import annotations

from typing import Any

import click

from drystone.base.documents import encode
from drystone.base.errors import KernelError, UsageError
from drystone.kernel.dm.causes import classed


class Tool(click.Command):
    """A tool: its failures have the class that errno stands for, and every complaint about a document a hint."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KernelError as error:
            raise classed(error) from error
        except UsageError as error:
            if error.hint:
                raise
            hint = f"the format is in docs/reference/programs.md, the use in: dvm {self.name} --help"
            raise UsageError(error.message, hint=hint, **error.facts) from error


errors_as_json = click.option(
    "--json", is_flag=True, expose_value=False, help="Errors as JSON: always so when called as `dvm`."
)


def print_document(document: object) -> None:
    """The one document on stdout."""
    click.echo(encode(document, indent=2))

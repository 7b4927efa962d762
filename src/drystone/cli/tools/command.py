"""What the metadata tools have in common: exit codes, the version, and flags that mean the same in each.

Exit codes in every spelling: 0 success · 1 the metadata is bad, or the tool could not do it · 2 wrong arguments.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click

from drystone import __version__
from drystone.base.errors import DrystoneError, UsageError
from drystone.cli.output import HELP, Function
from drystone.cli.tools.plain.failures import tell_failure

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells.")
compat_option = click.option(
    "--compat", type=click.Choice(["0.9", "1"]), default="1", show_default=True, help="Whose spelling of the output."
)
output_option = click.option("-o", "--output", type=click.Path(), metavar="FILE", help="Write there, not to stdout.")


class Tool(click.Command):
    """A command whose failures end with 1, and wrong arguments with 2, whatever group it is called through."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments; wrong ones are one line too."""
        as_json = "--json" in args  # click takes what it has read off the list
        with exit_as_tool(self.name or "", as_json=as_json):
            try:
                return super().make_context(info_name, args, parent, **extra)
            except click.UsageError as error:
                raise UsageError(error.format_message()) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        with exit_as_tool(self.name or "", as_json=bool(ctx.params.get("as_json"))):
            return super().invoke(ctx)


@contextlib.contextmanager
def exit_as_tool(name: str, *, as_json: bool) -> Iterator[None]:
    """Print a failure as one line `name: ...`, or as a JSON object, and end with the tool's exit code.

    :raises click.exceptions.Exit: something failed.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (DrystoneError, OSError) as error:
        raise click.exceptions.Exit(tell_failure(error, name, as_json=as_json)) from error


def tool(name: str, *, epilog: str = "") -> Callable[[Callable[..., Any]], Tool]:
    """A decorator: the function is the tool `name`, with -h and -V."""

    def decorate(function: Callable[..., Any]) -> Tool:
        command = click.command(name, cls=Tool, context_settings=HELP, epilog=epilog or None)(_version(function))
        assert isinstance(command, Tool)
        return command

    return decorate


def _version(function: Function) -> Function:
    return click.version_option(__version__, "-V", "--version", message="%(version)s")(function)

"""`convoy-pdata_tools`: the tools of thin-provisioning-tools under their own names, flags, output and exit codes.

0 success · 1 the metadata is bad, or the tool could not do it · 2 wrong arguments. Errors are one line on stderr.
A link to this program that bears a tool's name runs that tool, as `pdata_tools` of Debian's package does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from drystone import __version__
from drystone.cli.exits import BROKEN_PIPE, INTERRUPTED, invoke, leave
from drystone.cli.lazy import LazyGroup
from drystone.cli.output import HELP
from drystone.cli.start_up import spare_numpy
from drystone.cli.tools.command import exit_as_tool
from drystone.cli.tools.table import TOOLS


@click.group("convoy-pdata_tools", cls=LazyGroup, lazy=TOOLS, context_settings=HELP)
@click.version_option(__version__, "-V", "--version", message="%(version)s")
def pdata_tools() -> None:
    """Tools for the metadata of dm-thin and dm-era, with the flags and the output of thin-provisioning-tools.

    \b
    Example:
      convoy-pdata_tools thin_metadata_size -b 2m -s 100G -m 100000 -u M
    """
    spare_numpy()


def run_tool(arguments: Sequence[str] | None = None) -> int:
    """Run one tool; its exit code. A broken pipe ends it without a word."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = next((word for word in words if word in TOOLS), "convoy-pdata_tools")
    try:
        with exit_as_tool(name, as_json="--json" in words):
            return invoke(pdata_tools, words, "convoy-pdata_tools")
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        click.echo(f"{name}: {error.format_message()}", err=True)
        return 2
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE


def main() -> None:
    """The console script, and every link to it: called by a tool's name it is that tool."""
    called = Path(sys.argv[0]).name
    leave(run_tool([called, *sys.argv[1:]] if called in TOOLS else None))


if __name__ == "__main__":
    main()

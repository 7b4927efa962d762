"""`dvm` and `drystone dvm`: device-mapper changes as programs. A tool is a function from documents to a document.

stdout holds exactly one document (JSON, or with --text the text form), stderr the errors, as JSON.
"""

from __future__ import annotations

import sys

import click

from drystone import __version__
from drystone.cli.dvm.tool import errors_as_json
from drystone.cli.lazy import Lazy, LazyGroup
from drystone.cli.output import HELP

TOOLS = {
    "observe": Lazy("drystone.cli.dvm.programs:observe", "Print the state of device-mapper."),
    "dmactivate": Lazy("drystone.cli.dvm.programs:dmactivate", "Print the program from one state to another."),
    "dmexec": Lazy("drystone.cli.dvm.programs:dmexec", "Check or run a program."),
}
"""The tools by name; each is imported when it is used."""


@click.group(cls=LazyGroup, lazy=TOOLS, context_settings=HELP)
@click.version_option(__version__, "-V", "--version", prog_name="dvm")
@errors_as_json
@click.pass_context
def dvm(ctx: click.Context) -> None:
    """Programs: what would change in device-mapper, and the change.

    Documents are JSON on files or stdin ("-"); docs/reference/programs.md describes them. Errors are JSON on stderr,
    and the exit code says their kind (docs/reference/exit-codes.md).

    \b
    Examples:
      dvm observe --name vg- > now.json                 what is there
      dvm dmactivate now.json wanted.json > prog.json   what has to be done
      dvm dmactivate now.json wanted.json --describe    the same in words
      dvm dmexec prog.json                              do it
    """
    if ctx.obj is None:
        from drystone.kernel.dm.device_mapper import KernelDeviceMapper

        mapper = KernelDeviceMapper()
        ctx.call_on_close(mapper.close)
        ctx.obj = mapper


def main() -> None:
    """The console script `dvm`. Its errors are JSON always."""
    from drystone.cli.exits import run

    words = sys.argv[1:]
    sys.exit(run(dvm, ["--json", *words] if words else [], name="dvm"))

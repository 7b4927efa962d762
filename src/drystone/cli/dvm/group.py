"""`dvm` and `drystone dvm` as a group of click: all tools with all their options and help."""

from __future__ import annotations

import click

from drystone import __version__
from drystone.cli.dvm.configuration import pass_down_option
from drystone.cli.dvm.session import log_option
from drystone.cli.dvm.tool import errors_as_json
from drystone.cli.lazy import Lazy, LazyGroup
from drystone.cli.output import HELP

TOOLS = {
    "activate": Lazy("drystone.cli.dvm.activate:activate", "Make the volumes of groups active."),
    "apply": Lazy("drystone.cli.dvm.plan:apply", "Print the group that a plan leads to."),
    "boot": Lazy("drystone.cli.dvm.activate:boot", "Write the files that activate groups at boot."),
    "discover": Lazy("drystone.cli.dvm.discover:discover", "Devices and their groups, by labels."),
    "dmactivate": Lazy("drystone.cli.dvm.programs:dmactivate", "Print the program from one state to another."),
    "dmexec": Lazy("drystone.cli.dvm.programs:dmexec", "Check or run a program."),
    "lvm2": Lazy("drystone.cli.dvm.lvm2:lvm2", "Read LVM2's volume groups."),
    "metadata": Lazy("drystone.cli.dvm.metadata:metadata", "Change a volume group document."),
    "observe": Lazy("drystone.cli.dvm.programs:observe", "Print the state of device-mapper."),
    "plan": Lazy("drystone.cli.dvm.plan:plan", "Print how a group becomes what a layout wants."),
    "record": Lazy("drystone.cli.dvm.session:record", "Run a tool, and note what went in and out."),
    "replay": Lazy("drystone.cli.dvm.session:replay", "Run the tools of a recorded session again."),
    "replace": Lazy("drystone.cli.dvm.replace:replace", "Bring all that is on a device to others, and take it out."),
    "replicate": Lazy("drystone.cli.dvm.replicate:replicate", "Keep the same bytes in many regions, by transactions."),
    "report": Lazy("drystone.cli.dvm.report:report", "What is in a group."),
    "serve": Lazy("drystone.cli.dvm.serve:serve", "Keep the tools in memory, for `dvm` to start at once."),
    "show": Lazy("drystone.cli.dvm.report:show", "What is in a group, read from its devices."),
    "resize": Lazy("drystone.cli.dvm.resize:resize", "Another size for a volume and its file system."),
    "transact": Lazy("drystone.cli.dvm.transact:transact", "A group's metadata: versions, each whole or not at all."),
    "volactivate": Lazy("drystone.cli.dvm.volactivate:volactivate", "Print the state in which volumes are active."),
}
"""The tools by name; each is imported when it is used."""


@click.group(cls=LazyGroup, lazy=TOOLS, context_settings=HELP)
@click.version_option(__version__, "-V", "--version", prog_name="dvm")
@errors_as_json
@pass_down_option
@log_option
def dvm() -> None:
    """The volume manager as small tools: each takes documents and prints one.

    Documents are JSON on files or stdin ("-"); docs/reference describes them. Errors are JSON on stderr, and the exit
    code says their kind (docs/reference/exit-codes.md). No tool looks for a configuration by itself: -c names one.

    \b
    Examples:
      dvm discover find vg | dvm transact read vg | dvm report --text   what is in a group
      dvm transact update vg --activate -- dvm metadata create db --size 10g
      dvm observe --name vg- > now.json                                 what is active
      dvm dmactivate now.json wanted.json --describe                    what has to be done
      dvm dmactivate now.json wanted.json | dvm dmexec                  do it
    """

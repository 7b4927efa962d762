"""`dvm plan` and `dvm apply`: the group that is wanted goes in, the way there comes out, and is gone."""

from __future__ import annotations

import click

from drystone.cli.dvm.metadata.document import group_options, mutate
from drystone.cli.dvm.plain.mutators import read_group
from drystone.cli.dvm.tool import Tool, print_document
from drystone.cli.input import name_input, read_input


@click.command(cls=Tool)
@group_options
@click.option("--text", is_flag=True, help="Print the plan in words instead of the document.")
@click.option("--seed", metavar="TEXT", help="Uuids follow from TEXT and are the same at every run; random without.")
@click.argument("layout")
def plan(file: str, text: bool, seed: str | None, layout: str) -> None:
    """Print how the group on stdin becomes what the file LAYOUT wants. Nothing is changed.

    LAYOUT names volumes with their kinds and sizes (docs/reference/plan.md). New ones are made, others get larger or
    smaller; those that it does not name stay, or go if it says "others": "remove". The plan says what the kernel
    copies, what is lost, and who has to wait. It holds for the group as it is now, and for no other.

    \b
    Examples:
      dvm discover find vg | dvm transact read vg > vg.json
      dvm plan layout.json < vg.json --text             look at it
      dvm plan layout.json < vg.json > plan.json
      dvm transact update vg -- dvm apply plan.json     do it
    """
    from drystone.base.names import new_uuid
    from drystone.dvm.planning import plan as planner
    from drystone.dvm.planning.layout import parse_layout

    wanted = parse_layout(read_input(layout), name_input(layout))
    made = planner.plan(read_group(file), wanted, seed or new_uuid())
    if text:
        click.echo("\n".join(planner.describe(made)))
    else:
        print_document(made)


@click.command(cls=Tool)
@group_options
@click.option(
    "--lose-data", is_flag=True, help="The plan may remove and reduce volumes: what it says of that was read."
)
@click.argument("file_of_plan", metavar="PLAN")
def apply(file: str, lose_data: bool, file_of_plan: str) -> None:
    """Print the group that PLAN makes of the group on stdin. A group that has moved on since is refused.

    \b
    Example:
      dvm transact update vg -- dvm apply plan.json
    """
    from drystone.dvm.planning import plan as planner

    wanted = planner.parse_plan(read_input(file_of_plan), name_input(file_of_plan))
    mutate(file, lambda group: planner.apply(group, wanted, lose_data=lose_data))

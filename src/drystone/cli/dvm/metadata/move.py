"""The mutator that moves extents."""

from __future__ import annotations

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.metadata.document import DEVICES, group_options, mutate, space_options
from drystone.cli.dvm.tool import Tool
from drystone.cli.input import name_input, read_input


@click.command(cls=Tool, epilog=DEVICES)
@group_options
@space_options
@click.option("--finish", is_flag=True, help="End moves: only the new places stay.")
@click.option("--abort", is_flag=True, help="Give moves up: only the old places stay.")
@click.option("--live", metavar="FILE", help="With --finish: what dvm report live printed, to see what is copied.")
@click.option("--copied", is_flag=True, help="With --finish instead of --live: everything is copied, take my word.")
@click.option("--only", "volumes", multiple=True, metavar="VOLUME", help="Only its extents; repeatable.")
@click.argument("source", required=False)
def move(
    file: str,
    policy: str,
    devices: tuple[str, ...],
    finish: bool,
    abort: bool,
    live: str | None,
    copied: bool,
    volumes: tuple[str, ...],
    source: str | None,
) -> None:
    """Begin to move the extents on the device SOURCE to others; end or give up what was begun.

    A move is begun, activated (it copies while the volumes are in use), and ended. After a restart it goes on when the
    group is activated again.

    \b
    Examples:
      dvm metadata move /dev/sdb --on /dev/sdc < vg.json
      dvm report live < vg.json > live.json; dvm metadata move --finish --live live.json < vg.json
    """
    from drystone.dvm.groups.group import Group
    from drystone.dvm.metadata import move as mutators
    from drystone.dvm.reports.live import moved_volumes, parse_live

    if (source is not None) + finish + abort != 1:
        raise UsageError("one of SOURCE, --finish and --abort is needed", hint="dvm metadata move --help")
    if finish and (live is not None) == copied:
        raise UsageError("--finish needs one of --live FILE and --copied", hint="dvm report live prints such a file")

    def change(group: Group) -> Group:
        if source is not None:
            return mutators.begin(group, source, volumes=volumes, policy=policy, devices=devices)
        if abort:
            return mutators.abort(group, volumes=volumes)
        in_sync = None if live is None else moved_volumes(group, parse_live(read_input(live), name_input(live)))
        return mutators.finish(group, in_sync, volumes=volumes)

    mutate(file, change)

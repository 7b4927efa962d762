"""`dvm activate`: groups become active, and the files by which they do so as the machine starts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.configuration import config_option
from drystone.cli.dvm.host import finder, make_host, make_place
from drystone.cli.dvm.tool import Tool, errors_as_json, print_document

if TYPE_CHECKING:
    from drystone.dvm.configuration import Configuration
    from drystone.dvm.discovery.devices import GroupReference
    from drystone.dvm.transactions.start import Started


@click.command(cls=Tool)
@config_option
@errors_as_json
@click.option("--all", "every", is_flag=True, help="All groups that are found.")
@click.option("--only", multiple=True, metavar="VOLUME", help="Only it and what it needs; repeatable, with one GROUP.")
@click.option("--partial", is_flag=True, help="Also when devices are missing: what can be without them.")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 86400), default=0.0, help="Seconds to wait for devices.")
@click.option("--off", is_flag=True, help="Take the volumes out of device-mapper instead.")
@click.option("--dry-run", is_flag=True, help="Print what would be done; do nothing.")
@click.option("--text", is_flag=True, help="A line a group for people instead of JSON, with --dry-run each step.")
@click.argument("groups", nargs=-1, metavar="[GROUP]...")
@click.pass_context
def activate(
    ctx: click.Context,
    configuration: Configuration,
    every: bool,
    only: tuple[str, ...],
    partial: bool,
    wait_s: float,
    off: bool,
    dry_run: bool,
    text: bool,
    groups: tuple[str, ...],
) -> None:
    """Make the volumes of GROUPs active, as their metadata have them.

    An update that a crash cut short is finished or undone first, when all devices are there. With --partial, raid sets
    go on without lost legs, and what cannot be whole is left as it is. One group that fails does not keep back others.

    \b
    Examples:
      dvm activate vg
      dvm activate --all --partial --wait 30
      dvm activate vg --off
    """
    from drystone.base.clock import SystemClock
    from drystone.dvm.discovery.devices import GroupReference
    from drystone.dvm.transactions import start as engine

    if every == bool(groups):
        raise UsageError("one of --all and GROUPs is needed", hint="dvm discover list shows all")
    if only and len(groups) != 1:
        raise UsageError("--only goes with one GROUP")
    host = make_host(ctx, configuration)
    wish = engine.Wish(partial=partial, only=only, off=off, dry_run=dry_run)

    def start_one(group: GroupReference) -> Started:
        find = finder(configuration, group.uuid or group.name, None)
        return engine.start(host, engine.wait_for(find, wait_s, SystemClock()), wish)

    wanted = _list_all(configuration) if every else [GroupReference(each, "") for each in groups]
    done, error = engine.start_all(wanted, start_one)
    activated = engine.Activated(groups=done, dry_run=dry_run)
    if text:
        click.echo("\n".join(engine.render_text(activated)))
    else:
        print_document(activated)
    sys.stdout.flush()
    if error is not None:
        raise error


def _list_all(configuration: Configuration) -> list[GroupReference]:
    from drystone.dvm.discovery.finding import list_all

    return [each.group for each in list_all(make_place(configuration)).groups]


@click.command(cls=Tool)
@errors_as_json
@click.option("--overwrite", is_flag=True, help="Also over files of these names that hold something else.")
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@click.option("--program", metavar="PATH", help="The dvm that they call; the one that runs without.")
@click.argument("root", default="/")
def boot(overwrite: bool, dry_run: bool, program: str | None, root: str) -> None:
    """Write the files by which systemd activates groups as the machine starts, below the folder ROOT.

    Those are a unit for a group, drystone-dvm@.service, and a generator, which calls it for each group that
    /etc/drystone/dvmtab names: a line a group, with its options. docs/how-to/activate-at-boot.md has all. And the units
    of the command server (`dvm serve`), which is off until its socket is enabled.

    \b
    Examples:
      dvm boot --dry-run
      dvm boot && echo 'vg partial,wait=30' >> /etc/drystone/dvmtab && systemctl daemon-reload
    """
    from drystone.dvm.boot.install import find_self, install

    print_document(install(root, program or find_self(), overwrite=overwrite, dry_run=dry_run))

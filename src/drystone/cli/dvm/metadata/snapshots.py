"""Mutators of snapshots, and of volumes that go back to them."""

from __future__ import annotations

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.metadata.document import (
    DEVICES,
    SIZE,
    group_options,
    join_option,
    mutate,
    seed_option,
    space_options,
    tags_option,
)
from drystone.cli.dvm.plain import mutators
from drystone.cli.dvm.tool import Tool
from drystone.cli.input import name_input, read_input


@click.command(cls=Tool, epilog=DEVICES)
@group_options
@seed_option
@space_options
@tags_option
@join_option
@click.option("--size", type=SIZE, help="Of a classic snapshot: room for what changes. A thin volume's needs none.")
@click.option("--chunk", type=SIZE, help="Of a classic snapshot: bytes copied at once; 4k without, or as the others.")
@click.argument("origin")
@click.argument("name")
def snapshot(
    file: str,
    seed: str | None,
    policy: str,
    devices: tuple[str, ...],
    tags: tuple[str, ...],
    join: bool,
    size: int | None,
    chunk: int | None,
    origin: str,
    name: str,
) -> None:
    """NAME, a snapshot of the volume ORIGIN: thin of a thin volume, else a classic one with a store of its own.

    \b
    Examples:
      dvm metadata snapshot db db-monday < vg.json
      dvm metadata snapshot old old-monday --size 1g < vg.json
    """
    mutate(file, mutators.snapshot(origin, name, seed, policy, devices, tags, size, join=join, chunk=chunk))


@click.command(cls=Tool)
@group_options
@join_option
@click.argument("name")
@click.argument("snapshot_name", metavar="SNAPSHOT")
def rollback(file: str, join: bool, name: str, snapshot_name: str) -> None:
    """Give the thin volume NAME what SNAPSHOT holds, at once. What it held is deleted; the snapshot stays.

    NAME must not be in use when this is activated.

    \b
    Example:
      dvm metadata rollback db db-monday < vg.json > new.json
    """
    from drystone.dvm.metadata.thin import rollback as make

    mutate(file, lambda group: make(group, name, snapshot_name, join=join))


@click.command(cls=Tool)
@group_options
@click.option("--finish", is_flag=True, help="End merges: the snapshots and their stores go.")
@click.option("--live", metavar="FILE", help="With --finish: what dvm report live printed, to see what is copied back.")
@click.option("--merged", is_flag=True, help="With --finish instead of --live: all is copied back, take my word.")
@click.argument("names", nargs=-1, metavar="[SNAPSHOT]...")
def merge(file: str, finish: bool, live: str | None, merged: bool, names: tuple[str, ...]) -> None:
    """Let the origin of the classic SNAPSHOT go back to it; end that, when all is copied back.

    The origin shows the old content from the moment that this is active, and is copied back in use. To begin with, it
    must not be in use. What was written to it since the snapshot is lost.

    \b
    Examples:
      dvm metadata merge db-monday < vg.json > new.json
      dvm report live < vg.json > live.json; dvm metadata merge --finish --live live.json < vg.json
    """
    from drystone.dvm.groups.group import Group
    from drystone.dvm.metadata.snapshot import begin_merge, finish_merge
    from drystone.dvm.planning.progress import merged_snapshots
    from drystone.dvm.reports.live import parse_live

    if finish and (live is not None) == merged:
        raise UsageError("--finish needs one of --live FILE and --merged", hint="dvm report live prints such a file")
    if not finish and (live is not None or merged or not names):
        raise UsageError("a SNAPSHOT is needed, or --finish", hint="dvm metadata merge --help")

    def change(group: Group) -> Group:
        if not finish:
            for name in names:
                group = begin_merge(group, name)
            return group
        done = None if live is None else merged_snapshots(group, parse_live(read_input(live), name_input(live)))
        return finish_merge(group, done, names)

    mutate(file, change)

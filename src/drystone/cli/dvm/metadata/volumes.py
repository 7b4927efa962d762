"""Mutators of volumes of any kind."""

from __future__ import annotations

import click

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


@click.command(cls=Tool, epilog=DEVICES)
@group_options
@seed_option
@space_options
@tags_option
@click.option("--size", type=SIZE, required=True, help="Rounded up to what the kind can have.")
@click.option(
    "--kind",
    type=click.Choice(("linear", "striped", "raid1", "raid5", "raid6", "raid10")),
    default="linear",
    show_default=True,
    help="The layout.",
)
@click.option("--legs", type=click.IntRange(0), default=0, help="Stripes, or legs of a raid set; the fewest without.")
@click.option("--chunk", type=SIZE, default="64k", show_default=True, help="Bytes in a row on one leg.")
@click.option(
    "--nosync", is_flag=True, help="raid1, raid10: take the legs as equal; what was never written may differ."
)
@click.argument("name")
def create(
    file: str,
    seed: str | None,
    policy: str,
    devices: tuple[str, ...],
    tags: tuple[str, ...],
    size: int,
    kind: str,
    legs: int,
    chunk: int,
    nosync: bool,
    name: str,
) -> None:
    """A new volume NAME.

    \b
    Examples:
      dvm metadata create db --size 10g < vg.json
      dvm metadata create fast --size 10g --kind striped --legs 4 --on @ssd < vg.json
      dvm metadata create safe --size 10g --kind raid1 < vg.json
    """
    mutate(file, mutators.create(name, seed, policy, devices, tags, size, kind, legs=legs, chunk=chunk, nosync=nosync))


@click.command(cls=Tool, epilog=DEVICES)
@group_options
@space_options
@click.option("--size", type=SIZE, help="To this size.")
@click.option("--by", type=SIZE, help="By so much.")
@click.argument("name")
def extend(file: str, policy: str, devices: tuple[str, ...], size: int | None, by: int | None, name: str) -> None:
    """Make the volume NAME larger. POOL:meta and SNAPSHOT:cow name what a pool or a snapshot keeps its records in.

    \b
    Example:
      dvm metadata extend db --by 10g < vg.json
    """
    mutate(file, mutators.extend(name, policy, devices, size, by))


@click.command(cls=Tool)
@group_options
@click.option("--size", type=SIZE, help="To this size.")
@click.option("--by", type=SIZE, help="By so much.")
@click.option("--lose-data", is_flag=True, help="What lies beyond the new end is lost.")
@click.argument("name")
def reduce(file: str, size: int | None, by: int | None, lose_data: bool, name: str) -> None:
    """Make the volume NAME smaller. Its file system has to be made smaller before.

    \b
    Example:
      dvm metadata reduce db --size 5g --lose-data < vg.json > new.json
    """
    from drystone.dvm.metadata.size import reduce as make

    mutate(file, lambda group: make(group, name, size=size, by=by, lose_data=lose_data))


@click.command(cls=Tool)
@group_options
@click.argument("name")
@click.argument("new")
def rename(file: str, name: str, new: str) -> None:
    """Call the volume NAME NEW. It stays the same volume: where it is active, it is renamed in use.

    \b
    Example:
      dvm metadata rename db db-old < vg.json > new.json
    """
    mutate(file, mutators.rename(name, new))


@click.command("rename-group", cls=Tool)
@group_options
@click.argument("new")
def rename_group(file: str, new: str) -> None:
    """Call the group NEW.

    \b
    Example:
      dvm metadata rename-group archive < vg.json > new.json
    """
    from drystone.dvm.metadata import names

    mutate(file, lambda group: names.rename_group(group, new))


@click.command(cls=Tool)
@group_options
@join_option
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(file: str, join: bool, names: tuple[str, ...]) -> None:
    """Remove the volumes NAME... with all their parts. What is built upon one of them is named, too, or is in the way.

    \b
    Example:
      dvm metadata remove db db-monday < vg.json
    """
    mutate(file, mutators.remove(names, join=join))


@click.command(cls=Tool)
@group_options
@click.option("--add", multiple=True, metavar="TAG", help="Repeatable.")
@click.option("--drop", multiple=True, metavar="TAG", help="Repeatable.")
@click.argument("name", required=False)
def tag(file: str, add: tuple[str, ...], drop: tuple[str, ...], name: str | None) -> None:
    """Change the tags of a volume or a device NAME, or, without a NAME, of the group.

    \b
    Example:
      dvm metadata tag --add ssd /dev/nvme0n1 < vg.json > new.json
    """
    from drystone.dvm.metadata import names

    mutate(file, lambda group: names.tag(group, name, add=add, drop=drop))
